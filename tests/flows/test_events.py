"""Events reach a real server, hold no secret, and become messages by the automations that ship: to a webhook, and by SMTP."""

import json
import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed

from dreamsweep.flows import events
from dreamsweep.flows.events import FAILED, FINISHED, REASON, RETRIED
from dreamsweep.flows.sweep import sweep

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "infra" / "notifications"
SECRET = "a-password-that-must-not-be-told"
NAME = "eventful"
"""The sweep whose events are looked for: the server holds those of other tests, too."""
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_weights")]


@pytest.mark.parametrize(
    "wanted",
    ["name: t-{date}\nprompts: [a]\n", {"stored": "t-2026-11-21"}, {"name": "t-{date}", "lines": "a"}, {"name": "t-2026-11-21"}, None],
)
def test_a_sweep_that_crashed_goes_by_its_own_name(wanted: object, monkeypatch: pytest.MonkeyPatch) -> None:
    emitted: dict[str, Any] = {}
    monkeypatch.setattr(events, "emit_event", lambda event, **others: emitted.update(others, event=event))
    name, parameters = "t-2026-11-21" if wanted is None else "quick-fox", {"request": {"sweep": wanted, "store": "s3://b"}}
    run = FlowRun(flow_id=uuid4(), name=name, parameters=parameters, expected_start_time=datetime(2026, 11, 21, 2, tzinfo=UTC))
    events.emit_failed(sweep, run, Crashed(message="Process exited with status code: -9."))
    assert (emitted["event"], emitted["resource"]["prefect.resource.id"]) == (FAILED, "dreamsweep.sweep.t-2026-11-21")
    reason = "Process exited with status code: -9."
    assert emitted["payload"] == {"sweep": "t-2026-11-21", "store": "s3://b", "state": "Crashed", "reason": reason}


class _Chat(BaseHTTPRequestHandler):
    received: list[str]

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


class _Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as a message needs."""

    received: list[str]

    def handle(self) -> None:
        self._say("220 here")
        lines: list[str] | None = None
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            word = line.partition(" ")[0].upper()
            if word == "DATA":
                self._say("354 go on")
                lines = []
                while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(line)
                self.received.append("\n".join(lines))
            elif word == "QUIT":
                self._say("221 bye")
                return
            self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def _listening(make: Callable[..., Any], handler: type, received: list[str]) -> Any:
    server = make(("127.0.0.1", 0), type("Handler", (handler,), {"received": received}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def chat() -> Iterator[tuple[str, list[str]]]:
    """A webhook's address, and what was told there."""
    received: list[str] = []
    with _listening(ThreadingHTTPServer, _Chat, received) as server:
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()


@pytest.fixture
def mailbox() -> Iterator[tuple[str, list[str]]]:
    """An address as Apprise writes it, and the mails that came there."""
    received: list[str] = []
    with _listening(socketserver.ThreadingTCPServer, _Mailbox, received) as server:
        yield f"mailto://127.0.0.1:{server.server_address[1]}?from=night@localhost.test&to=you@localhost.test", received
        server.shutdown()


@pytest.fixture
def notifications(full_server: str) -> Iterator[None]:
    """Removes the automations of infra/notifications after the test: the server outlives the addresses that they write to."""
    yield
    with get_client(sync_client=True) as client:
        for automation in client.read_automations():
            if automation.name.startswith("dreamsweep to "):
                client.delete_automation(automation.id)


def automate(template: str, block_id: str, folder: Path) -> None:
    """As infra/notifications/README.md says."""
    file = folder / template
    file.write_text((TEMPLATES / template).read_text().replace("BLOCK_ID", block_id))
    done = run("-m", "prefect", "automation", "create", "--from-file", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *command], env={**os.environ, **environment}, capture_output=True, text=True, timeout=900)


def until(met: Callable[[], Any]) -> Any:
    end = time.monotonic() + 600
    while not (result := met()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.5)
    return result


@pytest.mark.usefixtures("notifications")
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's
def test_how_a_sweep_went_is_told(full_server: str, chat: tuple[str, list[str]], mailbox: tuple[str, list[str]], tmp_path: Path) -> None:
    def received(name: str) -> list[dict[str, Any]]:
        answer = httpx.post(f"{full_server}/api/events/filter", json={"filter": {"event": {"name": [name]}}})
        return [event for event in answer.json()["events"] if event["payload"]["sweep"] == NAME]

    hook = CustomWebhookNotificationBlock(name="night", url=chat[0], json_data={"text": "{{subject}}: {{body}}"})
    automate("chat.yaml", str(hook.save("dreamsweep-chat")), tmp_path)
    automate("mail.yaml", str(SlackWebhook(url=mailbox[0]).save("dreamsweep-mail")), tmp_path)

    file = tmp_path / "t.yaml"
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
    file.write_text(yaml.safe_dump({"name": NAME, "prompts": ["a red heart", "a rocket"], "engines": [engine], "iterations": 4}))
    store = str(tmp_path / "runs")
    done = run("-m", "dreamsweep", "run", str(file), "--store", store, AWS_SECRET_ACCESS_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    (finished,) = until(lambda: received(FINISHED))
    assert finished["resource"]["prefect.resource.id"] == f"dreamsweep.sweep.{NAME}"
    payload = finished["payload"]
    assert (payload["sweep"], payload["trials"], payload["done"], payload["store"]) == (NAME, 2, 2, store)
    assert 0 < payload["best"] <= 1 and payload["contact_sheet"].endswith(f"/{NAME}/summary/contact-sheet.png")

    lost = run("-m", "dreamsweep", "run", str(file), "--store", str(tmp_path / "other"), DREAMSWEEP_STARTER_WEIGHTS=str(tmp_path))
    assert lost.returncode == 2
    (failed,) = until(lambda: received(FAILED))
    assert (failed["payload"]["sweep"], failed["payload"]["state"]) == (NAME, "Failed")
    assert "weights 'starter-guide'" in failed["payload"]["reason"]

    retry = f"emit_retried({NAME!r}, 's3://user:{SECRET}@bucket/x', '0123456789abcdef', 2, 'x' * 9_999)"
    assert run("-c", f"from dreamsweep.flows.events import emit_retried\nfor _ in range(10): {retry}").returncode == 0
    retried = until(lambda: ten if len(ten := received(RETRIED)) == 10 else None)
    assert {event["payload"]["attempt"] for event in retried} == {2} and len(retried[0]["payload"]["reason"]) == REASON
    assert SECRET not in json.dumps([finished, failed, *retried])

    until(lambda: len(chat[1]) == 3 and len(mailbox[1]) == 2)
    assert chat[1][0].startswith(f"{NAME} is finished: 2 of 2 trials done, best mark 0.")
    assert chat[1][1].startswith(f"{NAME} failed: ") and "weights 'starter-guide'" in chat[1][1]
    assert chat[1][2].startswith(f"{NAME}: ten shards tried again within an hour: The last one: xxx")
    assert f"Subject: Sweep {NAME} is finished" in mailbox[1][0] and "2 of 2 trials done, 0 diverged, 0 failed." in mailbox[1][0]
    assert f"Subject: Sweep {NAME} failed" in mailbox[1][1]

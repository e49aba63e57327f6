"""From Prefect's run form to pictures, in a headless browser: a real server with its pages, real workers, real flow runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings

from dreamsweep.manifest import read_manifest
from dreamsweep.query import query
from dreamsweep.store import open_store
from flows.deploy import GPU, NIGHTLY, SWEEPS, place, register
from flows.embedded import QUIET
from tests.flows import form

ROOT = Path(__file__).parents[2]
CHROMIUM = form.chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server with its pages, and a database of its own: its address."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_API_PORT": str(port),  # `--port` would not tell the pages
        "PREFECT_UI_API_URL": f"{address}/api",
        "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        with _process("server", "start", log=home / "server.log"), temporary_settings({PREFECT_API_URL: settings["PREFECT_API_URL"]}):
            _wait_for(f"{address}/api/health", home / "server.log")
            yield address


@pytest.fixture
def store(server: str, tmp_path: Path) -> str:
    """Where deployed sweeps are kept."""
    at = place("process", str(tmp_path / "runs"), None, 2, None)
    list(register(at, []))
    return at.store


@pytest.fixture
def workers(store: str, tiny_weights: Path, tmp_path: Path) -> Iterator[None]:
    """One worker of each pool."""
    with (
        _process("worker", "start", "--pool", SWEEPS, log=tmp_path / "sweeps.log"),
        _process("worker", "start", "--pool", GPU, log=tmp_path / "gpu.log"),
    ):
        yield


@pytest.fixture
def page(server: str) -> Iterator[Page]:
    assert CHROMIUM
    with form.browser(CHROMIUM) as page:
        yield page


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def _process(*command: str, log: Path) -> "_Running":
    return _Running([sys.executable, "-m", "prefect", *command], log)


class _Running:
    """A command in a session of its own, ended with all that it started."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.command, self.log = command, log

    def __enter__(self) -> None:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def __exit__(self, *raised: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _wait_for(url: str, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")


def deployment_id(client: SyncPrefectClient) -> str:
    return str(client.read_deployment_by_name(NIGHTLY).id)


@pytest.mark.usefixtures("workers")
def test_a_form_filled_in_becomes_pictures(server: str, store: str, page: Page, client: SyncPrefectClient) -> None:
    form.open_form(page, server, deployment_id(client))
    form.fill(page, {"Name": "garden", "Prompts": "a red heart\na green apple", "Iterations": "6"})
    form.choose(page, "strokes")
    form.fill(page, {"Num Paths": "4", "Cutouts": "2"})
    started = form.submit(page)
    form.show_run(page, server, started)
    form.wait_until_completed(page, 400)

    manifest = read_manifest(open_store(store), "garden")
    assert manifest is not None and (manifest.trials, manifest.done) == (2, 2)
    rows = query(open_store(store), "SELECT prompt, iterations, strokes.num_paths AS paths FROM trials ORDER BY prompt").to_pylist()
    assert rows == [{"prompt": prompt, "iterations": 6, "paths": 4} for prompt in ("a green apple", "a red heart")]

    form.open_artifact(page, server, started, "garden-contact-sheet")
    shown = page.locator("img[src^='data:image/jpeg']")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") > 100
    form.open_artifact(page, server, started, "garden-best")
    for prompt in ("a red heart", "a green apple"):
        expect(page.get_by_role("cell", name=prompt)).to_be_visible()
    form.open_artifact(page, server, started, "garden-summary")
    told = page.get_by_test_id("markdown-display")
    expect(told).to_contain_text("2 trials, 2 of them done")
    expect(told).to_contain_text("garden/summary/contact-sheet.png")


@pytest.fixture
def nobody_works(store: str, client: SyncPrefectClient) -> Iterator[None]:
    client.update_work_pool(SWEEPS, WorkPoolUpdate(is_paused=True))
    yield
    client.update_work_pool(SWEEPS, WorkPoolUpdate(is_paused=False))


@pytest.mark.usefixtures("nobody_works")
@pytest.mark.parametrize(
    ("tab", "label", "value", "sent"),
    [("By name", "Name", "engines", {"stored": "engines"}), ("Sweep file", "", "name: t\nprompts: [a]\nengines: dalle\n", None)],
)
def test_the_other_tabs_send_what_they_say(
    tab: str, label: str, value: str, sent: object, server: str, page: Page, client: SyncPrefectClient
) -> None:
    form.open_form(page, server, deployment_id(client))
    form.choose(page, tab)
    if label:
        form.fill(page, {label: value})
    else:
        page.get_by_role("tabpanel", name=tab).get_by_role("textbox").fill(value)
    started = client.read_flow_run(form.submit(page))  # type: ignore[arg-type]
    assert started.parameters["request"]["sweep"] == (sent or value)


@pytest.mark.usefixtures("nobody_works")
def test_a_mistake_is_told_in_the_form_and_starts_nothing(server: str, page: Page, client: SyncPrefectClient) -> None:
    form.open_form(page, server, deployment_id(client))
    before = len(client.read_flow_runs())
    form.fill(page, {"Name": "No Name"})
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("does not match")).to_be_visible()
    assert len(client.read_flow_runs()) == before

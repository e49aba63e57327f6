"""A night of `dreamsweep up`: Prefect's server, a worker for each pool and flow runs, each a process that can be killed."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import yaml

from dreamsweep.cli.tied import descendants
from tests.chaos.harness import ROOT

PARTS = {
    "server": rb"dreamsweep\.flows\.local_server\0",
    "worker": rb"prefect\0worker\0start\0",
    "flow run": rb"prefect\.engine|flow-run\0execute",
}
"""Command lines of what can be killed."""
STARTING_SECONDS = 600.0


class Night:
    """The command, its server's address, and its sweep's flow run."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process, self.log = process, log
        self.api = ""
        self.flow_run = ""

    def wait_until_ready(self) -> None:
        """Waits until every part of it runs."""
        end = time.monotonic() + STARTING_SECONDS
        while not re.search("^Ctrl-C stops all of it", self.log.read_text(), re.MULTILINE):
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"dreamsweep up did not start: {self.log.read_text()}")
            time.sleep(0.2)
        address = re.search(r"^Prefect:\s+(\S+)$", self.log.read_text(), re.MULTILINE)
        assert address
        self.api = f"{address[1]}/api"

    def start_sweep(self, sweep: dict[str, Any], store: str) -> None:
        """Has the server start a sweep whose shards are flow runs of their own."""
        compute = {"deployment": "shard/gpu", "window": 2, "poll_seconds": 1}
        request = {"sweep": yaml.safe_dump(sweep), "store": store, "device": "cpu", "compute": compute}
        content = {"parameters": {"request": request}, "idempotency_key": store}
        deployment = self._request("GET", "/deployments/name/sweep/nightly")["id"]
        self.flow_run = self._request("POST", f"/deployments/{deployment}/create_flow_run", content)["id"]

    def _request(self, method: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the server's answer; asks again while its database is locked."""
        for _ in range(20):
            answer = httpx.request(method, f"{self.api}{path}", json=content, trust_env=False, timeout=60)
            if answer.status_code != 503:
                break
            time.sleep(3)
        fields: dict[str, Any] = answer.raise_for_status().json()
        return fields

    def state(self) -> str:
        """Returns the state of the sweep's flow run; empty while the server does not answer."""
        with suppress(httpx.HTTPError):
            answer = httpx.get(f"{self.api}/flow_runs/{self.flow_run}", trust_env=False, timeout=60)
            if answer.is_success:
                return str(answer.json()["state"]["type"])
        return ""

    def is_alive(self) -> bool:
        """Returns whether the command still runs."""
        return self.process.poll() is None

    def kill(self, part: str, draw: random.Random) -> bool:
        """Kills one process of a part of it (a key of PARTS); returns whether there was one."""
        running = [pid for pid in descendants(self.process.pid) if re.search(PARTS[part], command_line(pid))]
        if running:
            with suppress(ProcessLookupError):
                os.kill(draw.choice(running), signal.SIGKILL)
        return bool(running)


def command_line(pid: int) -> bytes:
    """Returns the command line of a process; empty where it has ended, or is one that only looks after another."""
    with suppress(OSError):
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"" if b"dreamsweep.cli.tied" in line else line
    return b""


@contextmanager
def night(folder: Path, **environment: str) -> Iterator[Night]:
    """Starts the command with a home of its own; ends it with all that it has started."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "XDG_"))}
    settings |= {"HOME": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PREFECT_WORKER_QUERY_SECONDS": "1", **environment}
    command = [sys.executable, "-m", "dreamsweep", "up", "--port", "0", "--review-port", "0", "--store", str(folder / "runs")]
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=settings, start_new_session=True)
    try:
        yield Night(process, log)
    finally:
        process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()  # its parts end by themselves
            process.wait()

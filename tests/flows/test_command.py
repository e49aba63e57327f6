"""`dreamsweep run` where a Prefect server is configured: a flow run there, and no server of its own."""

import time
from pathlib import Path

import pytest
import yaml

from tests.dreamsweep.cli.command import SWEEP, Start, start

__all__ = ["start"]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_weights")]


def servers(home: Path) -> list[str]:
    """Returns the processes that serve Prefect's API for a command whose home is this one."""
    serving = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"dreamsweep.flows.local_server" in command and f"HOME={home}".encode() in environment:
            serving.append(folder.name)
    return serving


def test_a_configured_api_is_used_and_none_started(
    prefect_server: None, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.settings import PREFECT_API_URL

    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    (tmp_path / "short.yaml").write_text(yaml.safe_dump({**SWEEP, "prompts": ["a red heart"], "iterations": 3, "snapshot_every": 0}))
    process = start(file="short.yaml")
    while process.poll() is None:
        assert not servers(tmp_path)
        time.sleep(0.5)
    assert process.returncode == 0, process.communicate()
    with get_client(sync_client=True) as client:
        assert "t" in {run.name for run in client.read_flow_runs(sort=FlowRunSort.NAME_ASC, limit=50)}


def test_a_configured_api_that_does_not_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    process = start()
    _, err = process.communicate(timeout=900)
    assert process.returncode == 2
    assert err.startswith("dreamsweep: Prefect's API at http://127.0.0.1:9/api does not answer (ConnectError);")
    assert "the environment variable PREFECT_API_URL names it: start it with `PREFECT_SERVER_API_PORT=9 prefect server start`" in err
    assert err.endswith("or make sweeps without it (`dreamsweep run --no-prefect`).\n")
    assert err.count("\n") == 1

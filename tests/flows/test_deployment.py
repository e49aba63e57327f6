"""A real worker and real flow runs, each in a process of its own; one of them is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL

from dreamsweep.flows.fanout import Compute
from dreamsweep.flows.shard import shard
from dreamsweep.flows.sweep import SweepRequest, sweep
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.store import open_store

ROOT = Path(__file__).parents[2]
POOL, DEPLOYMENT = "test-pool", "test"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_weights")]


@pytest.fixture
def worker(prefect_server: None, tiny_weights: Path, tmp_path: Path) -> Iterator[None]:
    """The flow `shard` as a deployment of a process pool, and a worker of that pool."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", concurrency_limit=2), overwrite=True)
    remote_flow: Any = shard.from_source(source=str(ROOT), entrypoint="flows/shard.py:shard")
    remote_flow.to_deployment(name=DEPLOYMENT, work_pool_name=POOL).apply()
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"],
            env={
                **os.environ,
                "PREFECT_API_URL": str(PREFECT_API_URL.value()),
                "PREFECT_WORKER_QUERY_SECONDS": "1",
                "PREFECT_RUNNER_POLL_FREQUENCY": "1",
                "PYTHONPATH": str(ROOT),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def content(iterations: int = 60) -> dict[str, Any]:
    return {
        "name": "t",
        "prompts": ["a red heart", "a green apple"],
        "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}],
        "iterations": iterations,
        "snapshot_every": 20,
        "shard_size": 1,
    }


def request(store: str, **settings: object) -> SweepRequest:
    return SweepRequest.model_validate({"sweep": parse_sweep(content(), Path(), "test"), "store": store, "device": "cpu", **settings})


def kill_one(killed: list[str]) -> None:
    """kill -9 of the first flow run's process that is seen to run."""
    with get_client(sync_client=True) as client:
        for _ in range(600):
            for run in client.read_flow_runs(sort=FlowRunSort.ID_DESC, limit=50):
                if run.state and run.state.is_running() and run.infrastructure_pid and run.name.startswith("t-"):
                    os.kill(int(run.infrastructure_pid.rpartition(":")[2]), signal.SIGKILL)
                    killed.append(run.name)
                    return
            time.sleep(0.2)


@pytest.mark.usefixtures("worker")
def test_a_deployment_makes_what_this_process_would_though_one_flow_run_is_killed(tmp_path: Path) -> None:
    killed: list[str] = []
    killer = threading.Thread(target=kill_one, args=(killed,))
    killer.start()
    compute = Compute(deployment=f"shard/{DEPLOYMENT}", window=2, poll_seconds=1)
    far = sweep(request(str(tmp_path / "far"), compute=compute))
    killer.join()
    assert len(killed) == 1
    here = sweep(request(str(tmp_path / "here")))
    assert far == here
    far_store, here_store = open_store(str(tmp_path / "far")), open_store(str(tmp_path / "here"))
    assert far_store.read("t/manifest.json") == here_store.read("t/manifest.json")
    assert not [key for key in far_store.keys("t/staging/") if key.endswith(("checkpoint.safetensors", "progress.json"))]

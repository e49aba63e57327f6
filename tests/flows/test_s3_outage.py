"""An S3 server that is away for a while, under two flow runs of shards in processes of their own and the coordinator of their sweep."""

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStartTime

from dreamsweep.flows.fanout import Compute
from dreamsweep.flows.sweep import sweep
from dreamsweep.store import open_store
from tests.flows.test_deployment import DEPLOYMENT, worker
from tests.flows.test_deployment import request as sweep_request
from tests.s3_faults import Fault, fault_proxy

__all__ = ["worker"]
pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.usefixtures("tiny_weights")]
AWAY_SECONDS = float(os.environ.get("CHAOS_OUTAGE", "20"))
"""Seconds of the outage."""


def test_an_outage_under_two_workers_refuses_and_loses_nothing(
    s3_bucket: str, aws_settings: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = os.environ["AWS_ENDPOINT_URL"]
    with fault_proxy(server) as (address, proxy):
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        aws_settings.setenv("DREAMSWEEP_STORE_SECONDS", "300")
        request.getfixturevalue("worker")  # which inherits these settings
        of_this_test = FlowRunFilter(start_time=FlowRunFilterStartTime(after_=datetime.now(UTC)))  # the server is the session's
        begun, over = threading.Event(), threading.Event()

        def choose(method: str, path: str) -> Fault | None:
            if "/pictures/" in path and method == "PUT":
                begun.set()
            return "away" if begun.is_set() and not over.is_set() else None

        def end_of_outage() -> None:
            begun.wait(600)
            time.sleep(AWAY_SECONDS)
            over.set()

        proxy.choose = choose
        clock = threading.Thread(target=end_of_outage)
        clock.start()
        far = sweep(sweep_request(f"s3://{s3_bucket}/far", compute=Compute(deployment=f"shard/{DEPLOYMENT}", window=2, poll_seconds=1)))
        clock.join()
        assert proxy.met["away"] > 3
    with get_client(sync_client=True) as client:
        states = {run.state.name for run in client.read_flow_runs(flow_run_filter=of_this_test) if run.state}
    assert states == {"Completed"}
    aws_settings.setenv("AWS_ENDPOINT_URL", server)
    assert far == sweep(sweep_request(str(tmp_path / "here")))
    assert open_store(f"s3://{s3_bucket}/far").read("t/manifest.json") == open_store(str(tmp_path / "here")).read("t/manifest.json")

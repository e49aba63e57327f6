"""Runs on an S3 server whose answers fail: one request in five, and for a while all of them."""

import os
import random
import threading
import time

import pytest

from dreamsweep.store import Store, open_store
from tests.chaos.harness import Runs, differences
from tests.s3_faults import CONDITIONS, Fault, fault_proxy

MIXED: tuple[Fault, ...] = ("busy", "reset", "truncated", "flipped", "delayed", "lost")
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")


def settings(address: str, seconds: float = 60) -> dict[str, str]:
    return {**{name: os.environ[name] for name in AWS}, "AWS_ENDPOINT_URL": address, "DREAMSWEEP_STORE_SECONDS": str(seconds)}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(1, 3))])
def test_one_request_in_five_that_fails_and_kills_lose_nothing(seed: int, some_runs: Runs, calm: Store, s3_bucket: str) -> None:
    draw, store = random.Random(seed), f"s3://{s3_bucket}/p"
    with fault_proxy(os.environ["AWS_ENDPOINT_URL"]) as (address, proxy):
        proxy.choose = lambda method, path: draw.choice(MIXED) if len(proxy.requests) > 2 and draw.random() < 0.2 else None
        for _ in range(2):
            some_runs.kill(some_runs.start(store, hurried=True, environment=settings(address)), after=draw.uniform(0.3, 1.5))
        for _ in range(3):  # a run whose every answer was damaged three times in a row ends in one sentence, and goes on when run again
            if (code := some_runs.run(store, hurried=True, environment=settings(address))) == 0:
                break
        assert code == 0 and proxy.met.total() > 10
    assert differences(open_store(store), calm) == []


def test_an_outage_in_the_middle_of_a_run_is_waited_for(some_runs: Runs, calm: Store, s3_bucket: str) -> None:
    store = f"s3://{s3_bucket}/p"
    with fault_proxy(os.environ["AWS_ENDPOINT_URL"]) as (address, proxy):
        back = threading.Event()

        def is_away(method: str, path: str) -> Fault | None:
            return "away" if len(proxy.requests) > 30 and not back.is_set() else None

        proxy.choose = is_away
        pid = some_runs.start(store, hurried=True, environment=settings(address))
        while proxy.met["away"] < 30:
            assert pid not in some_runs.codes
            time.sleep(0.01)
        back.set()
        assert some_runs.wait(pid) == 0
    assert differences(open_store(store), calm) == []


def test_two_runs_at_once_on_a_server_without_conditional_writes_leave_what_one_leaves(
    some_runs: Runs, calm: Store, s3_bucket: str
) -> None:
    store = f"s3://{s3_bucket}/p"
    with fault_proxy(os.environ["AWS_ENDPOINT_URL"]) as (address, proxy):
        proxy.ignored = CONDITIONS
        both = [some_runs.start(store, hurried=True, environment=settings(address)) for _ in range(2)]
        some_runs.kill(both[0], after=1.0)
        assert some_runs.wait(both[1]) == 0 and some_runs.run(store, hurried=True, environment=settings(address)) == 0
        assert any(".lease-" in path for _, path in proxy.requests)
    assert differences(open_store(store), calm) == []

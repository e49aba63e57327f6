"""Fan-out against an API that is made up, so that machines can be lost at will; against a real one in test_deployment.py."""

import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Crashed, Failed, Pending, Running

from dreamsweep.errors import ComputeError
from dreamsweep.flows import fanout
from dreamsweep.flows.fanout import Compute, ShardFailedError, fan_out
from dreamsweep.flows.shard import REFUSED, UNREACHABLE
from dreamsweep.generation.shard import run_shard
from dreamsweep.planning.expand import Shard
from dreamsweep.planning.expand import shards as shards_of
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.results.handoff import Elsewhere, Lost, Progress, read_shard, write_progress
from dreamsweep.results.status import sweep_status
from dreamsweep.store import Store, open_store
from tests.outages import OPERATIONS, Outage, make_stores_fail

pytestmark = pytest.mark.usefixtures("tiny_weights")
SHARDS = 6


class Api:
    """Flow runs, and what becomes of each at every poll: `fate(shard id, how often it was started, polls since)` gives its state."""

    api_url = "http://made.up/api"

    def __init__(self, store: Store, fate: Callable[[str, int, int], State[Any]]) -> None:
        self.store, self.fate = store, fate
        self.runs: dict[UUID, SimpleNamespace] = {}
        self.keys: dict[str, UUID] = {}
        self.most_alive = 0
        self.polls = 0
        self.retried: list[tuple[Any, ...]] = []
        self.looks: list[Elsewhere] = []
        self.lost: list[Lost] = []

    def read_deployment_by_name(self, name: str) -> None:
        if name != "shard/test":
            raise ObjectNotFound(Exception(name))

    def start(self, name: str, parameters: dict[str, Any], tags: list[str], flow_run_name: str, idempotency_key: str, timeout: int) -> Any:
        assert timeout == 0
        if idempotency_key in self.keys:
            return self.runs[self.keys[idempotency_key]]
        shard_id = parameters["request"]["shard_id"]
        starts = 1 + sum(run.shard_id == shard_id for run in self.runs.values())
        run = SimpleNamespace(
            id=uuid4(), name=flow_run_name, parameters=parameters, tags=tags, state=Pending(), shard_id=shard_id, starts=starts, polls=0
        )
        self.runs[run.id] = run
        self.keys[idempotency_key] = run.id
        self.most_alive = max(self.most_alive, sum(not r.state.is_final() for r in self.runs.values()))
        return run

    def read_flow_runs(self, flow_run_filter: Any, sort: Any, limit: int, offset: int = 0) -> list[Any]:
        if flow_run_filter.tags:
            chosen = [run for run in self.runs.values() if set(flow_run_filter.tags.all_) <= set(run.tags)]
        else:
            self.polls += 1
            assert len(flow_run_filter.id.any_) <= limit
            chosen = [self.runs[id] for id in flow_run_filter.id.any_]
            for run in chosen[offset : offset + limit]:
                if not run.state.is_final():
                    run.polls += 1
                    run.state = self.fate(run.shard_id, run.starts, run.polls)
                    if run.state.is_completed():
                        self.make(run.parameters["request"])
        return chosen[offset : offset + limit]

    def set_flow_run_state(self, id: UUID, state: State[Any], force: bool) -> None:
        self.runs[id].state = state
        if state.is_cancelling():
            fate = self.fate
            self.fate = lambda shard, starts, polls: (
                state if shard == self.runs[id].shard_id and starts == 1 else fate(shard, starts, polls)
            )

    def make(self, request: dict[str, Any]) -> None:
        list(run_shard(read_shard(self.store, request["sweep"], request["shard_id"]), self.store, "cpu"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def planned() -> list[Shard]:
    content = {
        "name": "t", "prompts": [f"a {n}" for n in range(SHARDS)], "iterations": 1, "snapshot_every": 0, "shard_size": 1,
        "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 2, "cutouts": 1, "contrast": 0}],
    }  # fmt: skip
    return list(shards_of(parse_sweep(content, Path("/"), "test")))


@pytest.fixture
def fan(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Api, list[BaseException]]]:
    def go(fate: Callable[[str, int, int], State[Any]], api: Api | None = None, **settings: Any) -> tuple[Api, list[BaseException]]:
        fake = api or Api(store, fate)
        fake.fate = fate

        class Client:
            def __enter__(self) -> Api:
                return fake

            def __exit__(self, *_: object) -> None: ...

        monkeypatch.setattr(fanout, "get_client", lambda sync_client: Client())
        monkeypatch.setattr(fanout, "run_deployment", lambda *arguments, **more: fake.start(*arguments, **more))
        monkeypatch.setattr(fanout, "emit_retried", lambda *arguments: fake.retried.append(arguments))
        compute = Compute.model_validate({"deployment": "shard/test", "window": 2, "poll_seconds": 0.001, **settings})
        events = list(fan_out(planned(), "t", store.uri, "cpu", compute))
        fake.looks += [event for event in events if isinstance(event, Elsewhere)]
        fake.lost += [event for event in events if isinstance(event, Lost)]
        outcomes = [event for event in events if isinstance(event, (Shard, BaseException))]
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(outcomes) == SHARDS
        assert staged(store) == {outcome.shard_id for outcome in outcomes if isinstance(outcome, Shard)}
        return fake, failures

    return go


def done(shard: str, starts: int, polls: int) -> State[Any]:
    return Completed() if polls > 1 else Running()


def staged(store: Store) -> set[str]:
    return {key.split("/")[2] for key in store.keys("t/staging/") if key.endswith("manifest.json")}


def test_all_shards_are_made_and_no_more_than_a_window_of_them_is_alive(fan: Any, store: Store) -> None:
    api, failures = fan(done)
    assert not failures and staged(store) == {shard.shard_id for shard in planned()}
    assert api.most_alive == 2 and len(api.runs) == SHARDS


def test_what_crashes_is_started_again_as_often_as_was_asked(fan: Any, store: Store) -> None:
    unlucky, hopeless = (shard.shard_id for shard in planned()[:2])

    def fate(shard: str, starts: int, polls: int) -> State[Any]:
        return Crashed(message="killed") if shard == hopeless or (shard == unlucky and starts < 3) else Completed()

    api, (failure,) = fan(fate, attempts=3)
    assert isinstance(failure, ShardFailedError) and hopeless in str(failure) and "killed" in str(failure)
    assert staged(store) == {shard.shard_id for shard in planned()} - {hopeless}
    assert [run.starts for run in api.runs.values() if run.shard_id == hopeless] == [1, 2, 3]
    assert {call[:4] for call in api.retried} == {("t", store.uri, shard, attempt) for shard in (unlucky, hopeless) for attempt in (2, 3)}
    assert len(api.retried) == 4 and all("killed" in call[4] for call in api.retried)
    assert [lost.attempt for lost in api.lost if lost.shard_id == hopeless] == [2, 3, None]
    assert [lost.attempt for lost in api.lost if lost.shard_id == unlucky] == [2, 3]
    assert all("killed" in lost.reason for lost in api.lost)
    assert sweep_status(store, "t").given_up == 1


def test_completed_is_what_the_store_says(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Api, "make", lambda self, request: None)
    _, failures = fan(done, attempts=2)
    assert len(failures) == SHARDS and all("Completed" in str(failure) for failure in failures)


def test_a_flow_run_that_crashed_after_it_staged_its_shard_is_done(fan: Any, store: Store) -> None:
    for shard in planned():
        list(run_shard(shard, store, "cpu"))
    api, failures = fan(lambda shard, starts, polls: Crashed())
    assert not failures and len(api.runs) == SHARDS


def test_what_the_user_has_to_mend_is_not_tried_again(fan: Any) -> None:
    with pytest.raises(ComputeError, match="weights are missing"):
        fan(lambda shard, starts, polls: Failed(name=REFUSED, message="weights are missing"))
    first = planned()[0].shard_id
    api, failures = fan(lambda shard, starts, polls: Failed(name=REFUSED, message="no") if shard == first else Completed())
    assert [str(failure) for failure in failures] == ["no"] and sum(run.shard_id == first for run in api.runs.values()) == 1


def test_a_parent_that_died_and_is_rerun_takes_over_what_is_alive(fan: Any, store: Store) -> None:
    def dies(shard: str, starts: int, polls: int) -> State[Any]:
        if polls == 3:
            raise KeyboardInterrupt
        return Running()

    api = Api(store, dies)
    with pytest.raises(KeyboardInterrupt):
        fan(dies, api)
    alive = [run for run in api.runs.values() if not run.state.is_final()]
    assert len(alive) == 2
    api.runs[alive[1].id].state = Crashed()  # one of them ended while nobody looked
    api, failures = fan(done, api)
    assert not failures and len(staged(store)) == SHARDS
    starts = {run.shard_id: run.starts for run in api.runs.values()}
    assert starts[alive[0].shard_id] == 1 and starts[alive[1].shard_id] == 2 and len(api.runs) == SHARDS + 1


def test_a_shard_that_falls_silent_is_cancelled_and_started_elsewhere(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lost, slow = (shard.shard_id for shard in planned()[:2])
    clock = itertools.count(step=0.5)
    monkeypatch.setattr("dreamsweep.flows.fanout.time.monotonic", lambda: next(clock))

    def fate(shard: str, starts: int, polls: int) -> State[Any]:
        if shard == lost and starts == 1:
            return Running()
        if shard == slow and polls < 400:
            step = Progress(shard_id=shard, engine="strokes", iteration=polls, iterations=400, trials=1, best=None, iterations_per_second=1)
            write_progress(store, "t", step)
            return Running()
        return Completed()

    api, failures = fan(fate, silent_minutes=1)
    assert not failures and len(staged(store)) == SHARDS
    runs = [run for run in api.runs.values() if run.shard_id == lost]
    assert [run.starts for run in runs] == [1, 2] and runs[0].state.is_crashed()
    assert "no progress, and nobody ended it" in str(runs[0].state.message)
    assert [run.starts for run in api.runs.values() if run.shard_id == slow] == [1]


def test_how_the_shards_go_on_is_told_at_every_poll(fan: Any, store: Store) -> None:
    def fate(shard: str, starts: int, polls: int) -> State[Any]:
        if polls == 2:
            write_progress(store, "t", Progress(shard, "strokes", 1, 2, 1, None, 1.0))
        return Pending() if polls == 1 else Running() if polls == 2 else Completed()

    api, _ = fan(fate, window=SHARDS)
    assert [(look.running, look.waiting) for look in api.looks] == [(0, SHARDS), (SHARDS, 0), (0, 0)]
    assert {progress.shard_id for progress in api.looks[1].progress} == {shard.shard_id for shard in planned()}


def test_of_many_shards_each_is_looked_at_in_its_turn(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "LOOKS", 2)
    for shard in planned():
        write_progress(store, "t", Progress(shard.shard_id, "strokes", 1, 2, 1, None, 1.0))
    api, _ = fan(lambda shard, starts, polls: Running() if polls <= 3 else Completed(), window=SHARDS)
    turns = [[progress.shard_id for progress in look.progress] for look in api.looks]
    assert [len(turn) for turn in turns] == [2, 2, 2, 0] and len({shard for turn in turns for shard in turn}) == SHARDS


def test_a_deployment_that_is_not_there_is_told_at_once(fan: Any) -> None:
    with pytest.raises(ComputeError, match=r"compute 'shard/none': the Prefect API at http://made.up/api knows no such deployment"):
        fan(done, deployment="shard/none")


def test_many_flow_runs_are_read_a_page_at_a_time(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "PAGE", 2)
    api, failures = fan(done, window=SHARDS)
    assert not failures and api.most_alive == SHARDS


def test_a_store_that_is_away_costs_no_shard_and_no_attempt(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage()
    make_stores_fail(outage, monkeypatch)
    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", "0.002")
    fan_store = open_store(store.uri)

    def fate(shard: str, starts: int, polls: int) -> State[Any]:
        if polls == 1 and not outage.failures:
            outage.begin(failures=10)  # as the parent looks at the shards' progress
            return Running()
        return Failed(name=UNREACHABLE, message="the store does not answer") if starts <= 4 else Completed()

    api, failures = fan(fate, Api(fan_store, fate), attempts=2)
    assert not failures and outage.failures.total() == 10 and len(staged(store)) == SHARDS
    assert {run.starts for run in api.runs.values()} == {1, 2, 3, 4, 5}


def test_every_operation_of_the_store_may_fail_under_the_parent(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage()
    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", "0.001")
    calm = store
    make_stores_fail(outage, monkeypatch)
    outage.fail_first(3, *OPERATIONS)
    _, failures = fan(lambda shard, starts, polls: Running() if polls == 1 else Completed(), Api(calm, done), attempts=1)
    assert not failures and {name for name, count in outage.failures.items() if count == 3} >= {"get", "write"}


def test_prefect_s_api_may_be_away_for_a_while(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", "0.001")
    away = {"read_flow_runs": 4, "start": 4, "read_deployment_by_name": 4}

    class AwayApi(Api):
        def __getattribute__(self, name: str) -> Any:
            if away.get(name):
                away[name] -= 1
                raise httpx.ConnectError("nobody answers")
            return super().__getattribute__(name)

    api = AwayApi(store, done)
    _, failures = fan(done, api)
    assert not failures and away == {"read_flow_runs": 0, "start": 0, "read_deployment_by_name": 0}


def test_an_outage_does_not_make_shards_silent(fan: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    outage = Outage()
    make_stores_fail(outage, monkeypatch)
    clock = [0.0]
    monkeypatch.setattr("dreamsweep.flows.fanout.time.monotonic", lambda: clock[0])

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("dreamsweep.retry.time.sleep", sleep)  # the clock of both
    outage.is_away = lambda operation: 10 < clock[0] < 7_200
    api, failures = fan(
        lambda shard, starts, polls: Running() if polls <= 5 else Completed(), Api(store, done), poll_seconds=5, silent_minutes=1
    )
    assert not failures and clock[0] > 7_200
    assert [run.starts for run in api.runs.values()] == [1] * SHARDS

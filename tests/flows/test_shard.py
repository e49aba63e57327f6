"""The flow that a container runs, against a real Prefect server: what it does when the server has given it up."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from dreamsweep.flows.shard import ShardRequest, shard
from dreamsweep.generation.shard import ShardStoppedError
from dreamsweep.planning.expand import Shard, shards
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.results.handoff import Progress, write_shard
from dreamsweep.results.manifest import shard_is_done
from dreamsweep.store import Store, open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server", "tiny_weights")]
ITERATIONS = 8


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Shards that are made in it ask at every iteration whether the server has ended their flow run, and report every iteration."""
    monkeypatch.setattr("dreamsweep.tasks.generate.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("dreamsweep.tasks.generate.few_a_second", lambda steps: steps)
    return open_store(str(tmp_path / "runs"))


@pytest.fixture
def planned(store: Store) -> Shard:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
    (planned,) = shards(parse_sweep({"name": "t", "prompts": ["a"], "engines": [engine], "iterations": ITERATIONS}, Path(), "test"))
    write_shard(store, planned)
    return planned


def make(store: Store, planned: Shard) -> None:
    shard(ShardRequest(sweep="t", shard_id=planned.shard_id, store=store.uri, device="cpu"))


def is_made(store: Store, planned: Shard) -> bool:
    return shard_is_done(store, "t", planned.shard_id, [trial.id for trial in planned.trials])


def test_taken_for_lost_it_keeps_where_it_is_and_goes(store: Store, planned: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[UUID] = []

    def taken_for_lost(shard: Shard, steps: Iterable[Progress]) -> Iterator[Progress]:
        for step in steps:
            if step.iteration == 3:
                lost.append(UUID(flow_run.id))
                with get_client(sync_client=True) as client:
                    client.set_flow_run_state(lost[0], Crashed(message="nothing was heard of it"), force=True)
            yield step

    steps_seen: list[Progress] = []

    def listened_to(shard: Shard, steps: Iterable[Progress]) -> Iterator[Progress]:
        for step in steps:
            steps_seen.append(step)
            yield step

    monkeypatch.setattr("dreamsweep.tasks.generate.show_shard", taken_for_lost)
    with pytest.raises(ShardStoppedError, match=f"was told to stop at iteration 4/{ITERATIONS}"):
        make(store, planned)
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(lost[0]).state
    assert state is not None and state.type != StateType.COMPLETED and state.is_final()
    assert not is_made(store, planned)
    monkeypatch.setattr("dreamsweep.tasks.generate.show_shard", listened_to)
    make(store, planned)
    assert (steps_seen[0].status, steps_seen[0].iteration) == ("resumed", 4)
    assert is_made(store, planned)


def test_a_server_that_does_not_answer_ends_nothing(store: Store, planned: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**settings: object) -> None:
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr("dreamsweep.tasks.generate.get_client", unreachable)
    make(store, planned)
    assert is_made(store, planned)

"""A whole sweep without Prefect: its events, what is published at each end, and what is made again."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dreamsweep.errors import StoreError, StoreUnavailableError, UserError, WeightsError
from dreamsweep.generation import make_here, run_sweep, shard
from dreamsweep.generation.events import Finished, Planned, Published, ShardDone, ShardFailed, ShardLost, ShardProgress, SweepEvent
from dreamsweep.generation.make_here import Outcome, SweepStoppedError
from dreamsweep.generation.run_sweep import IncompleteSweepError
from dreamsweep.planning.expand import Shard
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.report.query import query
from dreamsweep.results.handoff import Progress
from dreamsweep.results.manifest import read_manifest
from dreamsweep.results.publishing import Choice, publish_whole
from dreamsweep.store import Store, open_store
from tests.dreamsweep.generation.sweeps import small_sweep

pytestmark = pytest.mark.usefixtures("tiny_weights")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    for module in (run_sweep, make_here):
        monkeypatch.setattr(module, "NIGHT", 2)
    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", "0")
    return open_store(str(tmp_path / "runs"))


def run(store: Store, **changes: Any) -> list[SweepEvent]:
    return list(run_sweep.run_sweep(small_sweep(**changes), store, device="cpu"))


def collect(events: list[SweepEvent], running: Iterator[SweepEvent]) -> None:
    """Appends a sweep's events while it runs, so that those before an error are known."""
    for event in running:
        events.append(event)  # noqa: PERF402 - one by one, as they come


def names(events: list[SweepEvent]) -> list[str]:
    """Returns the kinds of events in their order, without progress."""
    return [type(event).__name__ for event in events if not isinstance(event, ShardProgress)]


def test_a_sweep_is_made_published_and_summed_up(store: Store) -> None:
    events = run(store)
    assert names(events) == ["Planned", "ShardDone", "Published", "ShardDone", "Published", "Finished"]
    planned, finished = events[0], events[-1]
    assert isinstance(planned, Planned) and isinstance(finished, Finished)
    assert (planned.done, planned.iterations_left) == (0, {"strokes": 8, "dalle": 8})
    assert [event.done for event in events if isinstance(event, ShardDone)] == [2, 4]
    statuses = [event.progress.status for event in events if isinstance(event, ShardProgress)]
    assert statuses[0] == "running" and statuses.count("done") == 2
    drawn = dict.fromkeys((event.progress.engine, event.progress.prompts) for event in events if isinstance(event, ShardProgress))
    assert [*drawn] == [("strokes", ("a red heart", "a green apple")), ("dalle", ("a red heart", "a green apple"))]
    assert (finished.manifest.trials, finished.manifest.done, finished.manifest.scores) == (4, 4, 16)
    assert read_manifest(store, "t") == finished.manifest
    assert all(store.read(key).startswith(b"\x89PNG") for key in finished.summary)
    assert parse_sweep(yaml.safe_load(store.read("t/sweep.yaml")), Path("/"), "again") == small_sweep()


def test_a_sweep_can_be_read_while_it_grows(store: Store) -> None:
    events = run_sweep.run_sweep(small_sweep(), store, device="cpu")
    counts = [query(store, "SELECT count(*) AS n FROM trials").to_pylist() for event in events if isinstance(event, Published)]
    assert counts == [[{"n": 2}], [{"n": 4}]]


@pytest.mark.parametrize("seconds", ["0", "3600"])
def test_how_often_it_is_published(seconds: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_PUBLISH_SECONDS", seconds)
    published = [event.manifest.trials for event in run(store, shard_size=1) if isinstance(event, Published)]
    assert published == ([1, 2, 3, 4] if seconds == "0" else [1, 4])


def test_a_rerun_makes_only_what_is_missing(store: Store) -> None:
    first = run(store, prompts=["a red heart"])[-1]
    assert names(again := run(store, prompts=["a red heart"])) == ["Planned", "Published", "Finished"]
    assert again[-1] == first
    more = run(store)
    assert [event.trials for event in more if isinstance(event, ShardDone)] == [1, 1]
    assert isinstance(more[0], Planned) and (more[0].done, more[0].plan.trials) == (2, 4)


@pytest.mark.parametrize(("choice", "trials"), [("add", 4), ("replace", 2)])
def test_other_trials_of_the_same_name_are_kept_or_taken_out(choice: Choice, trials: int, store: Store) -> None:
    run(store, prompts=["a red heart"])
    other = small_sweep(prompts=["a green apple"])
    with pytest.raises(StoreError, match="2 trials of another sweep file are published under this name"):
        list(run_sweep.run_sweep(other, store, device="cpu"))
    assert parse_sweep(yaml.safe_load(store.read("t/sweep.yaml")), Path("/"), "t") == small_sweep(prompts=["a red heart"])
    *_, finished = run_sweep.run_sweep(other, store, device="cpu", choice=choice)
    assert isinstance(finished, Finished) and finished.manifest.trials == trials
    assert query(store, "SELECT count(*) AS n FROM trials").to_pylist() == [{"n": trials}]


def test_a_finished_sweep_needs_no_torch_and_draws_nothing_again(store: Store) -> None:
    run(store)
    drawn = store.version("t/summary/contact-sheet.png")
    code = (
        "import sys; from dreamsweep.generation.run_sweep import run_sweep; from dreamsweep.store import open_store\n"
        "from tests.dreamsweep.generation.sweeps import small_sweep\n"
        f"events = list(run_sweep(small_sweep(), open_store({store.uri!r})))\n"
        "print(len(events), [m for m in ('torch', 'prefect', 'matplotlib') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert answer.stdout == "3 []\n"
    assert store.version("t/summary/contact-sheet.png") == drawn


def test_a_summary_that_was_cut_off_is_drawn(store: Store) -> None:
    run(store)
    store.delete("t/summary/drawn.json")
    store.delete("t/summary/curves.png")
    run(store)
    assert store.exists("t/summary/curves.png")


def test_a_failing_shard_does_not_take_the_others_with_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_shard = shard.run_shard

    def failing(shard: Shard, *others: Any) -> Iterator[Progress]:
        if shard.trials[0].engine.engine == "strokes":
            raise ZeroDivisionError("a mistake of ours")
        yield from run_shard(shard, *others)

    monkeypatch.setattr(shard, "run_shard", failing)
    with pytest.raises(
        IncompleteSweepError, match=r"1 shard failed, 2 of 4 trials are published; .* ZeroDivisionError: a mistake"
    ) as raised:
        run(store)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    manifest = read_manifest(store, "t")
    assert manifest and manifest.trials == 2 and store.exists("t/summary/contact-sheet.png")
    monkeypatch.setattr(shard, "run_shard", run_shard)
    assert names(run(store)) == ["Planned", "ShardDone", "Published", "Finished"]


def test_where_every_shard_fails_the_first_failure_is_the_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Iterator[Progress]:
        raise failure

    monkeypatch.setattr(shard, "run_shard", failing)
    failure: Exception = UserError("too little memory")
    with pytest.raises(UserError, match="too little memory"):
        run(store)
    failure = ZeroDivisionError("a mistake of ours")
    with pytest.raises(IncompleteSweepError, match="2 shards failed, 0 of 4 trials are published"):
        run(store)
    assert read_manifest(store, "t") is None


def test_a_store_that_does_not_answer_for_a_while_is_retried(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_shard, failures = shard.run_shard, iter([StoreUnavailableError("no answer. Wait.")] * 2)

    def failing(shard: Shard, *others: Any) -> Iterator[Progress]:
        if failure := next(failures, None):
            raise failure
        yield from run_shard(shard, *others)

    monkeypatch.setattr(shard, "run_shard", failing)
    events = run(store)
    assert [(event.reason, event.attempt) for event in events if isinstance(event, ShardLost)] == [
        ("no answer. Wait.", at) for at in (2, 3)
    ]
    assert isinstance(events[-1], Finished) and events[-1].manifest.done == 4


def test_a_store_that_stays_away_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Iterator[Progress]:
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr(shard, "run_shard", failing)
    events: list[SweepEvent] = []
    with pytest.raises(StoreUnavailableError):
        collect(events, run_sweep.run_sweep(small_sweep(), store, device="cpu"))
    lost = [event.attempt for event in events if isinstance(event, ShardLost)]
    assert lost == [2, 3, None] * 2 and names(events).count("ShardFailed") == 2


def test_a_step_is_retried_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish, failures = publish_whole, iter([StoreUnavailableError("no answer")] * 2)

    def failing(*arguments: Any) -> Any:
        if failure := next(failures, None):
            raise failure
        return publish(*arguments)

    monkeypatch.setattr(run_sweep, "publish_whole", failing)
    assert isinstance(run(store)[-1], Finished)


def test_whoever_stops_iterating_leaves_what_is_done_published(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_PUBLISH_SECONDS", "3600")
    events = run_sweep.run_sweep(small_sweep(shard_size=1), store, device="cpu")
    done = 0
    while done < 2:
        done += isinstance(next(events), ShardDone)
    events.close()  # type: ignore[attr-defined]
    manifest = read_manifest(store, "t")
    assert manifest and manifest.trials == 2


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interruption_leaves_what_is_done_published(end: BaseException, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_PUBLISH_SECONDS", "3600")

    def make(shards: Iterator[Shard]) -> Iterator[Outcome]:
        for number, planned in enumerate(shards):
            if number == 2:
                raise end
            for _ in shard.run_shard(planned, store, "cpu"):
                pass
            yield planned

    with pytest.raises(type(end)):
        list(run_sweep.run_sweep(small_sweep(shard_size=1), store, make=make))
    manifest = read_manifest(store, "t")
    assert manifest and manifest.trials == 2


def test_stopped_on_request_it_keeps_a_checkpoint_and_goes_on_from_it(store: Store) -> None:
    events: list[SweepEvent] = []
    running = run_sweep.run_sweep(small_sweep(iterations=30), store, device="cpu", stop=lambda: len(events) > 1)
    with pytest.raises(SweepStoppedError):
        collect(events, running)
    assert [key for key in store.keys("t/staging/") if key.endswith("checkpoint.safetensors")]
    resumed = next(event for event in run(store, iterations=30) if isinstance(event, ShardProgress))
    assert resumed.progress.status == "resumed"


def test_another_maker_makes_the_shards_and_nothing_is_checked_here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", "/nowhere")

    def refuse(shards: Iterator[Shard]) -> Iterator[Outcome]:
        yield from (UserError(f"no worker takes {shard.shard_id}") for shard in shards)

    with pytest.raises(UserError, match="no worker takes"):
        list(run_sweep.run_sweep(small_sweep(), store, make=refuse, check_here=False))


def test_what_the_user_can_fix_is_said_at_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a-file").write_text("")
    with pytest.raises(StoreError):
        run(open_store(str(tmp_path / "a-file")))
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="starter-guide"):
        run(store)
    assert read_manifest(store, "t") is None


def test_a_failure_is_an_event_before_it_is_the_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Iterator[Progress]:
        raise ZeroDivisionError

    monkeypatch.setattr(shard, "run_shard", failing)
    events = run_sweep.run_sweep(small_sweep(), store)
    assert any(isinstance(event, ShardFailed) for event in events if isinstance(event, Planned | ShardFailed))
    events.close()  # type: ignore[attr-defined]

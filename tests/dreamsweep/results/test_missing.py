"""Missing parts of a shard, and the work of a run whose sweep asks for more than its store holds."""

from pathlib import Path

import pytest

from dreamsweep.planning.expand import Shard, shards
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.results.manifest import ShardManifest
from dreamsweep.results.missing import Missing, missing, work
from dreamsweep.spec import Kept, Sweep


def a_sweep(**changes: object) -> Sweep:
    content = {"name": "t", "prompts": ["a heart", "a star"], "engines": ["dalle"], "iterations": 60, "seeds": [0, 1], "shard_size": 2}
    return parse_sweep({"judges": [], **content, **changes}, Path("/"), "test")


def staged(shard: Shard, kept: Kept | None = None) -> ShardManifest:
    """The manifest that a run of the shard leaves."""
    count, kept = len(shard.trials), kept or Kept().with_more(shard.keep, shard.judging)
    return ShardManifest(
        shard_id=shard.shard_id, trial_ids=tuple(t.id for t in shard.trials), picture_sha256=("",) * count, statuses=("done",) * count,
        scores=(0,) * count, weights=(), tables={}, kept=(kept,) * count,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "things"),
    [
        ({}, set()),
        ({"films": ["webp", "gif"]}, {"films"}),
        ({"films": ["gif"]}, {"films"}),
        ({"snapshot_every": 40}, set()),
        ({"snapshot_every": 60}, set()),
        ({"snapshot_every": 0}, set()),
        ({"snapshot_every": 10}, {"snapshots"}),
        ({"snapshot_every": 30}, {"snapshots"}),
        ({"judge": "RN50"}, {"judging"}),
        ({"judge_every": 5, "films": ["mp4"]}, {"judging", "films"}),
        ({"judges": ["labels:things"]}, {"judges"}),
    ],
)
def test_of_a_staged_shard_that_is_missing_which_was_not_kept(changes: dict[str, object], things: set[str]) -> None:
    before, now = (next(shards(sweep)) for sweep in (a_sweep(), a_sweep(**changes)))
    ids = tuple(trial.id for trial in now.trials)
    assert missing(now, staged(before)) == Missing(**dict.fromkeys(things, ids))
    assert [s.shard_id for s in work(a_sweep(**changes), map(staged, shards(a_sweep())))] == (
        [s.shard_id for s in shards(a_sweep())] if things else []
    )


def test_snapshots_of_several_runs_count_together() -> None:
    shard = next(shards(a_sweep(snapshot_every=30)))
    assert not missing(shard, staged(shard, Kept(snapshots_every=(20, 15), films=("webp",), judged=(shard.judging,))))


def test_a_judge_that_has_scored_is_not_missing_and_another_is() -> None:
    things, views = (next(shards(a_sweep(judges=[name]))).judges[0] for name in ("labels:things", "views:RN50"))
    shard = next(shards(a_sweep(judges=["labels:things"])))
    kept = Kept().with_more(shard.keep, shard.judging)
    assert not missing(shard, staged(shard, kept.with_more(judge=views).with_more(judge=things)))
    assert missing(shard, staged(shard, kept.with_more(judge=views))).judges == tuple(trial.id for trial in shard.trials)


def test_a_manifest_that_records_nothing_lacks_trials_alone() -> None:
    shard = next(shards(a_sweep(films=["gif"])))
    unrecorded = staged(shard).model_copy(update={"kept": ()})
    assert not missing(shard, unrecorded) and ShardManifest.model_validate_json(unrecorded.model_dump_json(exclude={"kept"})) == unrecorded
    assert missing(shard, None) == Missing(trials=tuple(trial.id for trial in shard.trials))


def test_work_extends_what_is_staged_and_generates_what_is_new() -> None:
    before = list(shards(a_sweep()))
    more = a_sweep(prompts=["a fish", "a star", "a heart"], films=["webp", "gif"])
    first, second, new = work(more, map(staged, before))
    assert {first.shard_id, second.shard_id} == {shard.shard_id for shard in before}
    assert {trial.prompt.text for trial in new.trials} == {"a fish"} and len(new.trials) == 2
    assert list(work(a_sweep(), [])) == before

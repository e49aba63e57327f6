"""Expansion: complete, stable, lazy, each trial once."""

import itertools
import tracemalloc
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from dreamsweep.errors import SweepFileError
from dreamsweep.planning import expand
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.spec import ENGINES, DescentSpec, Judging, Keep, Name, Sweep, Trial, UnclipSpec


def a_sweep(**changes: object) -> Sweep:
    return parse_sweep({"name": "t", "prompts": ["a heart", "a star"], "engines": ["dalle"], **changes}, Path("/"), "test")


def test_lists_multiply_out() -> None:
    sweep = a_sweep(
        engines=[
            {"engine": "dalle", "cutouts": [4, 8], "optimizer": ["adam", {"name": "sgd", "learning_rate": [1, 2, 3]}]},
            {"engine": "strokes", "num_paths": [16, 32, 64]},
        ],
        seeds=[0, 1, 2],
    )
    trials = list(expand.trials(sweep))
    assert len(trials) == len({t.id for t in trials}) == (2 * 4 + 3) * 2 * 3
    optimizers = [t.engine.optimizer for t in trials if isinstance(t.engine, DescentSpec)]
    assert {optimizer.learning_rate for optimizer in optimizers if optimizer.name == "sgd"} == {1, 2, 3}


def test_the_fast_id_is_the_trial_s_own() -> None:
    prompts = [{"text": "a cat", "to": "a dog", "also": ["fur"]}, {"text": "a heart", "to": "a star", "negatives": ["blur"], "weight": 2}]
    every = [*ENGINES, {"engine": "dalle", "early_stop": 20, "optimizer": {"name": "sgd", "learning_rate": 3}}]
    for changes in ({}, {"precision": "bfloat16", "guide": ["RN50", {"name": "ViT-B/32", "weight": 0.5}], "judge_every": 5}):
        trials = list(expand.trials(a_sweep(prompts=prompts, engines=every, seeds=[0, 7], **changes)))
        assert {trial.engine.engine for trial in trials} == set(ENGINES)
        for trial in trials:
            assert Trial.model_validate_json(trial.model_dump_json()).id == trial.id


def test_what_is_kept_and_who_judges_are_beside_the_trials() -> None:
    plain = list(expand.shards(a_sweep()))
    more = list(expand.shards(a_sweep(films=["gif", "mp4"], snapshot_every=1, judge="ViT-B/32", judge_every=3)))
    assert [(s.shard_id, s.trials) for s in plain] == [(s.shard_id, s.trials) for s in more]
    assert more[0].keep == Keep(snapshot_every=1, films=("gif", "mp4")) and more[0].judging == Judging(judge="ViT-B/32", judge_every=3)


def test_a_judge_is_part_of_a_trial_only_where_it_stops_it() -> None:
    stopping = [{"engine": "dalle", "early_stop": [20, 40]}]
    ids = [{t.id for t in expand.trials(a_sweep(engines=stopping, judge_every=every))} for every in (5, 10)]
    assert len(ids[0]) == len(ids[1]) == 4 and not ids[0] & ids[1]
    assert {t.stopped_by for t in expand.trials(a_sweep(engines=stopping))} == {Judging(judge="starter-judge", judge_every=10)}
    assert {t.stopped_by for t in expand.trials(a_sweep())} == {None}


def test_settings_that_decide_no_pixels_do_not_multiply_out() -> None:
    sweep = a_sweep(prompts=[{"text": "a", "to": "b"}], engines=[{"engine": "interpolation", "frames_at_once": [1, 2, 4]}])
    assert len(list(expand.trials(sweep))) == expand.plan(sweep).trials == 1


def test_guides_in_turn_are_the_trials_of_each_of_them() -> None:
    together = ["RN50", {"name": "ViT-B/32", "weight": 0.5}]
    sweep = a_sweep(guides=["RN50", "ViT-B/32", together, ["RN50"]])
    apart = [trial.id for guide in ("RN50", "ViT-B/32", together) for trial in expand.trials(a_sweep(guide=guide))]
    assert sorted(trial.id for trial in expand.trials(sweep)) == sorted(apart)  # the same ids, each once
    shards = list(expand.shards(sweep))
    assert (expand.plan(sweep).trials, expand.plan(sweep).shards) == (len(apart), len(shards)) == (6, 3)
    assert all(len({trial.guide for trial in shard.trials}) == 1 for shard in shards)


def test_guides_stand_instead_of_guide() -> None:
    with pytest.raises(SweepFileError, match=r"guides: .* they stand instead of 'guide'"):
        a_sweep(guides=["RN50"], guide="ViT-B/32")


def test_a_list_of_one_guide_is_that_guide() -> None:
    alone, listed, heavier = (a_sweep(guide=guide) for guide in ("RN50", ["RN50"], [{"name": "RN50", "weight": 2}]))
    ids = [[t.id for t in expand.trials(sweep)] for sweep in (alone, listed, heavier)]
    assert ids[0] == ids[1] != ids[2]


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(st.sampled_from(["a", "b", "c", "d e"]), min_size=1, max_size=6),
    seeds=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    cutouts=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    shard_size=st.integers(1, 7),
)
def test_shards_partition_the_trials(texts: list[str], seeds: list[int], cutouts: list[int], shard_size: int) -> None:
    sweep = a_sweep(prompts=texts, seeds=seeds, engines=[{"engine": "dalle", "cutouts": cutouts}], shard_size=shard_size)
    trials = [t.id for t in expand.trials(sweep)]
    shards = list(expand.shards(sweep))
    assert [t.id for s in shards for t in s.trials] == trials
    assert len(trials) == len(set(trials)) == len(set(texts)) * len(set(seeds)) * len(set(cutouts))
    assert all(len({t.engine for t in s.trials}) == 1 and len(s.trials) <= shard_size for s in shards)
    plan = expand.plan(sweep)
    assert (plan.trials, plan.shards) == (len(trials), len(shards))


@pytest.mark.parametrize("done_shards", [{0}, {1}, {0, 2}, {1, 3}, {0, 1, 2, 3, 4, 5}])
def test_shards_that_are_left_keep_their_trials_and_names(done_shards: set[int]) -> None:
    """So a sweep that was cut off finds its checkpoints again."""
    sweep = a_sweep(engines=["dalle", "strokes"], seeds={"count": 5}, shard_size=4)
    whole = list(expand.shards(sweep))
    assert len(whole) == 6
    done = {t.id for at in done_shards for t in whole[at].trials}
    assert list(expand.shards(sweep, done)) == [shard for at, shard in enumerate(whole) if at not in done_shards]


@pytest.mark.parametrize(
    ("changes", "new", "shards"),
    [
        ({"seeds": [0, 1, 2, 3]}, 4, 1),
        ({"prompts": ["a heart", "a fish", "a star"]}, 2, 1),
        ({"engines": ["dalle", {"engine": "dalle", "cutouts": 4}]}, 4, 1),
        ({"engines": ["strokes", "dalle"], "seeds": [7, 1, 0]}, 6 + 2, 3),
        ({"shard_size": 1}, 0, 0),
    ],
)
def test_of_an_extended_list_only_what_is_new_is_left(changes: dict[str, object], new: int, shards: int) -> None:
    """Full shards of it, wherever in the list it stands."""
    before = {"prompts": ["a heart", "a star"], "seeds": [0, 1], "shard_size": 4}
    done = {trial.id for trial in expand.trials(a_sweep(**before))}
    after = a_sweep(**{**before, **changes})
    left = list(expand.shards(after, done))
    assert [t.id for s in left for t in s.trials] == [t.id for t in expand.trials(after) if t.id not in done]
    assert (sum(len(s.trials) for s in left), len(left)) == (new, shards)


def test_ten_times_the_trials_take_the_same_memory() -> None:
    def peak(seeds: int) -> int:
        sweep = a_sweep(prompts=[f"thing {i}" for i in range(100)], seeds={"count": seeds})
        tracemalloc.start()
        for _ in expand.trials(sweep):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(200) < 1.2 * peak(20) + 600_000  # the ids alone of 18,000 more trials would be 1,200,000


def test_expansion_is_lazy() -> None:
    sweep = a_sweep(seeds={"count": 10**12})
    assert len(list(itertools.islice(expand.trials(sweep), 5))) == 5


def test_only_an_interpolation_goes_on_to_other_prompts() -> None:
    prompts = [{"text": "a cat", "to": "a dog"}, {"text": "a cat", "to": ["a bird", "a fish"]}]
    expanded = list(expand.trials(a_sweep(prompts=prompts, engines=["strokes", "interpolation"])))
    assert [(t.engine.engine, t.prompt.to, t.num_iter) for t in expanded] == [
        ("strokes", (), 200), ("interpolation", ("a dog",), 50), ("interpolation", ("a bird", "a fish"), 50)
    ]  # fmt: skip
    plan = expand.plan(a_sweep(prompts=prompts, engines=["strokes", "interpolation"]))
    assert plan.trials_by_engine == {"strokes": 1, "interpolation": 2}
    for expansion in (expand.plan, lambda sweep: list(expand.trials(sweep))):
        with pytest.raises(SweepFileError, match="'a cat' has no 'to', which the engine interpolation needs"):
            expansion(a_sweep(prompts=["a cat"], engines=["interpolation"]))


def test_unclip_walks_from_a_picture_to_another_only(tmp_path: Path) -> None:
    picture = str(tmp_path / "a.png")
    Image.new("RGB", (2, 2)).save(picture)
    with pytest.raises(SweepFileError, match="a 'to_image' but no 'init_image'"):
        list(expand.trials(a_sweep(engines=[{"engine": "unclip", "to_image": picture}])))
    (trial, _) = expand.trials(a_sweep(engines=[{"engine": "unclip", "init_image": picture, "to_image": picture}]))
    assert isinstance(trial.engine, UnclipSpec) and trial.engine.to_image is not None and len(trial.engine.to_image.sha256) == 64


def test_a_daily_sweep_has_its_own_name_and_seeds_every_day() -> None:
    daily = a_sweep(name="nightly-{date}", seeds={"count": 3, "daily": True})
    first, second = (expand.of_day(daily, date(2026, 11, day)) for day in (21, 22))
    assert (first.name, second.name) == ("nightly-2026-11-21", "nightly-2026-11-22")
    assert not {trial.id for trial in expand.trials(first)} & {trial.id for trial in expand.trials(second)}
    assert sorted({trial.seed for trial in expand.trials(first)}) == [2_516_000, 2_516_001, 2_516_002]
    assert expand.of_day(first, date(2030, 1, 1)) is first


def test_daily_seeds_want_a_sweep_of_their_own_every_day() -> None:
    with pytest.raises(SweepFileError, match=r"daily seeds want a sweep of their own every day; name it 'nightly-\{date\}'"):
        a_sweep(name="nightly", seeds={"count": 3, "daily": True})


def test_a_dated_name_is_never_too_long_for_a_key() -> None:
    longest = a_sweep(name="n" * 44 + "{date}" + "-" * 9, seeds={"count": 1, "daily": True})
    name = expand.of_day(longest, date(2026, 11, 21)).name
    assert len(name) == 63 and TypeAdapter(Name).validate_python(name) == name
    with pytest.raises(SweepFileError, match="cannot be part of a path"):
        a_sweep(name="n" * 45 + "{date}")

"""Expansion: complete, stable, lazy, each trial once."""

import itertools
import time
import tracemalloc
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from dreamsweep import expand
from dreamsweep.errors import SweepFileError
from dreamsweep.spec import GuidedSpec, Name, Sweep, Trial, UnclipSpec
from dreamsweep.sweepfile import parse_sweep

GOLDEN = Path(__file__).parent / "golden_ids.txt"


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
    optimizers = [t.engine.optimizer for t in trials if isinstance(t.engine, GuidedSpec)]
    assert {optimizer.learning_rate for optimizer in optimizers if optimizer.name == "sgd"} == {1, 2, 3}


def test_ids_are_golden() -> None:
    """A change here orphans every picture already made. Regenerate with `python -m tests.dreamsweep.regenerate_golden_ids`."""
    sweep = a_sweep(engines=["dalle", "strokes"], seeds=[0, 7], iterations=50)
    assert [t.id for t in expand.trials(sweep)] == GOLDEN.read_text().split()


def test_the_fast_id_is_the_trial_s_own() -> None:
    for trial in expand.trials(a_sweep(engines=["dalle", "strokes"])):
        assert Trial.model_validate(trial.model_dump()).id == trial.id


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


def test_done_trials_are_left_out_and_shards_keep_their_names() -> None:
    sweep = a_sweep(seeds={"count": 8}, shard_size=4)
    whole = list(expand.shards(sweep))
    done = {t.id for t in whole[0].trials} | {whole[1].trials[0].id}
    rest = list(expand.shards(sweep, done))
    assert [s.shard_id for s in rest] == [s.shard_id for s in whole[1:]]
    assert rest[0].trials == whole[1].trials[1:]


def test_a_million_trials_in_a_minute_and_constant_memory() -> None:
    def peak(seeds: int) -> int:
        sweep = a_sweep(prompts=[f"thing {i}" for i in range(100)], seeds={"count": seeds})
        tracemalloc.start()
        for _ in expand.trials(sweep):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(100) < 1.2 * peak(10) + 100_000
    sweep = a_sweep(prompts=[f"thing {i}" for i in range(1000)], seeds={"count": 1000})
    began = time.process_time()
    assert sum(1 for _ in expand.trials(sweep)) == 1_000_000
    assert time.process_time() - began < 60


def test_expansion_is_lazy() -> None:
    sweep = a_sweep(seeds={"count": 10**12})
    assert len(list(itertools.islice(expand.trials(sweep), 5))) == 5


def test_prompts_from_files_and_templates(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("# a comment\none\n\n two \none\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("text,weight,negatives\nthree,2.5,blur|text\n", encoding="utf-8")
    content = {
        "name": "t",
        "engines": ["dalle"],
        "prompts": [
            {"file": "lines.txt"},
            {"file": "table.csv"},
            {"template": "a {material} bust of {name}", "material": ["gold", "wax"], "name": ["ada", "bob"]},
        ],
    }
    found = list(expand.prompts(parse_sweep(content, tmp_path, "test")))
    assert [p.text for p in found] == [
        "one", "two", "three", "a gold bust of ada", "a gold bust of bob", "a wax bust of ada", "a wax bust of bob",
    ]  # fmt: skip
    assert found[2].weight == 2.5 and [n.text for n in found[2].negatives] == ["blur", "text"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("empty.txt", "\n\n", "holds no prompts"),
        ("table.csv", "prompt\nx\n", "needs 'text'"),
        ("table.csv", "text,weight\nx,heavy\n", "line 2"),
        ("long.txt", "x" * 10_000, "line 1"),
    ],
)
def test_a_prompt_file_that_will_not_do_is_named_with_its_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    sweep = parse_sweep({"name": "t", "engines": ["dalle"], "prompts": name}, tmp_path, "test")
    with pytest.raises(SweepFileError, match=told):
        list(expand.trials(sweep))


def test_only_an_interpolation_goes_on_to_other_prompts() -> None:
    prompts = [{"text": "a cat", "to": "a dog"}, {"text": "a cat", "to": ["a bird", "a fish"]}]
    found = list(expand.trials(a_sweep(prompts=prompts, engines=["strokes", "interpolation"])))
    assert [(t.engine.engine, t.prompt.to, t.num_iter) for t in found] == [
        ("strokes", (), 200), ("interpolation", ("a dog",), 50), ("interpolation", ("a bird", "a fish"), 50)
    ]  # fmt: skip
    plan = expand.plan(a_sweep(prompts=prompts, engines=["strokes", "interpolation"]))
    assert plan.trials_by_engine == {"strokes": 1, "interpolation": 2}
    for made in (expand.plan, lambda sweep: list(expand.trials(sweep))):
        with pytest.raises(SweepFileError, match="'a cat' has no 'to', which the engine interpolation needs"):
            made(a_sweep(prompts=["a cat"], engines=["interpolation"]))


def test_templates_and_tables_say_what_an_interpolation_goes_on_to(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("text,to\na cat,a dog|a bird\na pear,\n")
    template = {"template": "a {one}", "to": ["a {other}"], "one": ["cat"], "other": ["dog", "bird"]}
    found = list(expand.prompts(a_sweep(prompts=[template, {"file": str(tmp_path / "p.csv")}])))
    assert [(p.text, p.to) for p in found] == [
        ("a cat", ("a dog",)), ("a cat", ("a bird",)), ("a cat", ("a dog", "a bird")), ("a pear", ())
    ]  # fmt: skip


def test_unclip_walks_from_a_picture_to_another_only() -> None:
    with pytest.raises(SweepFileError, match="a 'to_image' but no 'init_image'"):
        list(expand.trials(a_sweep(engines=[{"engine": "unclip", "to_image": __file__}])))
    (trial, _) = expand.trials(a_sweep(engines=[{"engine": "unclip", "init_image": __file__, "to_image": __file__}]))
    assert isinstance(trial.engine, UnclipSpec) and trial.engine.to_image is not None and len(trial.engine.to_image.sha256) == 64


def test_a_daily_sweep_has_its_own_name_and_seeds_every_day() -> None:
    asked = a_sweep(name="nightly-{date}", seeds={"count": 3, "daily": True})
    first, second = (expand.of_day(asked, date(2026, 11, day)) for day in (21, 22))
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

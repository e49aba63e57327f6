"""The naming test's data: each picture once, each answer marked by the stated rule, and the measure that compares networks with it."""

import csv
import re
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from dreamsweep.planning.expand import trials
from dreamsweep.planning.sweep_file import load_sweep
from dreamsweep.spec import Prompt

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = spec_from_file_location("naming", Path(__file__).parents[1] / "benchmarks" / "naming.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_picture_has_one_answer_and_one_place(benchmark: ModuleType) -> None:
    answers = rows("naming.csv")
    for name, seeds in (("naming.yaml", "01"), *((f"naming-seed-{seed}.yaml", str(seed)) for seed in (2, 3, 4, 5))):
        sweep, of_sweep = load_sweep(DATA / name), [row for row in answers if row["seed"] in seeds]
        assert {row["prompt"] for row in of_sweep} == {prompt.text for prompt in sweep.prompts if isinstance(prompt, Prompt)}
        assert {row["engine"] for row in of_sweep} == {engine.engine for engine in sweep.engines}
    assert set(Counter((row["prompt"], row["engine"], row["seed"]) for row in answers).values()) == {1}
    for seeds, extra in (("01", []), ("2", []), ("3", []), ("4", []), ("5", rows("naming-wall.csv"))):
        shown = [row for row in answers if row["seed"] in seeds] + extra
        assert len({(row["sitting"], row["tile"]) for row in shown}) == len(shown)
    for seed in range(6):
        of_seed = [row for row in answers if int(row["seed"]) == seed]
        assert [int(row["picture"]) for row in of_seed] == [*range(120)]
        with Image.open(benchmark.atlas_of(seed)) as atlas:
            assert atlas.size == (16 * 128, 8 * 128)


def test_the_wall_has_every_trial_of_its_sweep_and_its_pairs_are_counted(benchmark: ModuleType) -> None:
    wall = rows("naming-wall.csv")
    sweep = load_sweep(DATA.parents[1] / "prompts" / "engines.yaml")
    assert {row["trial_id"] for row in wall} == {trial.id for trial in trials(sweep)}
    right, pairs = benchmark.wall_pairs()
    assert (right, pairs) == (0, 2)


def test_what_was_named_follows_the_rule() -> None:
    synonyms = {row["prompt"]: row["words"].split("|") for row in rows("naming-synonyms.csv")}
    answers = rows("naming.csv")
    to_come = {prompt.text for prompt in load_sweep(DATA / "naming-plain.yaml").prompts if isinstance(prompt, Prompt)}
    assert {row["prompt"] for row in answers} | to_come == {*synonyms}
    for row in answers:
        words = "|".join(map(re.escape, synonyms[row["prompt"]]))
        assert synonyms[row["prompt"]][0] in row["prompt"]
        assert (row["named"] == "yes") == bool(re.search(rf"\b({words})(e?s)?\b", row["answer"])), row


def test_the_area_is_the_share_of_pairs_in_the_right_order(benchmark: ModuleType) -> None:
    assert benchmark.area([3, 1, 2, 2], [True, False, True, False]) == 0.875
    assert benchmark.area([1, 1], [True, False]) == 0.5


def test_pairs_within_a_prompt_leave_other_prompts_out(benchmark: ModuleType) -> None:
    pictures = [benchmark.Named(0, 0, "a", "e", True), benchmark.Named(1, 0, "a", "e", False), benchmark.Named(2, 0, "b", "e", False)]
    assert benchmark.within_prompts(pictures, [2.0, 1.0, 9.0]) == 1.0

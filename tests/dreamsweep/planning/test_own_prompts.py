"""Engines' entries that draw some of the sweep's prompts."""

from pathlib import Path
from typing import Any

import pytest

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.expand import plan, trials
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.spec import Sweep


def sweep(engines: list[Any], prompts: list[Any] | None = None) -> Sweep:
    return parse_sweep({"name": "own", "prompts": prompts or ["a cat", "a dog", "a hat"], "engines": engines}, Path(), "own")


def drawn(of: Sweep) -> set[tuple[str, str]]:
    listed = [(trial.engine.engine, trial.prompt.text) for trial in trials(of)]
    assert len(listed) == plan(of).trials == len({*listed})
    return {*listed}


def test_an_entry_draws_its_own_prompts_and_entries_of_one_spec_those_of_all() -> None:
    engines: list[Any] = [{"engine": "dalle", "prompts": ["a cat"]}, "strokes", {"engine": "dalle", "prompts": ["a hat"]}]
    strokes = {("strokes", text) for text in ("a cat", "a dog", "a hat")}
    assert drawn(sweep(engines)) == {("dalle", "a cat"), ("dalle", "a hat")} | strokes
    assert drawn(sweep([*engines, "dalle"])) == {("dalle", text) for text in ("a cat", "a dog", "a hat")} | strokes


def test_a_prompt_s_trials_keep_their_ids() -> None:
    some = {trial.id for trial in trials(sweep([{"engine": "dalle", "cutouts": [8, 16], "prompts": ["a cat"]}]))}
    every = {trial.id for trial in trials(sweep([{"engine": "dalle", "cutouts": [8, 16]}]))}
    assert some < every and len(some) == 2


def test_only_its_own_prompts_must_fit_an_engine() -> None:
    walk = {"text": "a sea", "to": ["a lake"]}
    assert drawn(sweep(["dalle", {"engine": "interpolation", "prompts": ["a sea"]}], ["a cat", walk])) == {
        *(("dalle", text) for text in ("a cat", "a sea")),
        ("interpolation", "a sea"),
    }


def test_a_text_that_is_no_prompt_is_named() -> None:
    with pytest.raises(SweepFileError, match=r"engines\[0\].prompts\[1\]: 'a dogg' is no prompt of the sweep; did you mean 'a dog'\?"):
        sweep([{"engine": "dalle", "prompts": ["a cat", "a dogg"]}])

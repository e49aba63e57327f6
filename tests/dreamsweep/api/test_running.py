"""Sweeps run from Python: as a file, as words, and as a `Sweep`."""

import warnings
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

import dreamsweep as ds
from tests.dreamsweep.generation.sweeps import TWO_ENGINES, small_sweep

pytestmark = pytest.mark.usefixtures("tiny_weights")
ONE = {**TWO_ENGINES, "prompts": ["a red heart"], "engines": TWO_ENGINES["engines"][:1], "iterations": 1}  # type: ignore[index]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with the sweep as a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(ONE))
    return tmp_path


def test_a_file_words_and_a_sweep_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    given: list[Any] = ["one.yaml", Path("one.yaml"), ONE, ds.load("one.yaml"), ds.parse(ONE), ds.Sweep(**ONE)]
    tables = [ds.run(sweep, progress=False).trials()["trial_id"].to_pylist() for sweep in given]
    assert len(tables[0]) == 1 and all(table == tables[0] for table in tables)
    assert capsys.readouterr().out == ""


def test_progress_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    results = ds.run(ONE, "elsewhere")
    assert capsys.readouterr().out.splitlines()[:2] == ["t: starting…", "t: 0/1 trials"]
    assert repr(results) == f"dreamsweep.open('{Path('elsewhere').resolve().as_uri()}')['t']"


def test_a_sweep_of_a_day() -> None:
    assert ds.run({**ONE, "name": "t-{date}"}, day=date(2026, 11, 20), progress=False).name == "t-2026-11-20"


def test_prompts_that_are_read_otherwise_or_not_at_all_are_warned_of() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ds.run({**ONE, "prompts": ["a [red] heart"]}, progress=False)
    notation, *unread = [str(warning.message) for warning in warned if warning.category is UserWarning]
    assert notation.startswith("prompts[0]: '[red]' in 'a [red] heart' is read as plain text, not as emphasis;")
    assert unread == [f"{name} never learned '[red]' and passes over it" for name in ("starter-guide", "starter-judge")]


def test_mistakes_are_one_sentence() -> None:
    with pytest.raises(ds.UserError, match=r"sweep file 'two.yaml' is not there; did you mean 'one.yaml'"):
        ds.run("two.yaml")
    with pytest.raises(ds.UserError, match=r"the sweep: engines\[0\]: no engine 'stroke'; did you mean 'strokes'"):
        ds.run({**ONE, "engines": ["stroke"]})
    with pytest.raises(ds.UserError, match="device 'tpu' is not there"):
        ds.run(small_sweep(name="u"), device="tpu", progress=False)


def test_pictures_to_start_from_are_read_from_the_working_directory(folder: Path) -> None:
    with pytest.raises(ds.UserError, match=r"start.png' cannot be read"):
        ds.run(ds.Sweep(name="t", prompts=("a",), engines=({"engine": "dalle", "init_image": "start.png"},)))

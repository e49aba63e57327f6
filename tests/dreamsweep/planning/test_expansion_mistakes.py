"""Mistakes that show when a valid sweep is expanded: all are listed at once, with lines and columns."""

from pathlib import Path

import pytest

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.expand import plan
from dreamsweep.planning.mistakes import MOST_SHOWN
from dreamsweep.planning.sweep_file import load_sweep, parse_sweep
from dreamsweep.spec import Sweep

FILE = """\
name: bad
prompts:
  - a red heart
  - "\\u200b"
  - {template: "a {colour} {thing", colour: [red]}
  - {template: "a {colour} thing", colour: [], size: [x]}
  - file: names.txt
  - file: table.csv
  - file: gone.txt
  - {text: a cat, to: a dog}
engines:
  - engine: dalle
    rate_end: 0.3
    init_image: nothing.png
    rate_until: [0.2, 0.4]
  - {engine: unclip, to_image: nothing.png, init_image: nothing.png, prior: autoregressive, conditioning: text}
  - {engine: big-sleep, image_size: [256, 512]}
  - {engine: strokes, rate_drops: [{at: 0.6, times: 1}, {at: 0.2, times: 0.5}]}
  - interpolation
"""
SCHEDULE = "has no effect here: it needs 'rate_schedule' linear, cosine or exponential."
BRACES = "write {name} where a list's value belongs, and {{ or }} for a brace itself."


def lines_of(path: Path) -> list[str]:
    """Returns the lines of a sweep file's refusal, its folder left out."""
    with pytest.raises(SweepFileError) as raised:
        load_sweep(path)
    return str(raised.value).replace(f"{path.parent}/", "").splitlines()


def test_every_mistake_has_its_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(FILE, encoding="utf-8")
    (tmp_path / "names.txt").write_text("a heart\n\u202eevil\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text(f"text,weight\na heart,1\na star,heavy\n{'x' * 3000},1\n", encoding="utf-8")
    listed = lines_of(tmp_path / "bad.yaml")
    assert listed == [
        "bad.yaml:3:5: prompts[0]: 'a red heart' has no 'to', which the engine interpolation needs; write {text: 'a red heart', to: …} "
        "(1 more prompt without it).",
        "bad.yaml:4:5: prompts[1]: text is empty, as nobody sees the characters of '\\u200b'; write what to draw.",
        f"bad.yaml:5:6: prompts[2].template: '{{' at character 12 names none of the lists ('colour'); {BRACES}",
        "bad.yaml:6:6: prompts[3].template: 'a {colour} thing' does not name the list 'size'; write {size} in it, or delete the list.",
        "bad.yaml:6:36: prompts[3].colour: the list is empty; give it at least one value.",
        "bad.yaml:7:5: prompts[4].file (names.txt, line 2, column 1): the text holds the invisible character U+202E; delete it.",
        "bad.yaml:8:5: prompts[5].file (table.csv, line 3): weight: 'heavy' is not valid: input should be a valid number, "
        "unable to parse string as a number.",
        "bad.yaml:8:5: prompts[5].file (table.csv, line 4): text has 3,000 characters; at most 2,000 are read (a perceptor sees some 300), "
        "so shorten it.",
        "bad.yaml:9:5: prompts[6].file: 'gone.txt' cannot be read (No such file or directory); paths are relative to the sweep file.",
        f"bad.yaml:13:5: engines[0].rate_end: {SCHEDULE}",
        "bad.yaml:14:5: engines[0].init_image: 'nothing.png' cannot be read (No such file or directory).",
        f"bad.yaml:15:5: engines[0].rate_until: {SCHEDULE}",
        "bad.yaml:16:22: engines[1].to_image: 'nothing.png' cannot be read (No such file or directory).",
        "bad.yaml:16:45: engines[1].init_image: 'nothing.png' cannot be read (No such file or directory).",
        "bad.yaml:16:70: engines[1].prior: has no effect here: a prior draws only with 'conditioning: prior', and without "
        "'init_image' and 'start: thing'.",
        "bad.yaml:17:5: engines[2]: big-sleep has image_size 256, but the starter weights draw 128; set image_size to that, "
        "or weights: published.",
        "bad.yaml:17:5: engines[2]: big-sleep has image_size 512, but the starter weights draw 128; set image_size to that, "
        "or weights: published.",
        "bad.yaml:18:5: engines[3]: rate_drops: their 'at' is [0.6, 0.2]; each must come after the one before.",
    ]


def test_of_many_the_first_are_listed(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("text,weight\n" + "a heart,-1\n" * 100_000, encoding="utf-8")
    (tmp_path / "t.yaml").write_text("name: t\nprompts: names.csv\nengines: [dalle]\n", encoding="utf-8")
    listed = lines_of(tmp_path / "t.yaml")
    assert len(listed) == MOST_SHOWN + 1 and listed[-1] == "t.yaml: more mistakes like these are not listed."


def test_a_mapping_s_mistakes_have_no_lines() -> None:
    with pytest.raises(SweepFileError) as raised:
        parse_sweep({"name": "t", "prompts": ["a"], "engines": [{"engine": "dalle", "rate_end": 0.3}, "interpolation"]}, Path(), "it")
    assert str(raised.value).splitlines() == [
        f"it: engines[0].rate_end: {SCHEDULE}",
        "it: prompts[0]: 'a' has no 'to', which the engine interpolation needs; write {text: 'a', to: …}.",
    ]


def test_a_sweep_that_nobody_looked_through_is_refused_when_it_is_expanded() -> None:
    with pytest.raises(SweepFileError, match=rf"^engines\[0\]\.rate_end: {SCHEDULE}$"):
        plan(Sweep.model_validate({"name": "t", "prompts": ["a"], "engines": [{"engine": "dalle", "rate_end": 0.3}]}))
    with pytest.raises(SweepFileError, match=r"^prompts\[1\]: text is empty, as nobody sees"):
        plan(Sweep.model_validate({"name": "t", "prompts": ["a", "\u200b"], "engines": ["dalle"]}))

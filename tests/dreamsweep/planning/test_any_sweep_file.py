"""Whatever a sweep file holds, it is a sweep or is refused in sentences; a sweep that is written out again is the same."""

import json
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.sweep_file import parse_sweep, parse_text, sweep_text
from dreamsweep.spec import ENGINES, Sweep

TEXT = st.text(max_size=12)
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.dates() | st.sampled_from(["1e3", "16:9", "512x512", "a: b", "~"])
)
PROMPT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=20).filter(lambda text: text.strip() == text)
OTHER_WORDS = "text template file start count daily cron timezone at times learning_rate Name snapshot-every size"
WORDS = st.sampled_from(
    sorted({*Sweep.model_fields, *(word for name in ENGINES for word in ENGINES[name].model_fields), *OTHER_WORDS.split()})
)
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | TEXT, inner, max_size=4) | st.dictionaries(PLAIN, inner, max_size=1)
    ),
)
CONTENTS = st.dictionaries(WORDS | TEXT, ANYTHING, max_size=5) | st.fixed_dictionaries(
    {
        "name": st.just("t") | ANYTHING,
        "prompts": st.lists(ANYTHING, max_size=3) | ANYTHING,
        "engines": st.lists(st.dictionaries(WORDS, ANYTHING, max_size=3).map(lambda words: {"engine": "dalle"} | words), max_size=2)
        | ANYTHING,
    },
    optional={"seeds": ANYTHING, "schedule": ANYTHING, "guide": ANYTHING, "films": ANYTHING},
)
SWEEPS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
        "prompts": st.lists(
            PROMPT
            | st.fixed_dictionaries(
                {"text": PROMPT}, optional={"weight": st.floats(0.1, 9), "to": PROMPT, "negatives": st.lists(PROMPT, max_size=2)}
            ),
            min_size=1,
            max_size=3,
        ),
        "engines": st.lists(
            st.sampled_from(["dalle", "strokes", "big-sleep"])
            | st.fixed_dictionaries(
                {"engine": st.just("dalle")},
                optional={
                    "cutouts": st.integers(1, 99) | st.lists(st.integers(1, 99), min_size=1, max_size=3),
                    "optimizer": st.sampled_from(["adam", {"name": "sgd", "learning_rate": [1, 0.1]}, ["adam", "sgd"]]),
                    "contrast": st.floats(0, 1e9) | st.sampled_from([1e-320, 1e22]),
                },
            ),
            min_size=1,
            max_size=2,
        ),
    },
    optional={
        "seeds": st.integers(0, 2**63 - 1)
        | st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3)
        | st.builds(dict, start=st.integers(0, 2**62), count=st.integers(1, 2**62)),
        "schedule": st.sampled_from(["0 2 * * *", {"cron": "30 1 * * mon", "timezone": "Europe/Berlin", "active": False}]),
        "films": st.sampled_from(["gif", ["webp", "mp4"]]),
    },
)


def check_sentences(text: str, source: str) -> None:
    for line in text.splitlines():
        assert line.startswith((f"{source}:", f"sweep file '{source}' holds")), line
        assert line.endswith((".", "?")), line
        assert line.isprintable() and "Grid" not in line and "pydantic" not in line, line


def parsed(text: str) -> Sweep | None:
    """Returns the sweep of a text; None where it is refused, in sentences."""
    try:
        return parse_text(text, Path("/nowhere"), "t.yaml")
    except SweepFileError as error:
        check_sentences(str(error), "t.yaml")
        return None


@given(st.text() | st.text("{}[]:,-#&*!|>'\"%@`?~ \n\tab0.<=", max_size=60))
def test_any_text_is_a_sweep_or_refused_in_sentences(text: str) -> None:
    parsed(text)
    parsed(f"name: t\nengines: [dalle]\nprompts:\n- {text}\n")


@given(CONTENTS)
@example({"name": "t", "prompts": "\ud7fc", "engines": []})  # a letter that no terminal shows
def test_any_mapping_is_a_sweep_or_refused_in_sentences(content: dict[Any, Any]) -> None:
    try:
        sweep = parse_sweep(content, Path("/nowhere"), "t")
    except SweepFileError as error:
        check_sentences(str(error), "t")
    else:
        assert parsed(sweep_text(sweep)) == sweep


@given(CONTENTS)
@example({"name": "t", "prompts": "\ud7fc", "engines": []})  # a letter that no terminal shows
def test_any_file_is_a_sweep_or_refused_in_sentences(content: dict[Any, Any]) -> None:
    parsed(yaml.safe_dump(content, allow_unicode=True))
    parsed(json.dumps(content, default=str, skipkeys=True))


@given(SWEEPS, st.booleans())
def test_a_sweep_written_as_yaml_or_json_is_the_same(content: dict[str, Any], escaped: bool) -> None:
    sweep = parse_sweep(content, Path("/nowhere"), "t")
    assert parsed(sweep_text(sweep)) == sweep
    assert parsed(yaml.safe_dump(content, allow_unicode=not escaped)) == sweep
    assert parsed(json.dumps(content, ensure_ascii=escaped, indent="\t" if escaped else None)) == sweep

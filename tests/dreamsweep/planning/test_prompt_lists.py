"""Lists of prompts in JSON, JSON Lines and YAML: what was written comes back, and a mistake has its place."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.spec import Phrase
from tests.dreamsweep.planning.prompt_reading import read_or_refused, read_prompts, read_texts, seen, sentence_about, texts, weights


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "p.json",
            '[{"text": "a fox", "weight": 2, "also": "fur", "negatives": ["blur", {"text": "text", "weight": 0.5}], "to": ["a hare"]}]',
        ),
        (
            "p.jsonl",
            '{"text": "a fox", "weight": 2, "also": "fur", "negatives": ["blur", {"text": "text", "weight": 0.5}], "to": "a hare"}',
        ),
        (
            "p.yaml",
            "- text: a fox\n  weight: 2\n  also: fur\n  negatives:\n  - blur\n  - text: text\n    weight: 0.5\n  to: a hare\n",
        ),
    ],
)
def test_an_object_has_the_words_of_a_prompt(name: str, content: str) -> None:
    (prompt,) = read_prompts(name, content)
    assert (prompt.text, prompt.weight, prompt.also, prompt.to) == ("a fox", 2, (Phrase(text="fur"),), ("a hare",))
    assert prompt.negatives == (Phrase(text="blur"), Phrase(text="text", weight=0.5))


def test_in_yaml_every_entry_is_a_text() -> None:
    content = "- 1984\n- no\n- 2024-02-30\n- 0x1F\n- 1:30\n- a \\ fox\n- >\n  a fox\n  in snow\n- &fox a fox\n- *fox\n"
    assert read_texts("p.yaml", content) == ["1984", "no", "2024-02-30", "0x1F", "1:30", "a \\ fox", "a fox in snow", "a fox", "a fox"]


def test_escapes_are_characters() -> None:
    assert read_texts("p.json", r'["\ud83e\udd8a", "a\tb"]') == ["\U0001f98a", "a\tb"]
    assert read_texts("p.yaml", '- "\\U0001f98a"\n- "a\\tb"\n') == ["\U0001f98a", "a\tb"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.json", '["a fox",\n "a hare" 1]', " (p.json, line 2, column 11): it is not JSON ("),
        (
            "p.json",
            '"a fox"\n"a hare"',
            " (p.json, line 2, column 1): it is not JSON (extra data); name a file with a value a line .jsonl.",
        ),
        ("p.json", '"a fox"', ': \'p.json\' holds no list; write the prompts as ["a red heart", "a star"].'),
        ("p.json", '{"fox": 1}', ": 'p.json' holds no list; "),
        ("p.json", '["a fox", 1984]', " (p.json, entry 2): '1984' is no prompt; write a text in quotes, or an object with 'text'."),
        ("p.json", '["a fox", null]', " (p.json, entry 2): the entry is empty; write what to draw."),
        ("p.json", '["a fox", ""]', " (p.json, entry 2): text is empty; write what to draw."),
        ("p.json", '[["a fox"]]', " (p.json, entry 1): '[\"a fox\"]' is no prompt; "),
        ("p.json", '[{"prompt": "a fox"}]', " (p.json, entry 1): text is missing; write what to draw."),
        (
            "p.json",
            '[{"text": "a", "style": "b"}]',
            " (p.json, entry 1): 'style' is no word of a prompt; use text, weight, also, negatives, to.",
        ),
        ("p.json", '[{"text": 1984}]', " (p.json, entry 1): text: '1984' is no text; put it in quotes."),
        ("p.json", '[{"text": "a", "text": "b"}]', " (p.json, line 1): an object has 'text' twice; write texts and weights."),
        ("p.json", '[{"text": "a", "weight": NaN}]', " (p.json, line 1): NaN is no number of JSON; write texts and weights."),
        ("p.json", '[{"text": "a", "weight": 1e999}]', " (p.json, entry 1): weight: 'inf' is not valid: input should be a finite number."),
        ("p.json", '[{"text": "a", "weight": %s}]' % ("9" * 5_000), " (p.json, line 1): a number has too many digits; "),
        ("p.json", '["\\ud83e fox"]', " (p.json, entry 1): text holds half of a character; "),
        (
            "p.json",
            '["a \\u001b[31m fox"]',
            " (p.json, entry 1): text holds the invisible character U+001B, character 3 of 'a \\x1b[31m fox'; ",
        ),
        ("p.json", '["\\u200b"]', " (p.json, entry 1): text is empty, as nobody sees the characters of '\\u200b'; write what to draw."),
        ("p.json", "[" * 100_000, " (p.json, line 1): it is nested too deeply; "),
        ("p.jsonl", '"a fox"\n{"text"}', " (p.jsonl, line 2, column 8): it is not JSON ("),
        ("p.jsonl", '"a fox"\n["a hare"]', " (p.jsonl, line 2): '[\"a hare\"]' is no prompt; "),
        (
            "p.yaml",
            "- a fox\n- Fox Saga: Return\n",
            " (p.yaml, line 2): 'Fox Saga: …' has no 'text'; put a prompt that holds ': ' in quotes.",
        ),
        ("p.yaml", "- a: b: c\n", " (p.yaml, line 1, column 7): it is not YAML (mapping values are not allowed here); put texts with "),
        ("p.yaml", "- a fox\n- {colour} fox\n", " (p.yaml, line 2, column 12): it is not YAML "),
        ("p.yaml", "- a fox\n-\n- ~\n", " (p.yaml, line 2): the entry is empty; write what to draw."),
        ("p.yaml", "- text: a\n  text: b\n", " (p.yaml, line 2): the word 'text' stands twice; delete one of them."),
        ("p.yaml", "- {text: a, weight: heavy}\n", " (p.yaml, line 1): weight: 'heavy' is not valid: "),
        ("p.yaml", "- {[a]: b}\n", " (p.yaml, line 1): a word is a list or a mapping; put a text with brackets in quotes."),
        ("p.yaml", "- [a, b]\n", ' (p.yaml, line 1): \'["a", "b"]\' is no prompt; '),
        ("p.yaml", "name: x\nengines: [dalle]\n", ": 'p.yaml' holds no list; begin the line of each prompt with '- '."),
        ("p.yaml", "a fox\n", ": 'p.yaml' holds no list; "),
        ("p.yaml", '- "\\UFFFFFFFF"\n', ": 'p.yaml' is not YAML, as an escape in it names no character; "),
        ("p.yaml", "&a [*a]", " (p.yaml, line 1): it is nested too deeply; "),
        ("p.yaml", "[" * 1_000, " (p.yaml, line 1): it is nested too deeply; "),
        ("p.yaml", "- a\n---\n- b\n", " (p.yaml, line 2, column 1): it is not YAML (but found another document); "),
    ],
)
def test_a_mistake_has_its_place(name: str, content: str, sentence: str) -> None:
    assert sentence_about(name, content).startswith(sentence)


entries = texts | st.builds(
    lambda text, weight, negatives: {"text": text, "weight": weight, "negatives": negatives}, texts, weights, st.lists(texts, max_size=2)
)


def words(name: str, content: str) -> list[tuple[str, float, list[str]]]:
    """Returns text, weight and negatives of each prompt in a file."""
    return [(prompt.text, prompt.weight, [phrase.text for phrase in prompt.negatives]) for prompt in read_prompts(name, content)]


def expected_words(written: list[Any]) -> list[tuple[str, float, list[str]]]:
    """Returns text, weight and negatives of each entry as it was written."""
    objects: list[Any] = [{"text": entry, "weight": 1, "negatives": []} if isinstance(entry, str) else entry for entry in written]
    return [(*seen([entry["text"]]), entry["weight"], seen(entry["negatives"])) for entry in objects]


@given(st.lists(entries, min_size=1, max_size=6), st.booleans(), st.sampled_from([None, 1]))
def test_json_comes_back(written: list[Any], ascii_only: bool, indent: int | None) -> None:
    assert words("p.json", json.dumps(written, ensure_ascii=ascii_only, indent=indent)) == expected_words(written)


@given(st.lists(entries, min_size=1, max_size=6), st.booleans())
def test_json_lines_come_back(written: list[Any], ascii_only: bool) -> None:
    assert words("p.jsonl", "\n".join(json.dumps(entry, ensure_ascii=ascii_only) for entry in written)) == expected_words(written)


@given(st.lists(entries, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_yaml_comes_back(written: list[Any], unicode: bool, flow: bool) -> None:
    assert words("p.yaml", yaml.safe_dump(written, allow_unicode=unicode, default_flow_style=flow)) == expected_words(written)


TOKENS = [
    "[",
    "]",
    "{",
    "}",
    '"',
    ",",
    ":",
    '"a"',
    '"text"',
    "null",
    "1",
    "\n",
    " ",
    "- ",
    "a",
    "text: ",
    "? ",
    "|\n",
    "&b ",
    "*b",
    "!c ",
    "#",
    "%",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=20).map("".join), st.sampled_from(["p.json", "p.jsonl", "p.yaml"]))
def test_a_list_is_read_or_refused_in_a_sentence(content: str, name: str) -> None:
    read_or_refused(name, content)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["text", "weight", "also", "to", "x"]), inner),
    )
)
def test_any_json_is_read_whole_or_refused(content: object) -> None:
    for name in ("p.json", "p.jsonl"):
        prompts = read_or_refused(name, json.dumps(content))
        assert not prompts or len(prompts) == (len(content) if isinstance(content, list) else 1)

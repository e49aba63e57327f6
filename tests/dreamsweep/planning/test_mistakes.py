"""All mistakes of a file at once, each with its line: words, values, prompts that YAML reads as something else, sizes, seeds."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.sweep_file import load_sweep, parse_sweep, parse_text
from dreamsweep.spec import Prompt, SeedRange, Sweep

QUOTES = "put the text in quotes"
START = "name: t\nengines: [dalle]\n"


def read(text: str) -> Sweep:
    return parse_text(text, Path("/nowhere"), "t.yaml")


def refusal(text: str) -> str:
    """The mistakes of a text, without the file's name."""
    with pytest.raises(SweepFileError) as error:
        read(text)
    return str(error.value).replace("t.yaml:", "")


def texts(sweep: Sweep) -> list[str]:
    return [prompt.text for prompt in sweep.prompts if isinstance(prompt, Prompt)]


MANY = """name: 2026-11-26
prompts: [a, Star Saga: Return]
engines:
  - {engine: dalle, iteratons: 3, cutouts: [2, x]}
  - engine: strokes
    num-paths: 3
    optimizer: {name: adamm, learning_rat: 1}
seeds: [1, -1]
snapshot-every: 5
"""
SENTENCES = [
    '1:1: name: 2026-11-26 is read as a date, where a text belongs; put it in quotes: "2026-11-26".',
    "2:14: prompts[1]: \"Star Saga: Return\" is read as a word and its value, because of the ':'; put the text in quotes.",
    "4:21: engines[0].iteratons: no such word; did you mean 'iterations'? But it stands beside 'engines', not in it.",
    "4:48: engines[0].cutouts[1]: 'x' is no whole number.",
    "6:5: engines[1].num-paths: no such word; did you mean 'num_paths'?",
    "7:17: engines[1].optimizer.name: no 'adamm'; did you mean 'adam'?",
    "7:30: engines[1].optimizer.learning_rat: no such word; did you mean 'learning_rate'?",
    "8:12: seeds[1]: -1 is no seed; seeds go from 0 to 9223372036854775807.",
    "9:1: snapshot-every: no such word; did you mean 'snapshot_every'?",
]


def test_all_mistakes_are_listed_with_their_lines() -> None:
    assert refusal(MANY).splitlines() == SENTENCES


def test_a_mapping_of_python_s_has_the_same_mistakes_and_no_lines() -> None:
    engines = [
        {"engine": "dalle", "iteratons": 3, "cutouts": [2, "x"]},
        {"engine": "strokes", "num-paths": 3, "optimizer": {"name": "adamm", "learning_rat": 1}},
    ]
    content: dict[Any, Any] = {"name": "t", "prompts": ["a"], "engines": engines, "seeds": [1, -1], "snapshot-every": 5, 3: 4}
    with pytest.raises(SweepFileError) as error:
        parse_sweep(content, Path("/nowhere"), "the sweep")
    expected = {f"the sweep: {sentence.split(' ', 1)[1]}" for sentence in SENTENCES[2:]}
    assert set(str(error.value).splitlines()) == {*expected, "the sweep: the word 3 is the number 3; put it in quotes."}


def test_json_has_lines_as_well() -> None:
    text = json.dumps({"name": "t", "prompts": ["a", 1984], "engines": ["dalle"], "seed": 1}, indent="\t")
    assert refusal(text).splitlines() == [
        "5:3: prompts[1]: 1984 is the number 1984, where a text belongs; put the text in quotes.",
        "10:2: seed: no such word; did you mean 'seeds'?",
    ]


def test_twenty_mistakes_are_enough() -> None:
    lines = refusal(START + "prompts:\n" + "- 5\n" * 25).splitlines()
    assert len(lines) == 21
    assert lines[-1] == " more mistakes like these are not listed."


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("1984", "the number 1984"),
        ("1_000", "the number 1000"),
        ("0x10", "the number 16"),
        ("010", "the number 8"),
        ("12:30:45", "the number 45045"),
        ("1.50", "the number 1.5"),
        (".inf", "the number inf"),
        ("no", "the truth value false"),
        ("On", "the truth value true"),
        ("~", "nothing"),
        ("null", "nothing"),
        ("2026-11-26", "a date"),
        ("2026-11-26 10:00:00", "a date"),
    ],
)
def test_a_prompt_that_yaml_reads_as_something_else(written: str, kind: str) -> None:
    sentence = f'is read as {kind}, where a text belongs; put it in quotes: "{written}".'
    assert refusal(f"{START}prompts:\n- {written}\n") == f"4:3: prompts[0]: {written} {sentence}"
    assert refusal(f"{START}prompts:\n- {{text: {written}}}\n").endswith(sentence)
    assert refusal(f"{START}prompts:\n- {{text: a, negatives: [{written}]}}\n").endswith(sentence)
    assert refusal(f'{START}prompts:\n- {{template: "a {{x}}", x: [b, {written}]}}\n') == f"4:30: prompts[0].x[1]: {written} {sentence}"
    assert texts(read(f'{START}prompts:\n- "{written}"\n')) == [written]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("a: b", "\"a: b\" is read as a word and its value, because of the ':'; put the text in quotes"),
        ("Star Saga:", "\"Star Saga:\" is read as a word and its value, because of the ':'; put the text in quotes"),
        ("[a, b]", "['a', 'b'] is a list, where a text belongs"),
        ("", "empty; write a value, or take the line out (a text that begins with '#' goes in quotes)"),
        ("#hashtag", "empty; write a value, or take the line out (a text that begins with '#' goes in quotes)"),
        ("2026-13-01", "'2026-13-01' is read as a date that no calendar has; if it is a text, put it in quotes"),
        ("!important news", "'!important' is read as a tag of YAML, which no sweep has; take it out, or put the text in quotes"),
        ('"a\\e[31m"', "the text holds a control character (U+001B); take it out"),
        ('"\\ud83d"', "'\\ud83d' holds half a character (a lone surrogate); write it again"),
    ],
)
def test_a_prompt_that_is_none(entry: str, sentence: str) -> None:
    (line,) = refusal(f"{START}prompts:\n- {entry}\n").splitlines()
    assert line.partition("prompts[0]: ")[2] == f"{sentence}."


def test_a_misspelt_word_of_a_prompt_is_no_text_with_a_colon() -> None:
    assert "prompts[0].txt: no such word; did you mean 'text'?" in refusal(f"{START}prompts:\n- {{txt: a heart}}\n")
    assert refusal(f"{START}prompts:\n- {{text: a, wieght: 3}}\n") == "4:13: prompts[0].wieght: no such word; did you mean 'weight'?"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "Name: t\nPrompts: [a]\nENGINES: [dalle]\n",
            [f"{word}: no such word; did you mean '{word.lower()}'?" for word in ("Name", "Prompts", "ENGINES")],
        ),
        (START + "prompts: [a]\nSnap Shot-every: 3", ["Snap Shot-every: no such word; did you mean 'snapshot_every'?"]),
        (
            "name: t\nprompts: [a]\nengines: [Big Sleep, DALLE]",
            ["engines[0]: no engine 'Big Sleep'; did you mean 'big-sleep'?", "engines[1]: no engine 'DALLE'; did you mean 'dalle'?"],
        ),
        (
            START.replace("[dalle]", "[{engine: dalle, guidance_scale: 3}]") + "prompts: [a]",
            ["engines[0].guidance_scale: no such word here; it is a setting of guided-diffusion, interpolation, unclip."],
        ),
        (START + "prompts: [a]\ncutouts: 3", ["cutouts: no such word here; it belongs to an engine: engines: [{engine: …, cutouts: …}]."]),
        (START + "prompts: [a]\nguide: vit-b/32", ["guide: no 'vit-b/32'; did you mean 'ViT-B/32'?"]),
    ],
)
def test_words_with_hyphens_capitals_and_spaces(text: str, lines: list[str]) -> None:
    assert [line.split(" ", 1)[1] for line in refusal(text).splitlines()] == lines


@pytest.mark.parametrize("value", ["512x768", "512 X 768", "512×768", '"512,768"', "16:9", "{width: 512, height: 768}", "512 by 768"])
def test_two_sides_of_a_picture(value: str) -> None:
    sentence = refusal(f"name: t\nprompts: [a]\nengines:\n- {{engine: strokes, canvas: {value}}}\n")
    assert "will not do: pictures are square; write one side in pixels, such as 'canvas: 256'." in sentence


@pytest.mark.parametrize("word", ["width", "height", "size", "Size", "resolution", "aspect-ratio"])
def test_words_for_the_size_of_a_picture(word: str) -> None:
    at_engine = refusal(f"name: t\nprompts: [a]\nengines:\n- {{engine: strokes, {word}: 512}}\n")
    assert at_engine.endswith(f"engines[0].{word}: no such word: pictures are square; 'canvas' is their side in pixels.")
    at_sweep = refusal(f"{START}prompts: [a]\n{word}: 512\n")
    assert "pictures are square; an engine's own word is their side in pixels: 'image_size' of dalle, 'canvas' of strokes" in at_sweep


def test_two_sizes_are_two_squares_and_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    read("name: t\nprompts: [a]\nengines:\n- {engine: dalle, image_size: [512, 768]}\n")
    assert caplog.messages == ["note: t.yaml:4:19: engines[0].image_size: makes squares of 512 and of 768 pixels; no picture is oblong."]


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ("9223372036854775808", "seeds: 9223372036854775808 is no seed; seeds go from 0 to 9223372036854775807."),
        ("[0, 18446744073709551615]", "seeds[1]: 18446744073709551615 is no seed; seeds go from 0 to 9223372036854775807."),
        ("-1", "seeds: -1 is no seed; seeds go from 0 to 9223372036854775807."),
        ("2.5", "seeds: 2.5 is no whole number."),
        ("1e3", "seeds: '1e3' is no whole number; write 1000."),
        ("true", "seeds: true is no number; write one."),
        ("[1, yes]", "seeds[1]: true is no number; write one."),
        ("{start: false, count: 2}", "seeds.start: false is no number; write one."),
        ("random", "seeds: 'random' is no whole number."),
        (".nan", "seeds: .nan (read as the number nan) is no number to reckon with; write a finite one."),
        ("{count: 0}", "seeds.count: 0 will not do: input should be greater than 0."),
        ("{start: 9223372036854775807, count: 2}", "the last seed would be 9223372036854775808, and the largest is 9223372036854775807;"),
        ("{count: 9223372036854775809}", "the last seed would be 9223372036854775808, and the largest is 9223372036854775807;"),
        ("{start: 9223372036854775807, count: 1, daily: true}", "the last seed on 9999-12-31 would be 9223372039769409807,"),
        ("{}", "seeds.count: missing; write it as well."),
        ("[]", "seeds: empty; name at least one."),
    ],
)  # fmt: skip
def test_seeds_that_are_none(seeds: str, sentence: str) -> None:
    assert sentence in refusal(f"{START.replace('t', 't-{date}', 1)}prompts: [a]\nseeds: {seeds}\n")


@pytest.mark.parametrize(("seeds", "value"), [("9223372036854775807", (2**63 - 1,)), ("1.0", (1,)), ("1.0e+3", (1000,)), ("'5'", (5,))])
def test_seeds(seeds: str, value: tuple[int, ...]) -> None:
    assert read(f"{START}prompts: [a]\nseeds: {seeds}\n").seeds == value


def test_a_range_of_all_seeds_is_planned_at_once() -> None:
    from dreamsweep.planning.expand import plan

    sweep = read(f"{START}prompts: [a]\nseeds: {{count: 9223372036854775808}}\n")
    assert sweep.seeds == SeedRange(count=2**63)
    assert plan(sweep).trials == 2**63


@pytest.mark.parametrize(("written", "value"), [("yes", "true"), ("off", "false")])
def test_a_truth_value_is_no_number(written: str, value: str) -> None:
    assert refusal(f"{START}prompts: [a]\niterations: {written}\n") == f"4:1: iterations: {value} is no number; write one."
    settings = f"engines: [{{engine: dalle, cutouts: [2, {written}], contrast: {written}}}]"
    assert refusal(f"name: t\nprompts: [a]\n{settings}\n").splitlines() == [
        f"3:40: engines[0].cutouts[1]: {value} is no number; write one.",
        f"3:{43 + len(written)}: engines[0].contrast: {value} is no number; write one.",
    ]


@pytest.mark.parametrize("style", ["|", "|-", "|+"])
def test_a_block_of_lines_holds_a_prompt_a_line(style: str) -> None:
    assert texts(read(f"{START}prompts: {style}\n  a red heart\n\n  # a comment\n  a green apple: #1\n")) == [
        "a red heart",
        "a green apple: #1",
    ]
    assert texts(read(f"{START}prompts: {style}\n  a red heart\n")) == ["a red heart"]
    with pytest.raises(SweepFileError, match=r"^t.yaml:3:1: prompts\[0\].file: '/nowhere/things.txt' cannot be read \(No such file"):
        read(f"{START}prompts: {style}\n  things.txt\n")


def test_a_folded_block_is_one_text_and_so_no_list() -> None:
    assert refusal(f"{START}prompts: >\n  a red heart\n  a green apple\n") == (
        "3:1: prompts: '>' joins lines to one text; write '|' for a prompt a line, or a list ('- …')."
    )


def test_what_a_comment_cuts_off_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    sweep = read(f"{START}prompts:\n- a red apple #trending #art\n- a heart # the classic\n- 'a #1 star'\n- a #1 star\n")
    assert texts(sweep) == ["a red apple", "a heart", "a #1 star", "a"]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            f"note: t.yaml:{line}:3: prompts[{number}]: {sentence}, which YAML reads as a comment; put the text in quotes to keep it.",
        )
        for line, number, sentence in [(4, 0, "'a red apple' ends before '#trending #art'"), (7, 3, "'a' ends before '#1 star'")]
    ]


def test_pictures_that_are_missing_are_listed_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("name: t\nprompts: [a]\nengines:\n- {engine: dalle, init_image: a.png}\n- {engine: strokes, init_image: b.png}\n")
    with pytest.raises(SweepFileError) as error:
        load_sweep(path)
    assert str(error.value).splitlines() == [
        f"{path}:4:19: engines[0].init_image: '{tmp_path}/a.png' cannot be read (No such file or directory).",
        f"{path}:5:21: engines[1].init_image: '{tmp_path}/b.png' cannot be read (No such file or directory).",
    ]

"""Notes on prompts: each notation of another program once, with its place, and none for plain prompts."""

import pytest

from dreamsweep.planning.prompt_notes import prompt_notes
from tests.dreamsweep.planning.prompt_reading import prompt_file
from tests.dreamsweep.planning.test_expand import a_sweep


@pytest.mark.parametrize(
    ("text", "sight", "meaning"),
    [
        ("a (red:1.2) fox", "'(red:1.2)'", "not as emphasis"),
        ("a ((red)) fox", "'((red))'", "not as emphasis"),
        ("a [red] fox", "'[red]'", "not as emphasis"),
        ("a [fox:hare:0.5]", "'[fox:hare:0.5]'", "not as emphasis"),
        ("fox::2 snow", "'::2'", "not as parts"),
        ("a fox | snow", "'|'", "not as parts"),
        ("a fox:0.5", "':0.5'", "not as parts"),
        ("a fox:1.5 in snow", "':1.5'", "not as parts"),
        ("a fox AND a hare", "'AND'", "joins no prompts"),
        ("<lora:fox:0.8> a fox", "'<lora:fox:0.8>'", "loads nothing"),
        ("&lt;lora:fox:1&gt; a fox", "'<lora:fox:1>'", "loads nothing"),
        ("a fox, embedding:fur", "'embedding:fur'", "loads nothing"),
        ("a fox --ar 16:9", "'--ar 16:9'", "sets nothing"),
        ("a fox\nNegative prompt: blur", "'Negative prompt:'", "write negatives as"),
        ("a {colour} fox", "'{colour}'", "replaced by nothing"),
        ("a {red|blue} fox", "'{red|blue}'", "replaced by nothing"),
        ("a __colour__ fox", "'__colour__'", "replaced by nothing"),
        ("a fox <|EndOfText|> in snow", "'<|EndOfText|>'", "stops reading"),
    ],
)
def test_a_notation_of_other_programs_is_told_of(text: str, sight: str, meaning: str) -> None:
    (note,) = prompt_notes(a_sweep(prompts=["a heart", {"text": "a star", "also": [text]}]))
    assert note.startswith(f"prompts[1]: {sight} in ") and meaning in note and note.endswith(".") and "\n" not in note


@pytest.mark.parametrize(
    "text",
    [
        "a (small) fox", "a fox at 10:30, 16:9", "Fox Saga: the return", "a red-and-white fox -- at night", "ROCK AND ROLL", "a $5 bill",
        "a #ff0000 fox", "<b>a fox</b>", "C:\\foxes", "e.g. 50% :) ;-)", "a fox's \"den\"",
    ],
)  # fmt: skip
def test_plain_prompts_have_no_notes(text: str) -> None:
    with prompt_file("p.txt", text) as path:
        assert prompt_notes(a_sweep(prompts=[text, {"file": str(path)}])) == []


def test_each_notation_is_told_of_once() -> None:
    (note,) = prompt_notes(a_sweep(prompts=["a [red] fox", "a heart", "a ((red)) fox", "a [blue] fox"]))
    assert note.startswith("prompts[0]: '[red]' in 'a [red] fox' is read as plain text, not as emphasis;")
    assert note.endswith(" (2 more places).")


def test_what_a_template_says_on_purpose_is_not_told_of() -> None:
    assert prompt_notes(a_sweep(prompts=[{"template": "a {c} {{fox}}", "c": ["red"]}])) == []
    (note,) = prompt_notes(a_sweep(prompts=[{"template": "a {c} fox", "c": ["red"], "negatives": ["{c} blur"]}]))
    assert note == "prompts[0].negatives[0]: '{c}' in '{c} blur' is not replaced, as only 'template' and 'to' take lists."


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "p.txt",
            "a\n#1 dad mug\n",
            "(p.txt, line 2): '#1 dad mug' is a comment, as its line begins with '#'; if it is a prompt, put a space ",
        ),
        ("p.txt", "a\n  # b\n", "(p.txt, line 2): '  # b' is a prompt; a comment begins with '#' at the very start of its line."),
        ("p.txt", "// b\n", "(p.txt, line 1): '// b' is a prompt; a comment begins with '#'."),
        ("p.txt", "; b\n-- c\n", "(p.txt, line 1): '; b' is a prompt; a comment begins with '#' (1 more place)."),
        ("p.txt", "a # b\n", "(p.txt, line 1): 'a # b' is a prompt as a whole; a comment needs a line of its own."),
        (
            "p.txt",
            "- a\n- b\n",
            "(p.txt, line 1): '- a' is a prompt with its dash; name a file with a dash before each prompt .yaml (1 more place).",
        ),
        ("p.txt", "1. a\n", "(p.txt, line 1): '1. a' is a prompt with its number; if the number is none of it, delete it."),
        ("p.txt", "'a',\n", "(p.txt, line 1): \"'a',\" is a prompt with its quotes and its comma; if they are none of it, delete them."),
        (
            "p.csv",
            "text,to\na castle, at sea\n",
            "(p.csv, line 2): ' at sea' in the column 'to' follows a separator and a space; if it belongs to ",
        ),
        ("p.csv", "text\n# b\n", "(p.csv, line 2): '# b' is a prompt, as a table has no comments; if it is none, delete its row."),
        ("p.tsv", 'text\n"b\nc"\n', "(p.tsv, line 2): 'b\\nc' is one prompt of several lines; if it should be several, check its quotes."),
        ("p.yaml", "- a\n- b #c\n", "(p.yaml, line 2): '#c' is a comment; if it belongs to the prompt, put the prompt in quotes."),
    ],
)
def test_lines_that_look_like_something_else_are_told_of(name: str, content: str, sentence: str) -> None:
    with prompt_file(name, content) as path:
        (note,) = prompt_notes(a_sweep(prompts=str(path)))
    assert note.startswith(f"prompts[0].file {sentence}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "# a comment\n## another\n#\n#!x\n #1 dad mug\n"),
        ("p.csv", 'text\n"a, b"\n#1 dad mug\n'),
        ("p.yaml", "# a comment\n- 'a #b'\n- a#b\n"),
        ("p.json", '["# a"]'),
    ],
)
def test_clear_lines_have_no_notes(name: str, content: str) -> None:
    with prompt_file(name, content) as path:
        assert prompt_notes(a_sweep(prompts=str(path))) == []

"""Parts and weights in the texts of a prompt file, where the sweep says `parts: true`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.spec import Phrase, Prompt
from tests.dreamsweep.planning.prompt_reading import read_prompts, sentence_about


def phrase(text: str, weight: float = 1) -> Phrase:
    return Phrase(text=text, weight=weight)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a fox", Prompt(text="a fox")),
        ("a fox:2", Prompt(text="a fox", weight=2)),
        ("a fox | fur : 0.5 |", Prompt(text="a fox", also=(phrase("fur", 0.5),))),
        ("a fox::2 fur::0.5 blur::-1", Prompt(text="a fox", weight=2, also=(phrase("fur", 0.5),), negatives=(phrase("blur"),))),
        ("fox:: snow", Prompt(text="fox", also=(phrase("snow"),))),
        ("blur:-.5|a fox", Prompt(text="a fox", negatives=(phrase("blur", 0.5),))),
        ("fox::3 bears", Prompt(text="fox", weight=3, also=(phrase("bears"),))),
        ("fox::3d render", Prompt(text="fox", also=(phrase("3d render"),))),
        ("Fox Saga: the return", Prompt(text="Fox Saga: the return")),
        ("fox <|endoftext|> fur", Prompt(text="fox <|endoftext|> fur")),
        ("(red:1.2) fox", Prompt(text="(red:1.2) fox")),
    ],
)
def test_parts_become_phrases(text: str, expected: Prompt) -> None:
    assert read_prompts("p.txt", text, parts=True) == [expected]
    assert read_prompts("p.txt", text) == [Prompt(text=text)]


def test_parts_join_the_other_columns() -> None:
    (prompt,) = read_prompts("p.json", '[{"text": "a fox|blur:-1", "weight": 2, "negatives": "text"}]', parts=True)
    assert prompt == Prompt(text="a fox", weight=2, negatives=(phrase("blur"), phrase("text")))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("p.txt", "a fox:0", " (p.txt, line 1): 'a fox:0' holds a part of weight 0; delete the part, or give it another weight."),
        ("p.txt", "a\nblur:-1", " (p.txt, line 2): 'blur:-1' holds no part with a positive weight; write what to draw."),
        ("p.txt", "|", " (p.txt, line 1): '|' holds no part with a positive weight; write what to draw."),
        ("p.csv", "text,weight\na:2,3\n", " (p.csv, line 2): 'a:2' holds a weight, and 'weight' is another; delete one of them."),
        ("p.txt", f"a fox:{'9' * 400}", " (p.txt, line 1): weight: 'inf' is not valid: input should be a finite number."),
    ],
)
def test_parts_that_say_nothing_are_refused(name: str, content: str, sentence: str) -> None:
    assert sentence_about(name, content, parts=True) == sentence


words = st.text("abc ", min_size=1, max_size=6).map(str.strip).filter(bool)
weights = (st.integers(1, 40) | st.integers(-40, -1)).map(lambda number: number / 4)


@given(st.lists(st.tuples(words, weights), min_size=1, max_size=5).filter(lambda parts: any(weight > 0 for _, weight in parts)))
def test_no_part_is_lost(parts: list[tuple[str, float]]) -> None:
    for written in ("|".join(f"{text}:{weight}" for text, weight in parts), " ".join(f"{text}::{weight}" for text, weight in parts)):
        (prompt,) = read_prompts("p.txt", written, parts=True)
        assert [(prompt.text, prompt.weight), *((also.text, also.weight) for also in prompt.also)] == [
            part for part in parts if part[1] > 0
        ]
        assert [(text, -weight) for text, weight in parts if weight < 0] == [(against.text, against.weight) for against in prompt.negatives]

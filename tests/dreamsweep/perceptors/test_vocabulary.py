"""The small vocabulary reads as CLIP's own tokenizer does, as far as it goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.perceptors.vocabulary import END, START, UNKNOWN, Vocabulary, bpe, unread_parts

VOCABULARY = Vocabulary.of(["a red heart", "snowman's hat"], 8)


def test_rows_are_the_kept_tokens_of_clip_s_own() -> None:
    rows = VOCABULARY.rows("a RED  heart")
    assert [int(VOCABULARY.kept[row - 1]) for row in rows] == [START, *bpe().encode("a red heart"), END]
    assert max(rows) == rows[-1] == len(VOCABULARY) - 1  # the end has the largest row, where `encode_text` looks for it


@given(st.text(max_size=60))
def test_any_text_is_read_within_the_context(text: str) -> None:
    (tokens,) = VOCABULARY.tokenize([text]).tolist()
    assert len(tokens) == 8 and len(VOCABULARY) - 1 in tokens
    assert bool(unread_parts("a guide", text, 8)) == (len(bpe().encode(text)) > 6)


def test_words_that_it_cannot_spell() -> None:
    assert VOCABULARY.unknown_words("a red zeppelin") == ["zeppelin"]
    assert VOCABULARY.unknown_words("Zeppelin zeppelin a\tzeppelin fox") == ["zeppelin", "fox"]
    assert UNKNOWN in VOCABULARY.rows("a zeppelin")


@pytest.mark.parametrize("mark", ["<|endoftext|>", "<|EndOfText|>", "&lt;|endoftext|&gt;"])
def test_an_end_of_text_within_a_text_ends_it(mark: str) -> None:
    (first,), (second,) = VOCABULARY.tokenize([f"a red{mark} heart"]).tolist(), VOCABULARY.tokenize(["a red"]).tolist()
    end = len(VOCABULARY) - 1
    assert first[: first.index(end) + 1] == second[: second.index(end) + 1]
    sentence = f"a guide reads 'a red{mark} heart' up to its first '<|endoftext|>' and no more"
    assert unread_parts("a guide", f"a red{mark} heart", 77) == [sentence]
    assert unread_parts("a guide", f"a red heart{mark}", 77) == []


def test_a_long_text_has_a_short_warning_on_one_line() -> None:
    (warning,) = unread_parts("a guide", "a red\n" * 300, 77)
    assert warning == "a guide reads the first 75 tokens of '" + r"a red\n" * 6 + "a r…' and no more"

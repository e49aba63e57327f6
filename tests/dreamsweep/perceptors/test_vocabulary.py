"""The small vocabulary reads as CLIP's own tokenizer does, as far as it goes."""

from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.perceptors.vocabulary import END, START, UNKNOWN, Vocabulary, bpe

VOCABULARY = Vocabulary.of(["a red heart", "snowman's hat"], 8)


def test_rows_are_the_kept_tokens_of_clip_s_own() -> None:
    rows = VOCABULARY.rows("a RED  heart")
    assert [int(VOCABULARY.kept[row - 1]) for row in rows] == [START, *bpe().encode("a red heart"), END]
    assert max(rows) == rows[-1] == len(VOCABULARY) - 1  # the end has the largest row, where `encode_text` looks for it


@given(st.text(max_size=60))
def test_any_text_is_read_within_the_context(text: str) -> None:
    (tokens,) = VOCABULARY.tokenize([text]).tolist()
    assert len(tokens) == 8 and len(VOCABULARY) - 1 in tokens
    assert VOCABULARY.is_cut(text) == (len(bpe().encode(text)) > 6)


def test_words_that_it_cannot_spell() -> None:
    assert VOCABULARY.unknown_words("a red zeppelin") == ["zeppelin"]
    assert UNKNOWN in VOCABULARY.rows("a zeppelin")

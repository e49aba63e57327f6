"""The guide's text tower in another library's classes says what it said before."""

import pytest
import torch

from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.training.text_encoder import text_encoder_of, vocabulary_of

TEXTS = ["a red heart", "a green apple", "a rocket"]


@pytest.mark.usefixtures("tiny_weights")
@pytest.mark.parametrize("text", ["a red heart", "A  Rocket", "green", "a green apple a red heart a rocket a green rocket"])
def test_any_known_text_gives_what_the_guide_s_own_tower_gives(text: str) -> None:
    guide = load_perceptor("starter-guide", "cpu")
    assert isinstance(guide, StarterPerceptor)
    model, tokenizer = text_encoder_of(guide, TEXTS)
    context = guide.vocabulary.context
    tokens = tokenizer([text], padding="max_length", max_length=context, truncation=True, return_tensors="pt").input_ids
    encoded = model(tokens).last_hidden_state[0]
    stock = guide.model
    with torch.no_grad():
        hidden = stock.token_embedding(torch.from_numpy(guide.vocabulary.tokenize([text]))) + stock.positional_embedding
        expected = stock.ln_final(stock.transformer(hidden.permute(1, 0, 2)).permute(1, 0, 2))[0]
    length = len(guide.vocabulary.rows(text))
    assert torch.allclose(encoded[:length], expected[:length], atol=1e-5)


def test_pieces_are_built_step_by_step_and_spell_the_words() -> None:
    pieces, merges = vocabulary_of(TEXTS)
    assert len(set(pieces)) == len(pieces) and {"heart</w>", "rocket</w>", "<|endoftext|>"} <= set(pieces)
    built = set(pieces[: 2 * 256]) | {piece for piece in pieces if len(piece.removesuffix("</w>")) == 1}
    for left, right in merges:
        assert left in built and right in built  # nothing is put together from what is not there
        built.add(left + right)
    assert built <= set(pieces)

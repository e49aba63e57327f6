"""New words: how prompts spell them, and what of them is part of a trial's identity."""

import pytest

from dreamsweep.perceptors.formats import FORMATS
from dreamsweep.spec import NO_LEARNERS, Concept, Trial, concepts_in, identity, without_tokens
from dreamsweep.spec.concepts import CONCEPT_RECIPE
from tests.dreamsweep.sample_rows import sample_trial

ZIBBLE = Concept(name="zibble", sha256="ab" * 32, recipe=CONCEPT_RECIPE)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("<zibble> in the forest", ("zibble",)),
        ("<Zibble> meets <zib-2>, and <zibble> waves", ("zibble", "zib-2")),
        ("a<zibble>b", ("zibble",)),
        ("no < token > here, and no <|endoftext|>, <lora:x:1>, <2>, <a b> or <>", ()),
    ],
)
def test_tokens_of_a_text(text: str, names: tuple[str, ...]) -> None:
    assert concepts_in([text]) == names


def test_only_known_tokens_are_replaced() -> None:
    assert without_tokens("<Zibble> and <b>", ["zibble"]) == "it and <b>"
    assert without_tokens("<zibble>", []) == "<zibble>"


def test_a_trial_s_id_depends_on_each_part_of_its_concepts() -> None:
    trial = sample_trial("<zibble>")
    others = [ZIBBLE, *(ZIBBLE.model_copy(update=change) for change in ({"sha256": "cd" * 32}, {"recipe": 99}))]
    ids = [trial.id, *(Trial.model_validate({**trial.model_dump(), "concepts": [concept]}).id for concept in others)]
    assert len({*ids}) == 4
    assert "concepts" not in identity(trial)


def test_an_address_stands_for_pictures_weights_and_recipe() -> None:
    addresses = {ZIBBLE.address("w1"), ZIBBLE.address("w2"), ZIBBLE.model_copy(update={"recipe": 99}).address("w1")}
    assert len(addresses) == 3
    assert ZIBBLE.model_copy(update={"name": "other"}).address("w1") == ZIBBLE.address("w1")


def test_every_perceptor_that_cannot_learn_is_a_siglip() -> None:
    assert {name for name, kind in FORMATS.items() if kind == "siglip2"} == NO_LEARNERS

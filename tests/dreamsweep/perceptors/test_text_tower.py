"""Texts with words that are vectors: the tower reads a vector as it reads a token that has this vector."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import UserError
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.formats import FORMATS
from dreamsweep.perceptors.text_tower import TaughtPerceptor, tower_of
from dreamsweep.spec import NO_LEARNERS, PerceptorName
from tests.dreamsweep.weights.conftest import cache, hub, publish  # noqa: F401 - fixtures
from tests.dreamsweep.weights.tiny_models import clip_archive, tiny_clip
from tests.dreamsweep.weights.vectors import write_vector

Publish = Callable[..., None]
FOLDERS: list[Any] = sorted({name for name in FORMATS if name not in NO_LEARNERS})


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    POOL.clear()
    yield
    POOL.clear()


def check_vectors_are_read_as_tokens(perceptor: Any) -> None:
    """The vector of `heart` in place of a word, and in all places, gives what `heart` gives; gradients go to the vector alone."""
    tower = tower_of(perceptor)
    vector = tower.vector_of("heart").requires_grad_()
    assert vector.shape == (tower.embedding.weight.shape[1],) and len(tower.spell("heart")) == 1
    plain = perceptor.embed_texts(["a red heart", "heart", "a rocket"])
    read = tower.embed(["a red <it>", "<It>", "a rocket"], {"it": vector})
    assert torch.allclose(read, plain, atol=1e-5)
    assert torch.allclose(tower.embed(["<it> <it>"], {"it": vector}), perceptor.embed_texts(["heart heart"]), atol=1e-5)
    read[0, 0].backward()
    assert vector.grad is not None and vector.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in perceptor.model.parameters())
    other = tower.embed(["a red <it>"], {"it": torch.ones_like(vector)})
    assert not torch.allclose(other, plain[:1], atol=1e-3)
    assert torch.equal(perceptor.embed_texts(["a red heart", "heart", "a rocket"]), plain)  # nothing stays behind


@pytest.mark.usefixtures("tiny_weights")
def test_a_starter_reads_vectors() -> None:
    check_vectors_are_read_as_tokens(load_perceptor("starter-guide", "cpu"))


def test_openai_s_clip_reads_vectors(publish: Publish) -> None:  # noqa: F811
    publish("ViT-B/32", {"ViT-B-32.pt": clip_archive(tiny_clip("vit"))}, folder="clip")
    check_vectors_are_read_as_tokens(load_perceptor("ViT-B/32", "cpu"))


@pytest.mark.parametrize("name", FOLDERS)
def test_other_clips_read_vectors(name: PerceptorName, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    write_vector(name, cache, monkeypatch)
    check_vectors_are_read_as_tokens(load_perceptor(name, "cpu"))


@pytest.mark.parametrize("name", sorted(NO_LEARNERS))
def test_a_siglip_is_refused(name: PerceptorName, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    write_vector(name, cache, monkeypatch)
    with pytest.raises(UserError, match=f"perceptor '{name}' takes no new words; use a CLIP, such as starter-guide or ViT-B/32"):
        tower_of(load_perceptor(name, "cpu"))


@pytest.mark.usefixtures("tiny_weights")
def test_a_long_text_is_cut_and_keeps_its_end() -> None:
    perceptor = load_perceptor("starter-guide", "cpu")
    tower = tower_of(perceptor)
    vector = tower.vector_of("heart")
    text = "<it> " * 8 + "a red apple a red apple"
    assert torch.allclose(tower.embed([text], {"it": vector}), perceptor.embed_texts([text.replace("<it>", "heart")]), atol=1e-5)
    beyond = "a red apple " * 5 + "<it>"
    assert torch.allclose(tower.embed([beyond], {"it": vector}), tower.embed([beyond], {"it": -vector}), atol=1e-6)


@pytest.mark.usefixtures("tiny_weights")
def test_a_taught_perceptor_reads_its_words_and_warns_of_others() -> None:
    perceptor = load_perceptor("starter-guide", "cpu")
    tower = tower_of(perceptor)
    taught = TaughtPerceptor(perceptor, tower, {"zibble": tower.vector_of("heart")})
    plain, words = ["a red heart", "a <b>"], ["a red <zibble>", "<b>"]
    assert torch.equal(taught.embed_texts(plain), perceptor.embed_texts(plain))
    assert torch.allclose(taught.embed_texts(words), perceptor.embed_texts(["a red heart", "<b>"]), atol=1e-5)
    assert not taught.embed_texts(words).requires_grad
    assert (taught.name, taught.sha256, taught.resolution, taught.scale) == ("starter-guide", perceptor.sha256, 32, perceptor.scale)
    assert taught.warnings_for("<zeppelin>") and not any("zibble" in warning for warning in taught.warnings_for("a red <zibble>"))

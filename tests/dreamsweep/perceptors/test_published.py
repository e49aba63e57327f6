"""Published CLIPs, tiny and random, from the cache that real ones would come to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.perceptors.published import PublishedPerceptor, read_clip
from tests.dreamsweep.weights.conftest import cache, hub, publish  # noqa: F401 - fixtures
from tests.dreamsweep.weights.tiny_models import a_state, clip_archive, half_state, saved, tiny_clip

Publish = Callable[..., None]


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    POOL.clear()
    yield
    POOL.clear()


def test_an_archive_is_fetched_and_sees_and_reads(publish: Publish) -> None:  # noqa: F811
    model = tiny_clip("vit")
    pictures, tokens = torch.rand(2, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int64)
    expected = model.encode_text(tokens)
    publish("ViT-B/32", {"ViT-B-32.pt": clip_archive(model)}, folder="clip")
    perceptor = load_perceptor("ViT-B/32", "cpu")
    assert (
        isinstance(perceptor, Perceptor)
        and isinstance(perceptor, PublishedPerceptor)
        and perceptor.resolution == 32
        and len(perceptor.sha256) == 64
    )
    pictures.requires_grad_()
    seen = perceptor.embed_pictures(pictures)
    assert seen.shape == (2, 8) and torch.allclose(seen.norm(dim=1), torch.ones(2), atol=1e-5)
    seen[:, 0].sum().backward()
    assert pictures.grad is not None and pictures.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in perceptor.model.parameters())
    assert torch.allclose(perceptor.model.encode_text(tokens), expected, atol=0.05)
    read = perceptor.embed_texts(["a red heart", "a rocket " * 60])
    assert read.shape == (2, 8) and perceptor.warnings_for("a red heart") == [] and perceptor.warnings_for("a rocket " * 60)


@pytest.mark.parametrize("vision", ["vit", "resnet"])
def test_a_state_dict_and_an_archive_are_the_same_model(vision: str, tmp_path: Path) -> None:
    model = tiny_clip(vision, vocabulary=8)
    (tmp_path / "state.pt").write_bytes(saved(half_state(model)))
    (tmp_path / "archive.pt").write_bytes(clip_archive(model))
    pictures = torch.rand(1, 3, 32, 32)
    first, second = (read_clip(tmp_path / f"{name}.pt", "cpu").encode_image(pictures) for name in ("state", "archive"))
    assert torch.equal(first, second)


def test_what_is_no_clip(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(saved(a_state()))
    with pytest.raises(WeightsError, match=r"a.pt: it holds no CLIP"):
        read_clip(tmp_path / "a.pt", "cpu")


def test_a_hub_that_cannot_be_reached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    with pytest.raises(WeightsError, match=rf"'RN50': RN50.pt is missing .* at {cache}/clip/RN50.pt by hand, or use guide: starter-guide"):
        load_perceptor("RN50", "cpu")

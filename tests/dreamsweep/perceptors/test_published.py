"""Published CLIPs, tiny and random, from the cache that real ones would come to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.perceptors.published import ResNetPerceptor
from dreamsweep.perceptors.starter import normalise_pixels
from dreamsweep.perceptors.two_towers import TwoTowerPerceptor, clip_tokens
from dreamsweep.spec import PerceptorName
from tests.dreamsweep.weights.conftest import cache, hub, publish  # noqa: F401 - fixtures
from tests.dreamsweep.weights.tiny_models import a_state, clip_archive, half_state, saved, tiny_clip

Publish = Callable[..., None]
TEXTS = ["a red heart", "a rocket " * 60]


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    POOL.clear()
    yield
    POOL.clear()


@pytest.mark.parametrize(
    ("name", "file", "vision", "kind"),
    [("ViT-B/32", "ViT-B-32.pt", "vit", TwoTowerPerceptor), ("RN50", "RN50.pt", "resnet", ResNetPerceptor)],
)
def test_an_archive_is_fetched_and_sees_and_reads(
    name: PerceptorName,
    file: str,
    vision: str,
    kind: type,
    publish: Publish,  # noqa: F811
) -> None:
    model = tiny_clip(vision)
    pictures = torch.rand(2, 3, 32, 32)
    expected_of_texts = model.encode_text(clip_tokens(TEXTS))
    expected_of_pictures = model.encode_image(normalise_pixels(pictures))
    publish(name, {file: clip_archive(model)}, folder="clip")
    perceptor = load_perceptor(name, "cpu")
    assert isinstance(perceptor, Perceptor) and isinstance(perceptor, kind) and perceptor.resolution == 32 and len(perceptor.sha256) == 64
    pictures.requires_grad_()
    seen, read = perceptor.embed_pictures(pictures), perceptor.embed_texts(TEXTS)
    for mine, peer in ((seen, expected_of_pictures), (read, expected_of_texts)):
        assert torch.allclose(mine, F.normalize(peer, dim=1), atol=2e-3)  # the archive's tensors are in half precision
    seen[:, 0].sum().backward()
    assert pictures.grad is not None and pictures.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in perceptor.model.parameters())  # type: ignore[attr-defined]
    assert perceptor.warnings_for("a red heart") == [] and perceptor.warnings_for("a rocket " * 60)


@pytest.mark.parametrize(("vision", "names"), [("vit", ("ViT-B/32", "ViT-B/16")), ("resnet", ("RN50", "RN101"))])
def test_a_state_dict_and_an_archive_are_the_same_model(vision: str, names: tuple[PerceptorName, ...], publish: Publish) -> None:  # noqa: F811
    model, pictures = tiny_clip(vision), torch.rand(1, 3, 32, 32)
    seen = []
    for name, content in zip(names, (saved(half_state(model)), clip_archive(model)), strict=True):
        publish(name, {f"{name.replace('/', '-')}.pt": content}, folder="clip")
        seen.append(load_perceptor(name, "cpu").embed_pictures(pictures))
    assert torch.equal(*seen)


def test_what_is_no_clip(publish: Publish) -> None:  # noqa: F811
    publish("ViT-B/32", {"ViT-B-32.pt": saved(a_state())}, folder="clip")
    with pytest.raises(WeightsError, match=r"ViT-B-32.pt: it holds no CLIP"):
        load_perceptor("ViT-B/32", "cpu")


def test_a_hub_that_cannot_be_reached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    with pytest.raises(WeightsError, match=rf"'RN50': RN50.pt is missing .* at {cache}/clip/RN50.pt by hand, or use guide: starter-guide"):
        load_perceptor("RN50", "cpu")

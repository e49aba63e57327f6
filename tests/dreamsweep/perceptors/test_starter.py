"""A starter perceptor: unit embeddings, gradients to the pixels alone, and an honest word about what it cannot read."""

import shutil
from pathlib import Path

import pytest
import torch

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import DeviceError
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.perceptors.starter import normalise_pixels


@pytest.fixture
def perceptor(tiny_weights: object) -> Perceptor:
    return load_perceptor("starter-guide", "cpu")


def test_embeddings_are_unit_vectors_and_only_pixels_get_gradients(perceptor: Perceptor) -> None:
    pictures = torch.rand(3, 3, perceptor.resolution, perceptor.resolution, requires_grad=True)
    embedded = perceptor.embed_pictures(pictures)
    texts = perceptor.embed_texts(["a red heart", "a rocket"])
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(texts.norm(dim=1), torch.ones(2), atol=1e-5)
    (embedded @ texts.T).sum().backward()
    assert pictures.grad is not None and pictures.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in perceptor.model.parameters())  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler, and there is no g++")
@pytest.mark.filterwarnings("ignore")  # the compiler's own: it looks at what nobody else does
def test_compiled_it_sees_the_same(tiny_weights: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # a process that is killed leaves half a library in the shared one
    perceptor = load_perceptor("starter-guide", "cpu")
    monkeypatch.setenv("DREAMSWEEP_COMPILE", "1")
    POOL.clear()
    compiled = load_perceptor("starter-guide", "cpu")
    pictures = torch.rand(3, 3, perceptor.resolution, perceptor.resolution, requires_grad=True)
    eager, fast = (network.embed_pictures(pictures) for network in (perceptor, compiled))
    gradient, other = (torch.autograd.grad(embedded[:, 0].sum(), pictures)[0] for embedded in (eager, fast))
    assert torch.allclose(eager, fast, atol=1e-5)
    assert torch.allclose(gradient, other, atol=1e-5)
    assert compiled.model.visual._compiled_call_impl is not None  # type: ignore[attr-defined]


def test_a_missing_compiler_is_told_of_at_once(tiny_weights: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_COMPILE", "1")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match="no compiler 'no-such-compiler'"):
        load_perceptor("starter-guide", "cpu")


def test_each_picture_is_seen_alone(perceptor: Perceptor) -> None:
    pictures = torch.rand(4, 3, perceptor.resolution, perceptor.resolution)
    together, alone = perceptor.embed_pictures(pictures), perceptor.embed_pictures(pictures[2:3])
    assert torch.allclose(together[2:3], alone, atol=1e-5)


def test_it_says_what_it_cannot_read(perceptor: Perceptor) -> None:
    assert perceptor.warnings_for("a red heart") == []
    (unknown,) = perceptor.warnings_for("a red zeppelin")
    assert "'zeppelin'" in unknown and "starter-guide" in unknown
    (cut,) = perceptor.warnings_for("a red heart " * 8)
    assert cut == "starter-guide reads the first 10 tokens of 'a red heart a red heart a red heart a r…' and no more"


def test_a_long_text_that_it_never_learned_has_a_short_warning(perceptor: Perceptor) -> None:
    first, cut = perceptor.warnings_for(" ".join(f"zeppelin{number} zeppelin{number}" for number in range(120)))
    words = ", ".join(f"'zeppelin{number}'" for number in range(8))
    assert first == f"starter-guide never learned {words} and 112 other words and passes over them"
    assert cut.startswith("starter-guide reads the first 10 tokens of 'zeppelin0 zeppelin0 ")


def test_pixels_are_normalised_as_clip_does() -> None:
    grey = normalise_pixels(torch.full((1, 3, 2, 2), 0.5))[0, :, 0, 0]
    assert torch.allclose(grey, torch.tensor([0.0690, 0.1614, 0.3328]), atol=1e-3)

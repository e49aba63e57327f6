"""The aesthetic judge: ratings of whole pictures by the published head, whatever the prompt."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.guidance.targets import shrink
from dreamsweep.judges.aesthetic import AestheticJudge
from dreamsweep.judges.protocol import Judge
from dreamsweep.judges.registry import judge_weights, make_judge
from dreamsweep.models.aesthetic import load_aesthetic_head
from dreamsweep.weights import hashes
from dreamsweep.weights.cache import read_sha256
from tests.dreamsweep.fakes import ColourPerceptor
from tests.dreamsweep.sample_rows import sample_trial
from tests.dreamsweep.weights.conftest import cache  # noqa: F401 - a fixture
from tests.dreamsweep.weights.vectors import write_vector


class Wide(ColourPerceptor):
    """A perceptor with embeddings as long as ViT-L/14's."""

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        return F.normalize(pictures.flatten(1)[:, :768] - 0.5, dim=1)


@pytest.fixture(autouse=True)
def _afresh(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: F811
    POOL.clear()
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    yield
    POOL.clear()


def test_a_rating_is_the_head_s_of_the_unit_embedding(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("aesthetic", cache, monkeypatch)
    head, pictures = load_aesthetic_head("cpu"), torch.rand(2, 3, 32, 32)
    judge = AestheticJudge(Wide(), head)
    assert isinstance(judge, Judge) and not any(parameter.requires_grad for parameter in head.parameters())
    scores, embedded = judge.score(pictures, 1)
    assert torch.equal(embedded, Wide().embed_pictures(shrink(pictures, 16))) and embedded.shape == (2, 768)
    assert torch.allclose(scores, head.layers(embedded)[:, 0]) and scores[0] != scores[1]


def test_it_is_of_its_head_and_of_its_perceptor(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("aesthetic", cache, monkeypatch)
    path = cache / "aesthetic" / "sac-logos-ava1-l14-linearMSE.pth"
    of_files = hashes.sha256_of
    monkeypatch.setattr(hashes, "sha256_of", lambda name: {name: "0" * 64} if name == "ViT-L/14" else of_files(name))
    assert judge_weights("aesthetic") == {"aesthetic": read_sha256(path), "ViT-L/14": "0" * 64}


def test_another_head(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("aesthetic", cache, monkeypatch)
    monkeypatch.setattr("dreamsweep.weights.load_tensors", lambda path: {"layers.0.weight": torch.zeros(2, 2)})
    with pytest.raises(WeightsError, match=r"it holds no aesthetic head"):
        load_aesthetic_head("cpu")


def test_no_head_ships() -> None:
    with pytest.raises(WeightsError, match=r"'aesthetic': .* is missing .* by hand; nothing that ships with dreamsweep does the same"):
        make_judge("aesthetic", [sample_trial()], "cpu")

"""Published perceptors in transformers' classes, tiny and random: as guides, as judges, and what they say of texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.generation.foresight import downloads
from dreamsweep.generation.run_sweep import run_sweep
from dreamsweep.judges.registry import judge_weights, make_judge
from dreamsweep.judges.similarity import SimilarityJudge
from dreamsweep.perceptors import load_perceptor, text_reader
from dreamsweep.perceptors.formats import FORMATS
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.report.query import query
from dreamsweep.spec import PerceptorName
from dreamsweep.store import open_store
from dreamsweep.weights.cache import read_sha256
from dreamsweep.weights.registry import _read, registry
from tests.dreamsweep.sample_rows import sample_trial
from tests.dreamsweep.weights.conftest import cache  # noqa: F401 - a fixture
from tests.dreamsweep.weights.vectors import write_vector

NAMES: list[Any] = list(FORMATS)


@pytest.fixture(autouse=True)
def _afresh(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: F811
    POOL.clear()
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    yield
    POOL.clear()


def loaded(name: PerceptorName, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    write_vector(name, cache, monkeypatch)
    return load_perceptor(name, "cpu")


def test_every_format_is_of_a_perceptor_in_the_registry() -> None:
    assert set(NAMES) <= set(get_args(PerceptorName)) & registry().keys()


@pytest.mark.parametrize("name", NAMES)
def test_only_pixels_get_gradients(name: PerceptorName, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    perceptor = loaded(name, cache, monkeypatch)
    assert isinstance(perceptor, Perceptor)
    assert perceptor.name == name and perceptor.sha256 == judge_weights(name)[name]
    pictures = torch.rand(2, 3, perceptor.resolution, perceptor.resolution, requires_grad=True)
    embedded, texts = perceptor.embed_pictures(pictures), perceptor.embed_texts(["a red heart", "a rocket"])
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2), atol=1e-5) and torch.allclose(texts.norm(dim=1), torch.ones(2), atol=1e-5)
    (embedded @ texts.T).sum().backward()
    assert pictures.grad is not None and pictures.grad.flatten(1).abs().sum(1).min() > 0
    assert not any(parameter.requires_grad for parameter in perceptor.model.parameters())  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("tiny_weights")
def test_it_guides_and_it_judges(name: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
    before = parse_sweep({"name": "a", "prompts": ["a red heart"], "engines": [engine], "guide": name}, Path(), "test")
    assert [(download.name, download.megabytes) for download in downloads(before)] == [(name, registry()[name].megabytes)]
    write_vector(name, cache, monkeypatch)
    store = open_store(str(tmp_path / "runs"))
    for sweep, networks in (("a", {"guide": name}), ("b", {"judge": name})):
        fields = {"name": sweep, "prompts": ["a red heart"], "engines": [engine], "iterations": 2, "judge_every": 1, **networks}
        parsed = parse_sweep(fields, Path(), "test")
        assert downloads(parsed) == []
        list(run_sweep(parsed, store, device="cpu"))
    rows = query(store, "SELECT judge_name, judge_best, map_keys(weights_sha256) AS weights FROM trials ORDER BY sweep").to_pylist()
    assert [name in row["weights"] for row in rows] == [True, True]
    assert rows[1]["judge_name"] == name and -1 <= rows[1]["judge_best"] <= 1


def test_pixels_are_normalised_as_the_folder_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    halves = loaded("openclip-vit-l-14", cache, monkeypatch).pixels
    assert halves.normalise(torch.tensor([0.0, 1.0]).expand(1, 3, 1, 2)).tolist() == [[[[-1.0, 1.0]]] * 3]
    assert loaded("openclip-vit-h-14", cache, monkeypatch).pixels.mean == (0.48145466, 0.4578275, 0.40821073)


def test_a_siglip_says_how_likely_a_pair_is(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    perceptor = loaded("siglip2-base", cache, monkeypatch)
    picture, texts = torch.rand(1, 3, 32, 32), ["a red heart", "a rocket"]
    cosines = (perceptor.embed_pictures(picture) @ perceptor.embed_texts(texts).T)[0].tolist()
    answer = perceptor.model(input_ids=perceptor.tokenize(texts), pixel_values=perceptor.pixels.normalise(picture))
    expected = answer.logits_per_image.sigmoid()[0].tolist()
    assert [perceptor.probability(cosine) for cosine in cosines] == pytest.approx(expected, rel=1e-4)
    judge = make_judge("siglip2-base", [sample_trial("a red heart")], "cpu")
    assert isinstance(judge, SimilarityJudge)
    (judgement,) = judge.judgements(picture, 1)
    assert judgement.score == pytest.approx(cosines[0], abs=1e-5)
    assert judgement.details == {"probability": pytest.approx(expected[0], rel=1e-4)}


def test_a_clip_has_no_probability(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    assert loaded("pickscore", cache, monkeypatch).probability(0.2) is None
    (judgement,) = make_judge("pickscore", [sample_trial("a red heart")], "cpu").judgements(torch.rand(1, 3, 32, 32), 1)  # type: ignore[attr-defined]
    assert judgement.details == {}


@pytest.mark.parametrize(("name", "tokens"), [("siglip2-base", 63), ("hpsv2.1", 75), ("fare2-vit-l-14", 75)])
def test_what_is_cut_is_said(name: PerceptorName, tokens: int, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    long = "a red heart " * 60
    if name == "siglip2-base":
        assert text_reader(name)(long) == []  # its vocabulary is not in the cache yet
    perceptor = loaded(name, cache, monkeypatch)
    assert perceptor.warnings_for("a red heart") == []
    (sentence,) = perceptor.warnings_for(long)
    assert sentence == text_reader(name)(long)[0] and sentence.startswith(f"{name} reads the first {tokens} tokens of 'a red heart a")


def test_a_folder_that_lacks_a_tensor(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("pickscore", cache, monkeypatch)
    path = cache / "pickscore" / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("visual_projection.weight")
    save_file(tensors, path, {"format": "pt"})
    _accept(cache, "pickscore", path)
    with pytest.raises(WeightsError, match=r"pickscore: it holds no such model \('visual_projection.weight'\)"):
        load_perceptor("pickscore", "cpu")


def test_a_folder_without_pixels(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("pickscore", cache, monkeypatch)
    path = cache / "pickscore" / "preprocessor_config.json"
    path.write_text(json.dumps({"image_mean": [0.5]}))
    _accept(cache, "pickscore", path)
    with pytest.raises(WeightsError, match=r"preprocessor_config.json: it holds no such model"):
        load_perceptor("pickscore", "cpu")


def test_another_picture_tower(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    write_vector("fare2-vit-l-14", cache, monkeypatch)
    path = cache / "fare2-vit-l-14" / "fare_eps_2.pt"
    torch.save({"conv1.weight": torch.zeros(2)}, path)
    _accept(cache, "fare2-vit-l-14", path)
    with pytest.raises(WeightsError, match=r"fare_eps_2.pt: it holds no such model"):
        load_perceptor("fare2-vit-l-14", "cpu")


def test_nothing_that_ships_judges_preference() -> None:
    with pytest.raises(
        WeightsError, match=r"'pickscore': config.json is missing .* by hand; nothing that ships with dreamsweep does the same"
    ):
        load_perceptor("pickscore", "cpu")


def _accept(cache: Path, name: str, path: Path) -> None:  # noqa: F811
    """Writes the hash of a changed file into the registry that `write_vector` wrote."""
    listed = cache / f"registry-{name}.yaml"
    before = registry()[name].files[path.name].sha256
    listed.write_text(listed.read_text().replace(str(before), read_sha256(path)))
    _read.cache_clear()

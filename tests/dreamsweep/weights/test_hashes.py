"""Hashes from files alone are the ones that trials record when networks are loaded."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamsweep import weights
from dreamsweep.compute.pool import POOL
from dreamsweep.errors import WeightsError
from dreamsweep.judges.auditor import load_auditor
from dreamsweep.models.biggan import load_biggan
from dreamsweep.models.dvae import load_dvae
from dreamsweep.models.stable_diffusion import load_stable_diffusion
from dreamsweep.models.starter_segmenter import load_starter_segmenter
from dreamsweep.models.unclip import load_unclip
from dreamsweep.perceptors import load_perceptor
from dreamsweep.weights.cache import session_sha256
from dreamsweep.weights.hashes import find_folder, image_encoder_of
from dreamsweep.weights.starter import STARTER_FOLDERS, STARTER_NAMES, weights_folder
from tests.dreamsweep.weights.conftest import Publish
from tests.dreamsweep.weights.tiny_models import clip_archive, old_dalle, saved, tiny_clip
from tests.tiny_diffusion import write_tiny_diffusion


@pytest.fixture(autouse=True)
def _nothing_loaded() -> Iterator[None]:
    POOL.clear()
    yield
    POOL.clear()


def test_starter_weights() -> None:
    guide, judge = (load_perceptor(name, "cpu") for name in ("starter-guide", "starter-judge"))
    diffusion = load_stable_diffusion("starter", "", "cpu")
    unclip = load_unclip("starter", "", "cpu")
    recorded = {
        **{perceptor.name: perceptor.sha256 for perceptor in (guide, judge)},
        "starter-auditor": load_auditor("cpu").sha256,
        "starter-segmenter": load_starter_segmenter("cpu").sha256,
        "starter-dvae": load_dvae("starter", "cpu").sha256,
        "starter-biggan": load_biggan("starter", 128, "cpu").sha256,
        diffusion.name: diffusion.sha256,
        unclip.name: unclip.sha256,
    }
    assert recorded.keys() == {*STARTER_NAMES, *STARTER_FOLDERS}
    assert {name: digest for name in recorded for name, digest in weights.sha256_of(name).items()} == recorded
    assert image_encoder_of(unclip.folder) == "starter-guide"
    assert unclip.image_encoder.sha256 == weights.sha256_of("starter-guide")


def test_the_image_encoder_of_other_unclips(tmp_path: Path) -> None:
    assert image_encoder_of(tmp_path) == "karlo-image-encoder"
    (tmp_path / "image_encoder").mkdir()
    assert image_encoder_of(tmp_path) is None


def test_a_published_dvae_and_perceptor(publish: Publish) -> None:
    publish("dall-e", {f"{part}.pkl": saved(old_dalle(part)) for part in ("encoder", "decoder")}, known=False)
    publish("ViT-B/32", {"ViT-B-32.pt": clip_archive(tiny_clip())}, folder="clip")
    assert weights.sha256_of("published-dvae") == {"published-dvae": load_dvae("published", "cpu").sha256}
    assert weights.sha256_of("ViT-B/32") == {"ViT-B/32": load_perceptor("ViT-B/32", "cpu").sha256}


def test_a_folder_of_the_users(tmp_path: Path, cache: Path) -> None:
    write_tiny_diffusion(tmp_path / "mine")
    model = str(tmp_path / "mine")
    loaded = load_stable_diffusion("published", model, "cpu")
    assert find_folder("published", model=model, starter="starter-diffusion") == (Path(model), model, loaded.sha256)
    (tmp_path / "mine" / "model_index.json").write_text("{}")
    assert find_folder("published", model=model, starter="starter-diffusion")[2] != loaded.sha256


@pytest.mark.parametrize("name", ["starter-guide", "starter-diffusion"])
def test_a_damaged_starter_file_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(weights_folder(), tmp_path / "copy")
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(tmp_path / "copy"))
    path = tmp_path / "copy" / (f"{name}/model_index.json" if name in STARTER_FOLDERS else f"{name}.safetensors")
    undamaged = weights.sha256_of(name)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(WeightsError, match=rf"weights '{name}': .*damaged.*; restore it with git or install again"):
        weights.sha256_of(name)
    path.unlink()
    with pytest.raises(WeightsError, match=rf"weights '{name}': .*; restore it with git,? or install again"):
        weights.sha256_of(name)
    assert undamaged.keys() == {name}


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    first = session_sha256(path)
    with monkeypatch.context() as patch:
        patch.setattr("dreamsweep.weights.cache.read_sha256", lambda path: pytest.fail("the file was read again"))
        assert session_sha256(path) == first
    path.write_bytes(b"second")
    assert session_sha256(path) != first


def test_torch_is_not_imported() -> None:
    code = (
        "import sys; from dreamsweep import weights; weights.sha256_of('starter-guide'); weights.sha256_of('starter-unclip');"
        "assert not {'torch', 'diffusers', 'huggingface_hub'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)

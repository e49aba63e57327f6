"""Models of several files, as their packages write them: downloaded by the registry's names, and read by the packages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dreamsweep import weights
from dreamsweep.compute.pool import POOL
from dreamsweep.models.stable_diffusion import load_stable_diffusion
from tests.dreamsweep.weights.fake_hub import Hub
from tests.dreamsweep.weights.tiny_models import saved
from tests.tiny_diffusion import write_tiny_diffusion


def test_a_biggan(hub: Hub, cache: Path) -> None:
    biggan = pytest.importorskip("pytorch_pretrained_biggan", reason="pytorch_pretrained_biggan is not installed")
    layers = [[False, 2, 2], [True, 2, 1], [False, 1, 1], [True, 1, 1]]
    config = biggan.BigGANConfig(16, 4, 4, 8, 5, layers, 2, 1e-4, 51)
    model = biggan.BigGAN(config)
    for tensor in model.state_dict().values():  # the package leaves some of them as the memory was: NaN at times
        tensor.normal_() if tensor.is_floating_point() else tensor.fill_(1)
    hub.files["/models.huggingface.co/biggan/biggan-deep-128-config.json"] = config.to_json_string().encode()
    hub.files["/models.huggingface.co/biggan/biggan-deep-128-pytorch_model.bin"] = saved(model.state_dict(), legacy=True)
    paths = weights.paths("biggan-deep-128")
    again = biggan.BigGAN(biggan.BigGANConfig.from_json_file(str(paths["config.json"])))
    again.load_state_dict(weights.load_tensors(paths["pytorch_model.bin"]))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())
    assert paths["config.json"] == cache / "biggan-deep-128" / "config.json"


@pytest.fixture
def _fresh() -> Iterator[None]:
    POOL.clear()
    yield
    POOL.clear()


@pytest.mark.slow
@pytest.mark.usefixtures("_fresh")
def test_a_stable_diffusion(hub: Hub, cache: Path, tmp_path: Path) -> None:
    write_tiny_diffusion(tmp_path / "tiny")
    tokens = json.loads((tmp_path / "tiny" / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    hub.headers["X-Repo-Commit"] = "abc123"
    files = {path.relative_to(tmp_path / "tiny").as_posix(): path.read_bytes() for path in (tmp_path / "tiny").rglob("*") if path.is_file()}
    as_in_2022 = {"vocab.json": json.dumps(tokens), "merges.txt": "#version: 0.2\n", "special_tokens_map.json": "{}"}
    files |= {f"tokenizer/{name}": text.encode() for name, text in as_in_2022.items()}
    place = "/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve"
    hub.files |= {f"{place}/abc123/{name}": content for name, content in files.items()}
    hub.files[f"{place}/main/model_index.json"] = files["model_index.json"]
    model = load_stable_diffusion("published", "stable-diffusion-1.5", "cpu")
    assert model.image_size == 16 and model.sha256 == weights.digest("stable-diffusion-1.5")
    assert weights.folder("stable-diffusion-1.5") == cache / "stable-diffusion-1.5"
    assert not any(line.endswith((".bin", ".ckpt", ".pkl")) for line in hub.log)

"""open_clip's names as transformers has them: every tensor, with its values; attention by hand."""

import io
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dreamsweep.errors import WeightsError
from dreamsweep.perceptors.open_clip import renamed, settings_of
from dreamsweep.perceptors.two_towers import read_open_clip
from tests.dreamsweep.weights.tiny_models import Trap
from tests.dreamsweep.weights.vectors.two_tower_folders import write_hpsv2

WIDTH, HEAD, PATCH = 160, 80, 14


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hpsv2")
    write_hpsv2(folder, full=False)
    return folder / "HPS_v2.1_compressed.pt"


@pytest.fixture(scope="module")
def state(checkpoint: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return tensors


def test_every_tensor_has_its_place(checkpoint: Path, state: dict[str, Tensor]) -> None:
    model = read_open_clip(checkpoint, "cpu")
    assert renamed(state).keys() == model.state_dict().keys()
    assert sum(value.numel() for value in state.values()) == sum(value.numel() for value in model.state_dict().values())


def test_sizes_are_those_of_the_tensors(state: dict[str, Tensor]) -> None:
    settings = settings_of(state)
    assert settings["vision_config"] == {
        "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu",
        "patch_size": PATCH, "image_size": 28,
    }  # fmt: skip
    assert settings["text_config"]["num_attention_heads"] == 2 and settings["projection_dim"] == 8


def test_a_picture_s_embedding_by_hand(checkpoint: Path, state: dict[str, Tensor]) -> None:
    model = read_open_clip(checkpoint, "cpu")
    pixels = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        embedded = model.get_image_features(pixel_values=pixels).pooler_output
    assert torch.allclose(embedded, _embedding_by_hand(state, pixels), rtol=1e-4, atol=1e-5)


def _embedding_by_hand(state: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Returns `1 d`: a vision transformer with norms before attention and before its two layers, as open_clip's paper has it."""
    tower = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    patches = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)[0].permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)
    x = torch.cat([tower["class_embedding"][None], patches @ tower["conv1.weight"].flatten(1).T]) + tower["positional_embedding"]
    x = _norm(x, tower, "ln_pre")
    for layer in (f"transformer.resblocks.{number}" for number in range(2)):
        y = _norm(x, tower, f"{layer}.ln_1") @ tower[f"{layer}.attn.in_proj_weight"].T + tower[f"{layer}.attn.in_proj_bias"]
        q, k, v = (part.unflatten(1, (-1, HEAD)).movedim(1, 0) for part in y.chunk(3, dim=1))  # t 3·w -> heads t 80
        seen = ((q @ k.mT) / HEAD**0.5).softmax(2) @ v
        x = x + seen.movedim(0, 1).flatten(1) @ tower[f"{layer}.attn.out_proj.weight"].T + tower[f"{layer}.attn.out_proj.bias"]
        y = _norm(x, tower, f"{layer}.ln_2") @ tower[f"{layer}.mlp.c_fc.weight"].T + tower[f"{layer}.mlp.c_fc.bias"]
        y = 0.5 * y * (1 + torch.erf(y / 2**0.5))
        x = x + y @ tower[f"{layer}.mlp.c_proj.weight"].T + tower[f"{layer}.mlp.c_proj.bias"]
    return _norm(x[:1], tower, "ln_post") @ tower["proj"]


def _norm(x: Tensor, tower: dict[str, Tensor], name: str) -> Tensor:
    spread = (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    return (x - x.mean(1, keepdim=True)) / spread * tower[f"{name}.weight"] + tower[f"{name}.bias"]


@pytest.mark.parametrize("changed", ["visual.conv1.weight", "visual.transformer.resblocks.1.ln_1.bias", "text_projection"])
def test_a_checkpoint_that_lacks_a_tensor(changed: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"state_dict": {key: value for key, value in state.items() if key != changed}}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a.pt: it holds no such model"):
        read_open_clip(tmp_path / "a.pt", "cpu")


def test_a_checkpoint_with_code_in_it_is_not_read(state: dict[str, Tensor], tmp_path: Path) -> None:
    buffer, mark = io.BytesIO(), tmp_path / "ran"
    torch.save({"state_dict": dict(list(state.items())[:2]), "optimizer": Trap(mark)}, buffer)
    (tmp_path / "a.pt").write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match=r"a.pt: it would run"):
        read_open_clip(tmp_path / "a.pt", "cpu")
    assert not mark.exists()

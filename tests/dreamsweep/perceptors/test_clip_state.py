"""OpenAI's and open_clip's names as transformers has them: every tensor, with its values; by hand, and beside the `clip` package."""

import pytest
import torch
from torch import Tensor

from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.perceptors.clip_state import OPENAI, VIT_H, clip_model, renamed, settings_of
from dreamsweep.perceptors.two_towers import clip_tokens
from dreamsweep.weights.safe import load_tensors
from tests.dreamsweep.weights.vectors.two_tower_folders import write_hpsv2

WIDTH, HEAD, PATCH = 160, 80, 14
TOLERANCE = 1e-5
"""Largest difference, as a share of the largest value: both sum in another order."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    folder = tmp_path_factory.mktemp("hpsv2")
    write_hpsv2(folder, full=False)
    return load_tensors(folder / "HPS_v2.1_compressed.pt", within="state_dict")


def test_every_tensor_has_its_place(state: dict[str, Tensor]) -> None:
    model = clip_model(state, VIT_H, torch.float32)
    assert renamed(state).keys() == model.state_dict().keys()
    assert sum(value.numel() for value in state.values()) == sum(value.numel() for value in model.state_dict().values())


def test_sizes_are_those_of_the_tensors(state: dict[str, Tensor]) -> None:
    settings = settings_of(state, VIT_H)
    assert settings["vision_config"] == {
        "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_act": "gelu",
        "patch_size": PATCH, "image_size": 28,
    }  # fmt: skip
    assert settings["text_config"]["num_attention_heads"] == 2 and settings["projection_dim"] == 8


def test_a_picture_s_embedding_by_hand(state: dict[str, Tensor]) -> None:
    model = clip_model(state, VIT_H, torch.float32)
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
def test_a_state_that_lacks_a_tensor(changed: str, state: dict[str, Tensor]) -> None:
    with pytest.raises((KeyError, RuntimeError), match=changed.rpartition(".")[2]):
        clip_model({key: value for key, value in state.items() if key != changed}, VIT_H, torch.float32)


VIT_B_32 = (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12)
"""Arguments of `clip.model.CLIP`, as `clip.model.build_model` finds them in the published file."""


@pytest.mark.slow
def test_a_vit_b_32_sees_and_reads_and_descends_as_the_clip_package_has_it() -> None:
    import_clip()
    from clip.model import CLIP

    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = CLIP(*VIT_B_32).eval().requires_grad_(False)
    ours = clip_model(theirs.state_dict(), OPENAI, torch.float32).eval().requires_grad_(False)
    pixels = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    answers = []
    for see in (theirs.encode_image, lambda seen: ours.get_image_features(pixel_values=seen).pooler_output):
        seen = pixels.clone().requires_grad_()
        embedded = see(seen)
        embedded.square().sum().backward()
        answers.append((embedded.detach(), seen.grad))
    for mine, peer in zip(answers[1], answers[0], strict=True):
        assert mine is not None and peer is not None
        assert (mine - peer).abs().max() < TOLERANCE * peer.abs().max()
    tokens = clip_tokens(["a red heart", "a rocket over the sea " * 40])
    mine, peer = ours.get_text_features(input_ids=tokens).pooler_output, theirs.encode_text(tokens)
    assert (mine - peer).abs().max() < TOLERANCE * peer.abs().max()

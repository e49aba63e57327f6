"""Stable Diffusion in a loop of our own: the pictures of diffusers' pipelines, whatever the scheduler, the guidance and the layout."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dreamsweep.compute.randomness import Draws
from dreamsweep.engines.guided_diffusion import ddim_moves
from dreamsweep.models.pipelines import open_pipeline
from dreamsweep.models.stable_diffusion import LEFT_OUT, SCHEDULERS, StableDiffusion, load_stable_diffusion, prepare_for_gpu
from dreamsweep.spec import Prompt, SchedulerName
from tests.dreamsweep.weights.vectors import stable_diffusion_folders

TEXTS = ("a red heart", "a green apple")


@pytest.fixture
def model(request: pytest.FixtureRequest, tmp_path: Path) -> StableDiffusion:
    """A tiny Stable Diffusion, or a tiny one in the published format of a name."""
    name = getattr(request, "param", "")
    if not name:
        request.getfixturevalue("tiny_weights")
        return load_stable_diffusion("starter", "", "cpu")
    stable_diffusion_folders.write(name, tmp_path, full=False)
    return StableDiffusion(open_pipeline(tmp_path, name, "cpu", **LEFT_OUT), name, "", "cpu")


def drawn(model: StableDiffusion, scheduler: SchedulerName, scale: float) -> Tensor:
    """Two pictures by our loop."""
    conditions, against = [model.condition(text, Prompt(text=text)) for text in TEXTS], [model.against(Prompt(text="none"))] * 2
    randomness = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    return model.denoise(conditions, against, noise(model), randomness, 4, scale, scheduler)


def noise(model: StableDiffusion) -> Tensor:
    return Draws([1, 2]).normal("noise", *model.latent_shape(model.image_size))


def drawn_by_diffusers(model: StableDiffusion, scheduler: SchedulerName, scale: float) -> Tensor:
    """The same pictures by diffusers' pipeline."""
    import diffusers

    extra = {"skip_prk_steps": True} if scheduler == "pndm" else {}
    model.pipeline.scheduler = getattr(diffusers, SCHEDULERS[scheduler]).from_config(model.trained_with, **extra)
    conditions, nothing = [model.condition(text, Prompt(text=text)) for text in TEXTS], model.against(Prompt(text="none"))
    texts: dict[str, Any] = {
        "prompt_embeds": torch.stack([c.tokens for c in conditions]),
        "negative_prompt_embeds": torch.stack([nothing.tokens] * 2),
    }
    if nothing.pooled is not None:
        texts["pooled_prompt_embeds"] = torch.stack([c.pooled for c in conditions if c.pooled is not None])
        texts["negative_pooled_prompt_embeds"] = torch.stack([nothing.pooled] * 2)
    randomness = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    side = model.image_size
    pictures: Tensor = model.pipeline(
        **texts, latents=noise(model), generator=randomness, height=side, width=side, num_inference_steps=4, guidance_scale=scale,
        output_type="pt",
    ).images  # fmt: skip
    return pictures


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_it_draws_what_diffusers_pipeline_draws(model: StableDiffusion, scheduler: SchedulerName, scale: float) -> None:
    assert (drawn(model, scheduler, scale) - drawn_by_diffusers(model, scheduler, scale)).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["stable-diffusion-xl"], indirect=True)
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_so_it_does_of_an_xl(model: StableDiffusion, scale: float) -> None:
    assert model.is_xl
    assert (drawn(model, "euler", scale) - drawn_by_diffusers(model, "euler", scale)).abs().max() < 1e-5


def test_weights_in_a_gpu_s_layout_draw_the_same(model: StableDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn(model, "ddim", 4.0)
    prepare_for_gpu(model.pipeline)
    assert model.pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert (drawn(model, "ddim", 4.0) - before).abs().max() < 1e-4


@pytest.mark.filterwarnings("ignore")
def test_the_networks_can_be_compiled_as_a_whole(model: StableDiffusion) -> None:
    """No part of a step is left to Python, the way back to the latents included."""
    pipeline = model.pipeline
    conditioning = model.conditioning([model.condition(text, Prompt(text=text)) for text in TEXTS], [], 1.0, model.image_size)

    def step(latents: Tensor, time: Tensor) -> Tensor:
        predicted = pipeline.unet(latents, time, encoder_hidden_states=conditioning.tokens, return_dict=False)[0]
        return torch.as_tensor(pipeline.vae.decoder(predicted))

    gradients = []
    for function in (step, torch.compile(step, backend="aot_eager", fullgraph=True)):
        latents = noise(model).requires_grad_()
        (gradient,) = torch.autograd.grad(function(latents, torch.tensor(400)).square().sum(), latents)
        gradients.append(gradient)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_steps_are_those_of_diffusers_scheduler(model: StableDiffusion, eta: float) -> None:
    scheduler = model.ddim(7)
    moves = ddim_moves(scheduler, scheduler.timesteps, eta)
    generator = torch.Generator().manual_seed(0)
    for time, (signal, predicted, fresh) in zip(scheduler.timesteps.tolist(), moves, strict=True):
        latents, noise, variance = torch.randn(3, 2, 4, 8, 8, generator=generator)
        expected = scheduler.step(noise, time, latents, eta=eta, variance_noise=variance if eta else None).prev_sample
        amount, spread = model.amounts(torch.tensor(time))
        ours = signal * ((latents - spread * noise) / amount) + predicted * noise + fresh * variance
        assert torch.allclose(ours, expected, rtol=1e-5, atol=1e-5)

"""Big Sleep: loss, gradient and steps are those of the package `big-sleep`, given the same weights, noise and boxes."""

import contextlib
import signal
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pytorch_pretrained_biggan import BigGANConfig
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import png_bytes, to_bytes
from dreamsweep.compute.randomness import Draws, generator
from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.engines import make_engine
from dreamsweep.engines.big_sleep import BigSleepEngine, softmax_of_highest
from dreamsweep.engines.protocol import Step
from dreamsweep.guidance.cutouts import draw_boxes
from dreamsweep.guidance.guides import ClipGuide
from dreamsweep.guidance.protocol import Guidance
from dreamsweep.models.biggan import Biggan, frozen, plain, with_spectral_norm
from dreamsweep.perceptors.clip_package import import_clip
from dreamsweep.perceptors.clip_state import OPENAI, clip_model
from dreamsweep.perceptors.two_towers import Pixels, TwoTowerPerceptor, clip_tokens
from dreamsweep.spec import BigSleepSpec, Prompt, Trial
from tests.tiny_weights import BLOCKS

CONFIG = BigGANConfig(
    output_dim=128, z_dim=8, class_embed_dim=8, channel_width=4, num_classes=1000, layers=BLOCKS, attention_layer_position=3, n_stats=3
)
CLIP = (16, 224, 1, 64, 56, 77, 49408, 64, 1, 1)
"""A stock CLIP of one layer that sees 224 px, as the package wants it."""
FAITHFUL = BigSleepSpec(num_iter=3, contrast=0.0, start="noise", cutouts=6, class_weight=1.0, ema_decay=0.99)
PROMPT = Prompt(text="a red heart")
COMMON = {"prompt": "a heart", "guide": "starter-guide", "weights": "starter"}
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-6}


def towards_nothing(pictures: Tensor, iteration: Count) -> Guidance:
    raise AssertionError


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    """The package. It refuses to be imported without CUDA, and takes Ctrl-C for itself."""
    declare_missing_ops()
    before, has_cuda = signal.getsignal(signal.SIGINT), torch.cuda.is_available
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.cuda.is_available = lambda: True
            from big_sleep import big_sleep
        except ImportError as error:
            pytest.skip(f"big-sleep cannot be imported ({error})")
        finally:
            torch.cuda.is_available = has_cuda
            signal.signal(signal.SIGINT, before)
    return big_sleep  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def weights() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """State dicts of a BigGAN and of a CLIP, random."""
    import_clip()
    from clip import model as stock

    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = plain(CONFIG, seed=6)
        for name, parameter in model.named_parameters():
            if name.endswith("gamma"):
                parameter.data.fill_(0.5)
        return with_spectral_norm(model), stock.CLIP(*CLIP).state_dict()


def ours(weights: tuple[dict[str, Tensor], dict[str, Tensor]], spec: BigSleepSpec, prompt: Prompt, seeds: list[int]) -> Any:
    from pytorch_pretrained_biggan import BigGAN

    model = BigGAN(CONFIG)
    model.load_state_dict(weights[0])
    clip = clip_model(weights[1], OPENAI, torch.float32)
    trials = [Trial(prompt=prompt, engine=spec, seed=seed, guide="ViT-B/32", weights="published") for seed in seeds]
    guide = ClipGuide(TwoTowerPerceptor("ViT-B/32", clip, clip_tokens, Pixels(), "0" * 64, "cpu"), trials)
    return BigSleepEngine(spec, Biggan("biggan-deep-128", frozen(model), (), "0" * 64, "cpu")), guide, trials


def theirs(peer: ModuleType, weights: tuple[dict[str, Tensor], dict[str, Tensor]], spec: BigSleepSpec) -> Any:
    from big_sleep import clip as peers
    from big_sleep.biggan import BigGAN
    from torchvision.transforms import Normalize

    from dreamsweep.perceptors.starter import PIXEL_MEAN, PIXEL_STD

    model, perceptor = BigGAN(CONFIG), peers.CLIP(*CLIP)
    model.load_state_dict(weights[0])
    perceptor.load_state_dict(weights[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer, "load", lambda name, jit: (perceptor.eval(), Normalize(PIXEL_MEAN, PIXEL_STD)))
        patch.setattr(peer.BigGAN, "from_pretrained", lambda name: model)
        return peer.BigSleep(
            num_cutouts=spec.cutouts * spec.accumulate, image_size=spec.image_size, max_classes=spec.max_classes,
            class_temperature=spec.class_temperature, ema_decay=spec.ema_decay,
        )  # fmt: skip


@contextlib.contextmanager
def boxes_of(peer: ModuleType, spec: BigSleepSpec, seed: int, iteration: int) -> Iterator[None]:
    """The package cuts where we do in an iteration."""
    corners, sizes = draw_boxes(spec.boxes, Draws([seed], iteration), spec.image_size)
    left = iter(zip(corners[0].tolist(), sizes[0].tolist(), strict=True))

    def cut(image: Tensor, size: int, **_: object) -> Tensor:
        (row, column), side = next(left)
        return image[:, :, row : row + side, column : column + side]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer, "rand_cutout", cut)
        yield


def encoded(peer: ModuleType, sleep: Any, texts: list[str]) -> list[Tensor]:
    return [sleep.perceptor.encode_text(peer.tokenize(text)).detach() for text in texts]


VARIANTS = {
    "plain": (FAITHFUL, PROMPT),
    "few classes": (FAITHFUL.model_copy(update={"max_classes": 3, "class_temperature": 1.5}), PROMPT),
    "accumulated": (FAITHFUL.model_copy(update={"accumulate": 2}), PROMPT),
    "two texts": (FAITHFUL.model_copy(update={"guide_weight": 20.0}), Prompt.model_validate({"text": "a heart", "also": ["a red disc"]})),
    "a negative": (FAITHFUL, Prompt.model_validate({"text": "a heart", "negatives": [{"text": "blurred", "weight": 1 / 0.3}]})),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_and_gradient_are_the_package_s(peer: ModuleType, weights: Any, variant: str) -> None:
    spec, prompt = VARIANTS[variant]
    engine, guide, trials = ours(weights, spec, prompt, [3, 4])
    state = engine.begin(trials, guide)
    latents, logits = state["latents"].requires_grad_(), state["classes"].requires_grad_()
    pictures = engine.pictures(state, trials, 1)
    loss = engine.guide_weight * guide(pictures, 1).loss + engine.penalty(state, pictures)
    gradients = torch.autograd.grad(loss.sum(), [latents, logits])
    for number, trial in enumerate(trials):
        sleep = theirs(peer, weights, spec)
        vectors = sleep.model.latents.model
        vectors.normu.data, vectors.cls.data = latents[number].detach().clone(), logits[number].detach().clone()
        texts = encoded(peer, sleep, [prompt.text, *(p.text for p in prompt.also)])
        with boxes_of(peer, spec, trial.seed, 1):
            _, losses = sleep(texts, encoded(peer, sleep, [p.text for p in prompt.negatives]))
        torch.testing.assert_close(loss[number], sum(losses), **CLOSE)
        wanted = torch.autograd.grad(sum(losses), [vectors.normu, vectors.cls])
        for gradient, expected in zip(gradients, wanted, strict=True):
            assert (gradient[number] - expected).norm() < 1e-4 * expected.norm()


def test_steps_and_the_pictures_kept_are_the_package_s(peer: ModuleType, weights: Any) -> None:
    engine, guide, trials = ours(weights, FAITHFUL, PROMPT, [3])
    state = engine.begin(trials, guide)
    sleep = theirs(peer, weights, FAITHFUL)
    vectors = sleep.model.latents
    for name, key in (("normu", "latents"), ("cls", "classes")):
        getattr(vectors.model, name).data = state[key][0].clone()
        getattr(vectors._biased, name).data = state[key][0] * (1 - FAITHFUL.ema_decay)
    optimizer = torch.optim.Adam(vectors.model.parameters(), FAITHFUL.default_learning_rates()["adam"])
    texts = encoded(peer, sleep, [PROMPT.text])
    steps = engine.generate(trials, guide)
    for iteration in range(1, 4):
        with boxes_of(peer, FAITHFUL, 3, iteration):
            _, losses = sleep(texts)
        sum(losses).backward()
        optimizer.step()
        vectors.update()
        optimizer.zero_grad()
        step: Step = next(steps)
        torch.testing.assert_close(step.loss[0], sum(losses).detach(), **CLOSE)
        vectors.eval()
        with torch.no_grad():
            kept = sleep([], return_loss=False)
        vectors.train()
        assert (step.draw() - kept).abs().max() < 1e-3


@pytest.mark.usefixtures("tiny_weights")
@pytest.mark.parametrize("start", ["noise", "classes"])
def test_it_starts_near_a_picture(tmp_path: Path, start: str) -> None:
    engine = make_engine(BigSleepSpec(num_iter=1), "starter", "cpu")
    assert isinstance(engine, BigSleepEngine)
    picture = next(engine._class_pictures())[2]
    (tmp_path / "a.png").write_bytes(png_bytes(to_bytes(picture[None])[0], "{}"))
    spec = BigSleepSpec.model_validate({"num_iter": 1, "start": start, "init_image": str(tmp_path / "a.png")})
    error = {}
    for name, started in (("near", spec), ("anywhere", BigSleepSpec(num_iter=1, start="noise"))):
        engine = BigSleepEngine(started, engine.biggan)
        state = engine.begin([Trial.model_validate({**COMMON, "engine": started, "seed": seed}) for seed in (0, 1)], towards_nothing)
        error[name] = float((engine.draw_vectors(state["latents"], state["classes"]) - picture).square().mean())
    assert error["near"] < 0.5 * error["anywhere"]


@pytest.mark.usefixtures("tiny_weights")
def test_it_starts_from_the_class_that_the_guide_likes_best() -> None:
    class Numbers:
        """Likes the fifth picture that it is shown for the first trial, and the second for the second."""

        shown = 0

        def __call__(self, pictures: Tensor, iteration: Count) -> Guidance:
            raise AssertionError

        def weigh(self, pictures: Tensor) -> Tensor:
            numbers = torch.arange(self.shown, self.shown + len(pictures))
            self.shown += len(pictures)
            return (numbers[:, None] - torch.tensor([4.0, 1.0])).abs()

        def weigh_names(self, names: Sequence[str], key: int = 0) -> Tensor:
            return (torch.arange(len(names))[:, None] - torch.tensor([4.0, 1.0])).abs()

    engine = make_engine(BigSleepSpec(num_iter=1), "starter", "cpu")
    assert isinstance(engine, BigSleepEngine)
    trials = [Trial.model_validate({**COMMON, "engine": engine.spec, "seed": 0})] * 2
    state = engine.begin(trials, Numbers())
    assert state["classes"].argmax(2).tolist() == [[4] * 6, [1] * 6]


def test_few_classes_are_the_package_s(peer: ModuleType) -> None:
    logits = torch.randn(5, 12, generator=generator(0, "test"))
    torch.testing.assert_close(softmax_of_highest(logits[None] / 2.0, 4)[0], peer.differentiable_topk(logits, 4, temperature=2.0))

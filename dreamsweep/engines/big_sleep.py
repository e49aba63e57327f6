"""Big Sleep: a BigGAN's noise and class vectors, descended (Murdock, 2021; after the package `big-sleep` of P. Wang).

Every layer has vectors of its own. A batch of trials is drawn and taken back in one pass. Pictures that are kept come from a running
average of the vectors, as in the package; similarity and loss speak of the vectors themselves.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import read_picture
from dreamsweep.compute.randomness import Draws
from dreamsweep.engines.descent import DescentEngine
from dreamsweep.engines.protocol import State
from dreamsweep.engines.starts import class_pictures, likeliest_classes
from dreamsweep.guidance.protocol import Chooser, Guide
from dreamsweep.models.biggan import Biggan, draw, load_biggan
from dreamsweep.spec import BigSleepSpec, Trial, WeightsName

CLASS_MEAN, CLASS_STD = -3.9, 0.3
"""Class logits at the start, before a sigmoid (big-sleep 0.9.1)."""
CHOSEN = 0.95
"""How much there is, at the start, of a class to start from."""
FIT_STEPS, FIT_RATE, FIT_WEIGHT = 100, 0.07, 300.0
"""How vectors are brought to a picture to start from: steps and rate of Adam, and the squared error's weight beside the regularisers'."""


class BigSleepEngine(DescentEngine):
    """Descends noise vectors `b n z` and class logits `b n c`; `average.…` of a state are their running averages."""

    moving = ("latents", "classes")
    recordable = True
    spec: BigSleepSpec

    def __init__(self, spec: BigSleepSpec, biggan: Biggan) -> None:
        super().__init__(spec, biggan.device)
        self.biggan = biggan

    @property
    def guide_weight(self) -> float:
        return self.spec.guide_weight

    @torch.no_grad()
    def begin(self, trials: Sequence[Trial], guide: Guide) -> State:
        n, biggan = self.biggan.vectors, self.biggan
        draws = Draws([trial.seed for trial in trials])
        latents = draws.normal("latents", n, biggan.z_dim)
        logits = draws.normal("classes", n, biggan.classes) * CLASS_STD + CLASS_MEAN
        if self.spec.init_image is not None:
            latents, logits = self._near(read_picture(self.spec.init_image, self.spec.image_size), latents, logits)
        elif self.spec.start == "classes" and isinstance(guide, Chooser):
            chosen = likeliest_classes(self.biggan, trials, guide)
            logits[torch.arange(len(trials)), :, chosen] = self._chosen_logit()
        return {"latents": latents, "classes": logits, "average.latents": latents, "average.classes": logits}

    def pictures(self, state: State, trials: Sequence[Trial], iteration: Count) -> Float[Tensor, "b 3 h w"]:
        return self.draw_vectors(state["latents"], state["classes"])

    def penalty(self, state: State, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b"]:
        return self._regularisers(state["latents"], state["classes"])

    def after_step(self, state: State, iteration: Count, alive: Bool[Tensor, "b"]) -> None:
        for name in self.moving:
            average = state[f"average.{name}"]
            average.copy_(running_average(average, state[name].detach(), self.spec.ema_decay, iteration, alive))

    def draw(self, state: State) -> Float[Tensor, "b 3 h w"]:
        return self.draw_vectors(state["average.latents"], state["average.classes"])

    def _regularisers(self, latents: Tensor, logits: Tensor) -> Float[Tensor, "b"]:
        loss = self.spec.class_weight * class_loss(self.soft_classes(logits))
        return loss + self.spec.latent_weight * latent_loss(latents)

    def draw_vectors(self, latents: Float[Tensor, "b n z"], logits: Float[Tensor, "b n c"]) -> Float[Tensor, "b 3 h w"]:
        """Returns the pictures of vectors; differentiable where they ask for a gradient."""
        return draw(self.biggan.model, latents, self.soft_classes(logits), self.spec.truncation)

    def soft_classes(self, logits: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        """Returns how much there is of each class: a sigmoid of each, or the softmax of a few and nothing of the others."""
        if self.spec.max_classes is None:
            return logits.sigmoid()
        return softmax_of_highest(logits / self.spec.class_temperature, min(self.spec.max_classes, logits.shape[2]))

    def _near(self, picture: Float[Tensor, "3 h w"], latents: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors that draw about this picture: those of the class that is most like it, or random ones, brought nearer step by step."""
        if self.spec.start == "classes":
            error = [(drawn - picture.to(drawn)).square().mean((1, 2, 3)) for drawn in self._class_pictures()]
            logits[:, :, int(torch.cat(error).argmin())] = self._chosen_logit()
        latents, logits = (tensor.to(self.biggan.device).requires_grad_() for tensor in (latents, logits))
        optimizer = torch.optim.Adam([latents, logits], FIT_RATE)
        for _ in range(FIT_STEPS):
            with torch.enable_grad():
                error_of_each = (self.draw_vectors(latents, logits) - picture.to(latents)).square().mean((1, 2, 3))
                loss = FIT_WEIGHT * error_of_each + self._regularisers(latents, logits)
                optimizer.zero_grad()
                loss.sum().backward()
            optimizer.step()
        return latents.detach().cpu(), logits.detach().cpu()

    def _chosen_logit(self) -> float:
        """Returns the logit that makes `CHOSEN` of a class, beside others that are as low as at the start."""
        odds = math.log(CHOSEN / (1 - CHOSEN))
        if self.spec.max_classes is None:
            return odds
        return CLASS_MEAN + self.spec.class_temperature * (odds + math.log(max(1, self.biggan.classes - 1)))

    def _class_pictures(self) -> Iterator[Float[Tensor, "n 3 h w"]]:
        return class_pictures(self.biggan, range(self.biggan.classes), self.spec.truncation)


def latent_loss(latents: Float[Tensor, "b n z"]) -> Float[Tensor, "b"]:
    """Returns how far noise vectors are from normally distributed: mean, deviation, size, skewness and kurtosis (big-sleep 0.9.1)."""
    loss = (1 - latents.std(2)).abs().mean(1) + latents.mean(2).abs().mean(1)
    loss = loss + 4 * latents.square().mean((1, 2)).clamp(min=1)
    about_mean = latents - latents.mean(2, keepdim=True)
    score = about_mean / about_mean.square().mean(2, keepdim=True).sqrt()
    skewness, kurtosis = score.pow(3).mean(2), score.pow(4).mean(2) - 3
    return loss + (skewness.abs() + kurtosis.abs()).mean(1)


def class_loss(classes: Float[Tensor, "b n c"]) -> Float[Tensor, "b"]:
    """Returns how much there is of any class but the strongest one of each layer (big-sleep 0.9.1)."""
    others = classes.topk(classes.shape[2] - 1, dim=2, largest=False).values
    return (50 * others).square().mean((1, 2))


def softmax_of_highest(logits: Float[Tensor, "b n c"], count: int) -> Float[Tensor, "b n c"]:
    """Returns the highest class's softmax among all, the second one's among all but the highest, and so on; the others are nothing."""
    soft = torch.zeros_like(logits)
    for _ in range(count):
        value, index = logits.softmax(2).max(2, keepdim=True)
        soft = soft.scatter(2, index, value)
        logits = logits.scatter(2, index, -torch.inf)
    return soft


def running_average(old: Tensor, new: Tensor, decay: float, iteration: Count, alive: Tensor) -> Tensor:
    """Returns the bias-corrected exponential average, the start counted as the first value; trials that are not alive keep theirs."""
    count = iteration + 1 if isinstance(iteration, int) else (iteration + 1).double()
    share = (1 - decay) / (1 - decay**count)
    share = share.to(old) if isinstance(share, Tensor) else share
    return torch.where(alive.reshape(-1, 1, 1), torch.lerp(old, new, share), old)


def make_big_sleep(spec: BigSleepSpec, weights: WeightsName, device: str) -> BigSleepEngine:
    """Builds the engine with its BigGAN. Raises WeightsError when that is missing, damaged, or draws another size."""
    return BigSleepEngine(spec, load_biggan(weights, spec.image_size, device))

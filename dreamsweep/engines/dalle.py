"""DALL-E's dVAE, guided: a picture's codes are relaxed by a gumbel-softmax and descended.

After the "Aleph" notebooks (Murdock, 2021), with the softmax over the codes, as in DALL-E's own training (Ramesh et al., 2021), and
not over space, as those notebooks had it.
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import read_picture
from dreamsweep.compute.randomness import Draws
from dreamsweep.engines.descent import DescentEngine
from dreamsweep.engines.protocol import State
from dreamsweep.engines.schedules import at_iteration, moved
from dreamsweep.engines.starts import Starts, make_starts
from dreamsweep.guidance.protocol import Chooser, Guide
from dreamsweep.models.dvae import Dvae, decode, encode_logits, load_dvae
from dreamsweep.spec import DalleSpec, Trial, WeightsName

PATCH = 8
"""Pixels on a side that one code stands for."""
START_NOISE = 0.1
LEAST_LOGIT = -9.0
"""Where codes start that an initial picture has no use for: low, but not out of an optimizer's reach."""


class DalleEngine(DescentEngine):
    """Descends the logits of a grid of codes, `b c h/8 w/8`."""

    moving = ("logits",)
    recordable = True
    spec: DalleSpec

    def __init__(self, spec: DalleSpec, dvae: Dvae, starts: Starts | None = None) -> None:
        super().__init__(spec, dvae.device)
        self.dvae = dvae
        self.starts = starts
        """Pictures to start from; without them, codes begin at random or at the average picture's."""

    @torch.no_grad()
    def begin(self, trials: Sequence[Trial], guide: Guide) -> State:
        spec, side = self.spec, self.spec.image_size // PATCH
        noise = Draws([t.seed for t in trials]).normal("codes", self.dvae.codes, side, side)
        if spec.init_image is not None:
            return {"logits": self._near(read_picture(spec.init_image, spec.image_size)[None], noise)}
        if self.starts is not None and isinstance(guide, Chooser):
            return {"logits": self._near(self.starts(spec.image_size, trials, guide), noise)}
        if spec.start == "mean" and self.dvae.log_frequency is not None:
            return {"logits": noise * START_NOISE + self._prior_at(side).cpu()}
        return {"logits": noise}

    def pictures(self, state: State, trials: Sequence[Trial], iteration: Count) -> Float[Tensor, "b 3 h w"]:
        tau = at_iteration(partial(self._temperature, trials[0].num_iter), trials[0].num_iter, iteration)
        return decode(self.dvae.decoder, relaxed_codes(state["logits"], tau, [t.seed for t in trials], iteration))

    def draw(self, state: State) -> Float[Tensor, "b 3 h w"]:
        """Returns the pictures of the likeliest mixture of codes, without gumbel noise."""
        return decode(self.dvae.decoder, (state["logits"] / self.spec.tau_end).softmax(1)).clamp(0, 1)

    def penalty(self, state: State, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b"]:
        """Returns how rare the codes are in training pictures, and how rough the pictures."""
        logits = state["logits"]
        loss = logits.new_zeros(len(logits))
        if self.spec.code_prior and self.dvae.log_frequency is not None:
            likely = self._prior_at(logits.shape[-1]).to(logits)
            loss = loss - self.spec.code_prior * (logits.softmax(1) * likely).sum(1).mean((1, 2))
        if self.spec.smoothness:
            across = (pictures[..., 1:] - pictures[..., :-1]).abs().mean((1, 2, 3))
            down = (pictures[..., 1:, :] - pictures[..., :-1, :]).abs().mean((1, 2, 3))
            loss = loss + self.spec.smoothness * (across + down)
        return loss

    def _temperature(self, iterations: int, iteration: int) -> float:
        spec = self.spec
        return moved(spec.tau_schedule, spec.tau_start, spec.tau_end, (iteration - 1) / max(1, iterations - 1))

    def _near(self, pictures: Float[Tensor, "n 3 h w"], noise: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """Logits of the codes that the encoder gives pictures, one for all or one each, with each trial's own noise."""
        named = encode_logits(self.dvae.encoder, pictures.to(self.dvae.device)).log_softmax(1).cpu()
        return noise * START_NOISE + named.clamp(min=LEAST_LOGIT)

    def _prior_at(self, side: int) -> Float[Tensor, "1 c y x"]:
        assert self.dvae.log_frequency is not None
        return F.interpolate(self.dvae.log_frequency[None], size=(side, side), mode="bilinear", align_corners=False)


def relaxed_codes(
    logits: Float[Tensor, "b c y x"], tau: float | Float[Tensor, "1"], seeds: Sequence[int], iteration: Count
) -> Float[Tensor, "b c y x"]:
    """Draws relaxed codes by Gumbel-softmax (Jang et al., 2017), each trial with noise of its own."""
    uniform = Draws(seeds, iteration, logits.device).uniform("gumbel", *logits.shape[1:])
    noise = -(-uniform.clamp(min=1e-20).log()).clamp(min=1e-20).log()
    return ((logits + noise.to(logits)) / tau).softmax(1)


def make_dalle(spec: DalleSpec, weights: WeightsName, device: str) -> DalleEngine:
    """Builds the engine with its dVAE, and what it starts from. Raises WeightsError when weights are missing or damaged."""
    return DalleEngine(spec, load_dvae(weights, device), make_starts(spec.start, weights, device))

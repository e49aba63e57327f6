"""DALL-E's dVAE, guided: a picture's codes are relaxed by a gumbel-softmax and descended.

After the "Aleph" notebooks (Murdock, 2021), with the softmax over the codes, as in DALL-E's own training (Ramesh et al., 2021), and
not over space, as those notebooks had it.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamsweep.codes import Dvae, decode, encode_logits
from dreamsweep.descent import make_optimizer, pack_optimizer, silence_diverged, unpack_optimizer
from dreamsweep.engines import Guide, State, Step
from dreamsweep.pictures import read_picture
from dreamsweep.randomness import generator
from dreamsweep.spec import DalleSpec, Trial

PATCH = 8
"""Pixels on a side that one code stands for."""
INIT_SHARPNESS = 4.0
"""How far an initial picture's codes stand out from the others, in logits."""


class DalleEngine:
    """Descends the logits of a grid of codes, `b c h/8 w/8` (see `Engine`)."""

    def __init__(self, spec: DalleSpec, dvae: Dvae) -> None:
        self.spec, self.dvae = spec, dvae

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        spec, iterations = self.spec, trials[0].num_iter
        logits = (state["logits"] if state else self._start(trials)).to(self.dvae.device).requires_grad_()
        optimizer = make_optimizer(spec.optimizer, [logits])
        if state:
            unpack_optimizer(optimizer, state)
        first = int(state["iteration"]) + 1 if state else 1
        for iteration in range(first, iterations + 1):
            tau = spec.tau_start + (spec.tau_end - spec.tau_start) * (iteration - 1) / max(1, iterations - 1)
            codes = relaxed_codes(logits, tau, [t.seed for t in trials], iteration)
            pictures = decode(self.dvae.decoder, codes)
            guidance = guide(pictures, iteration)
            loss = guidance.loss + self._regularisers(logits, pictures)
            optimizer.zero_grad()
            loss.sum().backward()
            silence_diverged([logits], loss)
            optimizer.step()
            yield Step(
                iteration=iteration,
                loss=loss.detach(),
                similarity=guidance.similarity,
                learning_rate=float(optimizer.param_groups[0]["lr"]),
                draw=lambda: self.draw(logits),
                state=lambda i=iteration: {  # type: ignore[misc]
                    "logits": logits.detach().clone(), "iteration": torch.tensor(i), **pack_optimizer(optimizer)
                },
            )  # fmt: skip

    @torch.no_grad()
    def draw(self, logits: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """The pictures of the likeliest mixture of codes, without gumbel noise."""
        return decode(self.dvae.decoder, (logits / self.spec.tau_end).softmax(1)).clamp(0, 1)

    def _start(self, trials: Sequence[Trial]) -> Float[Tensor, "b c y x"]:
        side = self.spec.image_size // PATCH
        shape = (self.dvae.codes, side, side)
        noise = torch.stack([torch.randn(shape, generator=generator(t.seed, "codes")) for t in trials])
        if self.spec.init_image is not None:
            picture = read_picture(self.spec.init_image, self.spec.image_size).to(self.dvae.device)
            with torch.no_grad():
                named = encode_logits(self.dvae.encoder, picture[None]).softmax(1)
            return noise * 0.1 + INIT_SHARPNESS * named.cpu()
        if self.spec.start == "mean" and self.dvae.log_frequency is not None:
            return noise * 0.1 + self._prior_at(side).cpu()
        return noise

    def _prior_at(self, side: int) -> Float[Tensor, "1 c y x"]:
        assert self.dvae.log_frequency is not None
        return F.interpolate(self.dvae.log_frequency[None], size=(side, side), mode="bilinear", align_corners=False)

    def _regularisers(self, logits: Tensor, pictures: Tensor) -> Float[Tensor, "b"]:
        loss = logits.new_zeros(len(logits))
        if self.spec.code_prior and self.dvae.log_frequency is not None:
            likely = self._prior_at(logits.shape[-1]).to(logits)
            loss = loss - self.spec.code_prior * (logits.softmax(1) * likely).sum(1).mean((1, 2))
        if self.spec.smoothness:
            across = (pictures[..., 1:] - pictures[..., :-1]).abs().mean((1, 2, 3))
            down = (pictures[..., 1:, :] - pictures[..., :-1, :]).abs().mean((1, 2, 3))
            loss = loss + self.spec.smoothness * (across + down)
        return loss


def relaxed_codes(logits: Float[Tensor, "b c y x"], tau: float, seeds: Sequence[int], iteration: int) -> Float[Tensor, "b c y x"]:
    """Gumbel-softmax over the codes (Jang et al., 2017), each trial with noise of its own."""
    shape = logits.shape[1:]
    uniform = torch.stack([torch.rand(shape, generator=generator(seed, "gumbel", iteration)) for seed in seeds])
    noise = -(-uniform.clamp(min=1e-20).log()).clamp(min=1e-20).log()
    return ((logits + noise.to(logits)) / tau).softmax(1)

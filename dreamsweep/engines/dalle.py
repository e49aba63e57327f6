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
from dreamsweep.descent import make_optimizer, pack_optimizer, set_rates, take_step, unpack_optimizer
from dreamsweep.engines.protocol import Chooser, Guide, State, Step
from dreamsweep.pictures import read_picture
from dreamsweep.randomness import generator
from dreamsweep.schedules import moved
from dreamsweep.spec import DalleSpec, Trial

PATCH = 8
"""Pixels on a side that one code stands for."""
START_NOISE = 0.1
LEAST_LOGIT = -9.0
"""Where codes start that an initial picture has no use for: low, but not out of an optimizer's reach."""


class DalleEngine:
    """Descends the logits of a grid of codes, `b c h/8 w/8` (see `Engine`)."""

    def __init__(self, spec: DalleSpec, dvae: Dvae) -> None:
        self.spec, self.dvae = spec, dvae

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        spec, iterations = self.spec, trials[0].num_iter
        logits = (state["logits"].clone() if state else self._start(trials, guide)).to(self.dvae.device).requires_grad_()
        optimizer = make_optimizer(spec.optimizer, [logits])
        if state:
            unpack_optimizer(optimizer, state)
        first = int(state["iteration"]) + 1 if state else 1
        alive = state["alive"].to(logits.device) if state else torch.ones(len(trials), dtype=torch.bool, device=logits.device)
        for iteration in range(first, iterations + 1):
            tau = moved(spec.tau_schedule, spec.tau_start, spec.tau_end, (iteration - 1) / max(1, iterations - 1))
            rate = set_rates(optimizer, spec, iteration, iterations)
            codes = relaxed_codes(logits, tau, [t.seed for t in trials], iteration)
            pictures = decode(self.dvae.decoder, codes)
            guidance = guide(pictures, iteration)
            loss = guidance.loss + self._regularisers(logits, pictures)
            alive = take_step(optimizer, [logits], loss, alive)
            yield Step(
                iteration=iteration,
                loss=torch.where(alive, loss.detach(), torch.nan),
                similarity=torch.where(alive, guidance.similarity, torch.nan),
                learning_rate=rate,
                draw=lambda: self.draw(logits),
                state=lambda done=iteration, alive=alive: {  # type: ignore[misc]
                    "logits": logits.detach().clone(),
                    "iteration": torch.tensor(done),
                    "alive": alive.clone(),
                    **pack_optimizer(optimizer),
                },
            )

    @torch.no_grad()
    def draw(self, logits: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """The pictures of the likeliest mixture of codes, without gumbel noise."""
        return decode(self.dvae.decoder, (logits / self.spec.tau_end).softmax(1)).clamp(0, 1)

    @torch.no_grad()
    def _start(self, trials: Sequence[Trial], guide: Guide) -> Float[Tensor, "b c y x"]:
        spec, side = self.spec, self.spec.image_size // PATCH
        noise = torch.stack([torch.randn((self.dvae.codes, side, side), generator=generator(t.seed, "codes")) for t in trials])
        if spec.init_image is not None:
            return self._near(read_picture(spec.init_image, spec.image_size)[None], noise)
        if spec.start == "shape" and self.dvae.shapes is not None and isinstance(guide, Chooser):
            return self._near(self._likeliest_shapes(trials, guide, self.dvae.shapes), noise)
        if spec.start == "mean" and self.dvae.log_frequency is not None:
            return noise * START_NOISE + self._prior_at(side).cpu()
        return noise

    def _near(self, pictures: Float[Tensor, "n 3 h w"], noise: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c y x"]:
        """Logits of the codes that the encoder gives pictures, one for all or one each, with each trial's own noise."""
        named = encode_logits(self.dvae.encoder, pictures.to(self.dvae.device)).log_softmax(1).cpu()
        return noise * START_NOISE + named.clamp(min=LEAST_LOGIT)

    def _likeliest_shapes(self, trials: Sequence[Trial], guide: Chooser, shapes: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "b 3 h w"]:
        """For each trial one of the three shapes that its guide finds nearest to the prompt; the seed says which."""
        size = (self.spec.image_size, self.spec.image_size)
        pictures = F.interpolate(shapes, size=size, mode="bilinear", align_corners=False).clamp(0, 1)
        best = guide.weigh(pictures).topk(3, dim=0, largest=False).indices  # 3 b
        picked = [int(torch.randint(3, (), generator=generator(t.seed, "shape"))) if t.seed else 0 for t in trials]
        return torch.stack([pictures[best[rank, i]] for i, rank in enumerate(picked)])

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

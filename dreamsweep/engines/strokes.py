"""Bézier strokes drawn to match a prompt: CLIPDraw (Frans, Soros & Witkowski, 2021, arXiv:2106.14843), with our own rasteriser.

A drawing is `num_paths` strokes with round ends, each of 1 to `segments_max` joined cubic Bézier curves, with a width and an RGBA
colour. Gradient descent moves control points, widths and colours, each with a learning rate of its own.

Departures from the paper: a width is the stroke's whole width in pixels, where diffvg, the rasteriser used there, takes it for
half of it; the guide makes the augmented views; a trial whose loss, gradient or strokes are no longer finite stops where it was.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.descent import make_optimizer, pack_optimizer, set_rates, take_step, unpack_optimizer
from dreamsweep.engines.protocol import Guide, State, Step
from dreamsweep.engines.rasterise import Strokes, rasterise
from dreamsweep.engines.svg import write_svg
from dreamsweep.pictures import paper, read_picture
from dreamsweep.randomness import generator
from dreamsweep.spec import StrokesSpec, Trial

SIDE = 224
"""Units along a side of the canvas: learning rates and widths are in pixels of the paper's canvas, whatever ours measures."""
RADIUS = 0.1
"""A new stroke's next control point is uniform in a square of this side around the one before, as a share of the canvas."""


PAINT_FRAMES = 60
"""Pictures of a drawing being drawn, at most: some five seconds of film."""


class StrokesEngine:
    """Draws a batch of trials with one spec; see `dreamsweep.engines.Engine`."""

    def __init__(self, spec: StrokesSpec, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.device = torch.device(device)

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        """Descends the guide, one `Step` an iteration; a step's `draw`, `state` and `svg` speak of the latest step taken.

        Raises `SweepFileError` when the picture to start from cannot be read.
        """
        state = {key: value.to(self.device, copy=True) for key, value in (state or begin(self.spec, trials)).items()}
        strokes = Strokes(*(state[name] for name in ("points", "segments", "widths", "colors")))
        moving = (strokes.points, strokes.widths, strokes.colors)
        optimizer = make_optimizer(self.spec.optimizer, moving, [1.0, self.spec.width_rate, self.spec.color_rate])
        unpack_optimizer(optimizer, state)
        alive, done = state["alive"], int(state["iteration"])
        for iteration in range(done + 1, trials[0].num_iter + 1):
            rate = set_rates(optimizer, self.spec, iteration, trials[0].num_iter, 1 if self.spec.scheduled == "points" else None)
            for tensor in moving:
                tensor.requires_grad_()
            guidance = guide(self.draw(strokes), iteration)
            alive = take_step(optimizer, moving, guidance.loss, alive)
            self._into_bounds(strokes)
            yield Step(
                iteration=iteration,
                loss=torch.where(alive, guidance.loss.detach(), torch.nan),
                similarity=torch.where(alive, guidance.similarity.detach(), torch.nan),
                learning_rate=rate,
                draw=torch.no_grad()(lambda: self.draw(strokes)),
                state=lambda iteration=iteration, alive=alive: _pack(strokes, optimizer, iteration, alive),  # type: ignore[misc]
                svg=lambda: write_svg(strokes, SIDE, self.spec.background, self.spec.canvas),
                paint=lambda index: self.paint(strokes, index),
            )

    def draw(self, strokes: Strokes, over: Float[Tensor, "*#b 3 #h #w"] | None = None) -> Float[Tensor, "b 3 h w"]:
        """The pictures of strokes given in units, on paper or over pictures; differentiable where the strokes ask for a gradient."""
        side, scale = self.spec.canvas, self.spec.canvas / SIDE
        scaled = Strokes(strokes.points * scale, strokes.segments, strokes.widths * scale, strokes.colors)
        return rasterise(scaled, side, side, paper(self.spec.background).to(self.device) if over is None else over)

    def paint(self, strokes: Strokes, index: int) -> Iterator[Float[Tensor, "3 h w"]]:
        """One trial's picture, stroke upon stroke: empty paper, and then as many strokes more each time as keep to `PAINT_FRAMES`."""
        frames = min(PAINT_FRAMES, self.spec.num_paths + 1)
        counts = [round(at * self.spec.num_paths / (frames - 1)) for at in range(frames)]
        picture = self.draw(_some(strokes, index, 0, 0))
        yield picture[0]
        for before, after in pairwise(counts):
            picture = self.draw(_some(strokes, index, before, after), over=picture)
            yield picture[0]

    def _into_bounds(self, strokes: Strokes) -> None:
        """Widths and colours back into what strokes may have."""
        with torch.no_grad():
            strokes.widths.clamp_(min(1.0, self.spec.max_width), self.spec.max_width)
            strokes.colors.clamp_(0, 1)


def begin(spec: StrokesSpec, trials: Sequence[Trial]) -> State:
    """The state before the first iteration: every trial's random strokes, from its own seed."""
    drawn = [_random_strokes(spec, generator(trial.seed, "strokes")) for trial in trials]
    strokes = Strokes(*(torch.stack(tensors) for tensors in zip(*drawn, strict=True)))
    if spec.init_image is not None:
        strokes.colors[..., :3] = _colors_at(strokes, read_picture(spec.init_image, SIDE))
    return _pack(strokes, None, 0, torch.ones(len(trials), dtype=torch.bool))


def _random_strokes(spec: StrokesSpec, randomness: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points, segments, widths and colours of one trial: a random walk from a uniform place, width 1, uniform RGBA."""
    count = spec.num_paths
    first = torch.rand(count, 1, 2, generator=randomness)
    steps = (torch.rand(count, 3 * spec.segments_max, 2, generator=randomness) - 0.5) * RADIUS
    points = torch.cat((first, first + steps.cumsum(1)), 1) * SIDE
    segments = torch.randint(1, spec.segments_max + 1, (count,), generator=randomness)
    widths = torch.full((count,), min(1.0, spec.max_width))
    return points, segments, widths, torch.rand(count, 4, generator=randomness)


def _some(strokes: Strokes, index: int, first: int, end: int) -> Strokes:
    """The strokes `first` to `end` of one trial, without gradient."""
    tensors = (strokes.points, strokes.segments, strokes.widths, strokes.colors)
    return Strokes(*(tensor[index : index + 1, first:end].detach() for tensor in tensors))


def _colors_at(strokes: Strokes, picture: Float[Tensor, "3 224 224"]) -> Float[Tensor, "b p 3"]:
    """The picture's mean colour at each stroke's control points."""
    x, y = strokes.points.long().clamp(0, SIDE - 1).unbind(-1)
    used = torch.arange(x.shape[-1]) <= 3 * strokes.segments[..., None]
    colors = (picture[:, y, x] * used).sum(-1) / used.sum(-1)  # 3 b p
    return colors.movedim(0, -1)


def _pack(strokes: Strokes, optimizer: torch.optim.Optimizer | None, iteration: int, alive: Tensor) -> State:
    drawn = {name: getattr(strokes, name).detach().clone() for name in ("points", "segments", "widths", "colors")}
    moments = pack_optimizer(optimizer) if optimizer else {}
    return {**drawn, **moments, "alive": alive.clone(), "iteration": torch.tensor(iteration)}

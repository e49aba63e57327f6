"""Bézier strokes drawn to match a prompt: CLIPDraw (Frans, Soros & Witkowski, 2021, arXiv:2106.14843), with our own rasteriser.

A drawing is `num_paths` strokes with round ends, each of 1 to `segments_max` joined cubic Bézier curves, with a width and an RGBA
colour. Gradient descent moves control points, widths and colours, each with a learning rate of its own.

Departures from the paper: a width is the stroke's whole width in pixels, where diffvg, the rasteriser used there, takes it for
half of it; the guide makes the augmented views; a trial whose loss, gradient or strokes are no longer finite stops where it was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamsweep.compute.colours import LEAST_INK
from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import paper, read_picture
from dreamsweep.compute.randomness import Draws
from dreamsweep.engines.descent import DescentEngine
from dreamsweep.engines.painting import lay_over
from dreamsweep.engines.protocol import Artefact, Film, State
from dreamsweep.engines.rasterise import Strokes, rasterise
from dreamsweep.engines.starts import Starts, make_starts
from dreamsweep.engines.svg import read_svg, write_svg
from dreamsweep.guidance.protocol import Chooser, Guide
from dreamsweep.spec import StrokesSpec, Trial, WeightsName

SIDE = 224
"""Units along a side of the canvas: learning rates and widths are in pixels of the paper's canvas, whatever ours measures."""
RADIUS = 0.1
"""A new stroke's next control point is uniform in a square of this side around the one before, as a share of the canvas."""
PAINT_FRAMES = 60
"""Pictures of a drawing being drawn, at most: some five seconds of film."""
TENSORS = ("points", "segments", "widths", "colors")
"""Tensors of `Strokes`, in order."""


class StrokesEngine(DescentEngine):
    """Descends control points `b p n 2`, widths `b p` and colours `b p 4`; how many segments each stroke has stays as it was drawn."""

    moving = ("points", "widths", "colors")
    spec: StrokesSpec

    def __init__(self, spec: StrokesSpec, device: str = "cpu", starts: Starts | None = None) -> None:
        super().__init__(spec, device)
        self.starts = starts
        """Pictures to lay strokes over; without them, strokes begin anywhere."""

    def begin(self, trials: Sequence[Trial], guide: Guide) -> State:
        if self.starts is None or not isinstance(guide, Chooser):
            return begin(self.spec, trials)
        return begin(self.spec, trials, self.starts(SIDE, trials, guide).cpu())

    def pictures(self, state: State, trials: Sequence[Trial], iteration: Count) -> Float[Tensor, "b 3 h w"]:
        return self.draw(state)

    def draw(self, state: State) -> Float[Tensor, "b 3 h w"]:
        return self.draw_strokes(strokes_of(state))

    def after_step(self, state: State, iteration: Count, alive: Bool[Tensor, "b"]) -> None:
        """Brings widths and colours back into their bounds."""
        state["widths"].clamp_(min(1.0, self.spec.max_width), self.spec.max_width)
        state["colors"].clamp_(0, 1)

    def artefacts(self, state: State, index: int) -> Iterable[Artefact | Film]:
        """Returns the drawing as SVG, and the film of it being drawn, stroke upon stroke."""
        strokes = _some(strokes_of(state), index, 0, self.spec.num_paths)
        (text,) = write_svg(strokes, SIDE, self.spec.background, self.spec.canvas)
        return Artefact("strokes.svg", "image/svg+xml", text.encode()), Film("strokes", self.paint(strokes_of(state), index))

    def films_of(self, artefacts: Mapping[str, bytes]) -> Iterable[Film]:
        """Yields the film of the drawing, from the numbers of the SVG: they are rounded, so a pixel may differ by a step or two of 255."""
        if "strokes.svg" in artefacts:
            strokes = read_svg(artefacts["strokes.svg"].decode())
            yield Film("strokes", self.paint(Strokes(*(getattr(strokes, name).to(self.device) for name in TENSORS)), 0))

    @property
    def relative_rates(self) -> tuple[float, ...]:
        return 1.0, self.spec.width_rate, self.spec.color_rate

    @property
    def scheduled(self) -> int:
        return 1 if self.spec.scheduled == "points" else 3

    def draw_strokes(self, strokes: Strokes, over: Float[Tensor, "*#b 3 #h #w"] | None = None) -> Float[Tensor, "b 3 h w"]:
        """Returns the pictures of strokes given in units, on paper or over pictures; differentiable where the strokes ask for a
        gradient.
        """
        side, scale = self.spec.canvas, self.spec.canvas / SIDE
        scaled = Strokes(strokes.points * scale, strokes.segments, strokes.widths * scale, strokes.colors)
        return rasterise(scaled, side, side, paper(self.spec.background, self.device) if over is None else over)

    def paint(self, strokes: Strokes, index: int) -> Iterator[Float[Tensor, "3 h w"]]:
        """Yields one trial's picture, stroke upon stroke: empty paper, and then as many strokes more each time as keep to
        `PAINT_FRAMES`.
        """
        frames = min(PAINT_FRAMES, self.spec.num_paths + 1)
        counts = [round(at * self.spec.num_paths / (frames - 1)) for at in range(frames)]
        picture = self.draw_strokes(_some(strokes, index, 0, 0))
        yield picture[0]
        for before, after in pairwise(counts):
            picture = self.draw_strokes(_some(strokes, index, before, after), over=picture)
            yield picture[0]


def begin(spec: StrokesSpec, trials: Sequence[Trial], over: Float[Tensor, "b 3 224 224"] | None = None) -> State:
    """Returns the tensors before the first iteration: random strokes from each trial's own seed, laid over its picture if there is one."""
    draws = Draws([trial.seed for trial in trials])
    strokes = _random_strokes(spec, draws)
    if over is not None:
        strokes = _laid_over(over, strokes, spec, draws)
    elif spec.init_image is not None:
        strokes.colors[..., :3] = _colors_at(strokes, read_picture(spec.init_image, SIDE).expand(len(trials), -1, -1, -1))
    return {name: getattr(strokes, name) for name in TENSORS}


def strokes_of(state: State) -> Strokes:
    """Returns the strokes that a state holds."""
    return Strokes(*(state[name] for name in TENSORS))


def _random_strokes(spec: StrokesSpec, draws: Draws) -> Strokes:
    """Returns each trial's strokes: random walks from uniform places, of width 1, in uniform RGBA."""
    count = spec.num_paths
    first = draws.uniform("strokes.places", count, 1, 2)
    steps = (draws.uniform("strokes.steps", count, 3 * spec.segments_max, 2) - 0.5) * RADIUS
    points = torch.cat((first, first + steps.cumsum(2)), 2) * SIDE
    segments = 1 + draws.integers("strokes.segments", spec.segments_max, count)
    widths = torch.full((len(draws.seeds), count), min(1.0, spec.max_width))
    return Strokes(points, segments, widths, draws.uniform("strokes.colours", count, 4))


def _laid_over(pictures: Float[Tensor, "b 3 224 224"], strokes: Strokes, spec: StrokesSpec, draws: Draws) -> Strokes:
    """Returns strokes laid over pictures on white, in their colours; where a picture is white, the paper shows."""
    chances, white = draws.uniform("strokes.laid", spec.num_paths, 2), paper(spec.background)
    inked = ((1 - pictures).amax(1, keepdim=True) / LEAST_INK).clamp(max=1)
    laid = [
        lay_over(picture, _some(strokes, at, 0, spec.num_paths), spec.max_width, chances[at], white)
        for at, picture in enumerate(torch.lerp(white.expand_as(pictures), pictures, inked))
    ]
    return Strokes(*(torch.cat([getattr(of_trial, name) for of_trial in laid]) for name in TENSORS))


def _some(strokes: Strokes, index: int, first: int, end: int) -> Strokes:
    """Returns the strokes `first` to `end` of one trial, without gradient."""
    tensors = (strokes.points, strokes.segments, strokes.widths, strokes.colors)
    return Strokes(*(tensor[index : index + 1, first:end].detach() for tensor in tensors))


def _used_points(strokes: Strokes) -> Bool[Tensor, "b p n"]:
    """Returns which control points belong to a stroke's segments."""
    return torch.arange(strokes.points.shape[2]) <= 3 * strokes.segments[..., None]


def _colors_at(strokes: Strokes, pictures: Float[Tensor, "b 3 224 224"]) -> Float[Tensor, "b p 3"]:
    """Returns the mean colour of each trial's picture at each stroke's control points."""
    x, y = strokes.points.long().clamp(0, SIDE - 1).unbind(-1)
    used = _used_points(strokes)
    trial = torch.arange(len(pictures))[:, None, None]
    colors: Tensor = pictures.movedim(1, 3)[trial, y, x] * used[..., None]  # b p n 3
    return colors.sum(2) / used.sum(2, keepdim=True)


def make_strokes(spec: StrokesSpec, weights: WeightsName, device: str) -> StrokesEngine:
    """Builds the engine, and what it starts from. Raises WeightsError when that is missing or damaged."""
    return StrokesEngine(spec, device, make_starts(spec.start, weights, device))

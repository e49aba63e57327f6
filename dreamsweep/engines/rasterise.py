"""Draws Bézier strokes so that the picture can be differentiated: our own rasteriser, in plain torch.

It looks first and differentiates after. Without gradient, each curve is cut into short straight pieces, and every pixel within
reach of a piece is listed once per stroke with the nearest place on the curve, as weights on four control points (`Inked`). With
gradient, that place, its distance to the pixel, the coverage and the colour are computed for the listed pixels alone. The nearest
place minimises the distance, so holding its weights fixed leaves the gradient exact. Work and memory follow the inked area,
whatever the canvas.

Letters: b trials, p strokes of a trial, n = p · b strokes of a batch (those of one depth side by side), c control points of a
stroke, m inked (stroke, pixel) pairs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

FLATNESS = 0.05
"""Pixels that a piece may stray from its curve, at most."""
LONGEST = 8.0
"""Pixels; the longest piece. Long pieces have large, mostly empty boxes."""
MOST_PIECES = 256
"""Pieces of one cubic segment, at most: what has flown far off the canvas is cut coarsely."""
CHUNK = 1 << 20
"""Candidate (piece, pixel) pairs and pixels of strokes' windows looked at together: bounds the memory of the search."""


@dataclass(frozen=True)
class Strokes:
    """What to draw, in pixels: x to the right and y down from the canvas's top left corner, back to front along p."""

    points: Float[Tensor, "b p c 2"]
    """Control points of up to S = (c − 1) / 3 joined cubics; segment s is drawn by points 3s … 3s + 3."""
    segments: Int[Tensor, "b p"]
    """How many of the S segments a stroke has; points beyond them are ignored."""
    widths: Float[Tensor, "b p"]
    colors: Float[Tensor, "b p 4"]
    """Red, green, blue and opacity, in [0, 1]."""


def rasterise(strokes: Strokes, height: int, width: int, background: Float[Tensor, "*#b 3 #h #w"]) -> Float[Tensor, "b 3 h w"]:
    """Returns the picture of each trial's strokes, with round caps and joins, over a background that broadcasts to `b 3 h w`.

    A pixel's coverage is the share of a stroke's cross-section that falls into one pixel around it: exact for straight strokes
    along the axes, soft over one pixel, and fading as it should where a stroke is thinner than that. Differentiable in points,
    widths, colours and background. A stroke with a point or width that is not finite leaves no mark and gets no gradient; its
    batch-mates are drawn as ever. A trial gives the same picture alone and in a batch, to the last bit on a CPU.
    """
    b, p = strokes.widths.shape
    points = strokes.points.transpose(0, 1).flatten(0, 1)  # b p c 2 -> n c 2
    radii = strokes.widths.transpose(0, 1).flatten() / 2
    colors = strokes.colors.transpose(0, 1).flatten(0, 1)  # b p 4 -> n 4
    segments = strokes.segments.transpose(0, 1).flatten()
    with torch.no_grad():
        inked = _search(points, segments, radii, height, width)
    coverage = _coverage(inked, points, radii, width)
    ink = [channel.index_select(0, inked.stroke) for channel in colors.unbind(1)]
    opacity = coverage * ink.pop()
    depth = torch.bincount(inked.stroke, minlength=p * b).reshape(p, b).sum(1)  # pairs of each depth, all trials together
    pixel = inked.pixel + inked.stroke % b * (height * width)
    canvas = background.to(points).expand(b, 3, height, width).transpose(0, 1).reshape(3, -1)  # b 3 h w -> 3 (b h w)
    painted: Tensor = _Over.apply(canvas, opacity, torch.stack(ink), pixel, depth.tolist())  # type: ignore[no-untyped-call]
    return painted.reshape(3, b, height, width).transpose(0, 1)


@dataclass(frozen=True)
class Inked:
    """The m pixels that strokes reach, ordered by stroke, and the place on the stroke nearest to each: Σ weights · points."""

    stroke: Int[Tensor, " m"]
    pixel: Int[Tensor, " m"]
    """y · width + x on its trial's canvas."""
    weights: Float[Tensor, "4 m"]
    first: Int[Tensor, " m"]
    """Where among the (n c) control points the four begin."""


@dataclass(frozen=True)
class _Pieces:
    """Straight pieces of the curves, ordered by stroke: from `start` to `start` + `run`, inked within `reach`."""

    stroke: Tensor
    first: Tensor
    t: Tensor  # 2 pieces: the curve's parameter at both ends
    start: Tensor  # 2 pieces: x, y
    run: Tensor  # 2 pieces
    reach: Tensor
    box: Tensor  # 4 pieces: left, top, columns, rows of the pixels whose centre may be within reach


@dataclass(frozen=True)
class _Windows:
    """For each stroke that is seen, the rectangle of pixels that it may touch; `owner` says which of them a piece belongs to."""

    owner: Tensor
    origin: Tensor  # top · columns + left
    columns: Tensor
    area: Tensor


def _coverage(inked: Inked, points: Tensor, radii: Tensor, width: int) -> Float[Tensor, " m"]:
    """Returns how much of each listed pixel its stroke covers, in [0, 1]."""
    index = (inked.first + torch.arange(4, device=points.device)[:, None]).flatten()
    away = torch.zeros((), dtype=points.dtype, device=points.device)
    for axis, centre in enumerate((inked.pixel % width, inked.pixel // width)):
        place = (points[..., axis].flatten().index_select(0, index).reshape(4, -1) * inked.weights).sum(0)
        away = away + (centre + 0.5 - place).square()
    distance = away.clamp_min(1e-12).sqrt()  # no gradient where a pixel's centre lies on the curve
    radius = radii.index_select(0, inked.stroke)
    return torch.minimum(radius + 0.5 - distance, 2 * radius).clamp(0, 1)


class _Over(torch.autograd.Function):
    """Lays ink over a canvas back to front, one depth after the other: within a depth no two pairs share a pixel.

    Keeps what lay under each pair, so that the way back divides by nothing and opaque ink is no special case.
    """

    @staticmethod
    def forward(ctx: Any, canvas: Tensor, opacity: Tensor, ink: Tensor, pixel: Tensor, depth: list[int]) -> Tensor:
        canvas, under = canvas.clone(), torch.empty_like(ink)
        for channel, below, color in zip(canvas.unbind(0), under.unbind(0), ink.unbind(0), strict=True):
            parts = zip(*(torch.split(x, depth) for x in (pixel, opacity, color, below)), strict=True)
            for where, share, over, keep in parts:
                torch.index_select(channel, 0, where, out=keep)
                channel.index_copy_(0, where, torch.lerp(keep, over, share))
        ctx.save_for_backward(opacity, ink, pixel, under)
        ctx.depth = depth
        return canvas

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        opacity, ink, pixel, under = ctx.saved_tensors
        gradient, arriving = gradient.clone(), torch.empty_like(ink)  # 3 (b h w), 3 m
        for channel, arrives in zip(gradient.unbind(0), arriving.unbind(0), strict=True):
            parts = list(zip(*(torch.split(x, ctx.depth) for x in (pixel, opacity, arrives)), strict=True))
            for where, share, keep in reversed(parts):
                torch.index_select(channel, 0, where, out=keep)
                channel.index_copy_(0, where, keep * (1 - share))
        return gradient, (arriving * (ink - under)).sum(0), arriving * opacity, None, None


def _search(points: Tensor, segments: Tensor, radii: Tensor, height: int, width: int) -> Inked:
    """Lists the pixels that each stroke reaches and the nearest place on the stroke, a chunk of strokes at a time."""
    pieces = _cut(points, segments, radii, height, width)
    windows = _windows(pieces)
    parts = [_nearest(pieces, windows, part, width) for part in _chunks(pieces, windows)]
    if not parts:
        parts = [(torch.zeros(0, dtype=torch.long, device=points.device),) * 2 + (points.new_zeros(0),)]
    piece, pixel, along = (torch.cat(column) for column in zip(*parts, strict=True))
    t = pieces.t.index_select(1, piece)
    weights = torch.lerp(_bernstein(t[0]), _bernstein(t[1]), along)
    return Inked(stroke=pieces.stroke[piece], pixel=pixel, weights=weights, first=pieces.first[piece])


def _bernstein(t: Tensor) -> Float[Tensor, "4 ..."]:
    """Returns the weights of a cubic's four control points at parameter t."""
    u = 1 - t
    return torch.stack((u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t))


def _cut(points: Tensor, segments: Tensor, radii: Tensor, height: int, width: int) -> _Pieces:
    """Cuts the curves into straight pieces, short and flat, and leaves out those that no pixel is near to."""
    c = points.shape[1]
    most = (c - 1) // 3
    corners = points[:, 3 * torch.arange(most, device=points.device)[:, None] + torch.arange(4, device=points.device)]  # n S 4 2
    counts = _piece_counts(corners)
    drawn = torch.arange(most, device=points.device) < segments[:, None]
    sound = (torch.isfinite(corners).all(-1).all(-1) | ~drawn).all(1) & torch.isfinite(radii) & (radii > 0)
    counts = torch.where(drawn & sound[:, None], counts, 0).flatten()
    cubic = torch.repeat_interleave(counts)
    number = torch.arange(len(cubic), device=points.device) - (counts.cumsum(0) - counts)[cubic]
    stroke = cubic // most
    t = torch.stack((number, number + 1)) / counts[cubic]
    t = t.to(points.dtype)
    ends = torch.einsum("kem,mkx->xem", _bernstein(t), corners.flatten(0, 1)[cubic])  # x or y, start or end, piece
    reach = radii[stroke] + 0.5
    box = _boxes(ends, reach, height, width)
    near = (box[2] * box[3]).nonzero().squeeze(1)
    ends, stroke = ends[..., near], stroke[near]
    first = stroke * c + 3 * (cubic[near] % most)
    return _Pieces(stroke, first, t[:, near], ends[:, 0], ends[:, 1] - ends[:, 0], reach[near], box[:, near])


def _piece_counts(corners: Float[Tensor, "n S 4 2"]) -> Int[Tensor, "n S"]:
    """Returns how many pieces keep each cubic flat (Wang's bound on a Bézier curve's distance from its chords) and short."""
    corners = torch.nan_to_num(corners)
    bend = torch.linalg.vector_norm(corners.diff(n=2, dim=-2), dim=-1).amax(-1)
    length = torch.linalg.vector_norm(corners.diff(dim=-2), dim=-1).sum(-1)
    wanted = torch.maximum((bend * 0.75 / FLATNESS).sqrt(), length / LONGEST)
    return wanted.clamp(1, MOST_PIECES).ceil().long()


def _boxes(ends: Tensor, reach: Tensor, height: int, width: int) -> Int[Tensor, "4 pieces"]:
    """Returns left, top, columns and rows of the pixels whose centre may lie within reach of each piece, on the canvas."""
    size = torch.tensor([[width], [height]], device=ends.device)
    low = (ends.amin(1) - reach - 0.5).clamp_min(0).minimum(size).ceil().long()
    high = (ends.amax(1) + reach - 0.5).clamp_min(-1).minimum(size - 1).floor().long()
    return torch.cat((low, (high - low + 1).clamp_min(0)))


def _windows(pieces: _Pieces) -> _Windows:
    """Returns the smallest rectangle around the boxes of each stroke's pieces."""
    _, owner = torch.unique_consecutive(pieces.stroke, return_inverse=True)
    count = int(owner[-1]) + 1 if len(owner) else 0
    low = torch.full((2, count), 1 << 30, device=owner.device)
    low = low.scatter_reduce(1, owner.expand(2, -1), pieces.box[:2], "amin")
    high = torch.zeros_like(low).scatter_reduce(1, owner.expand(2, -1), pieces.box[:2] + pieces.box[2:], "amax")
    columns, rows = high - low
    return _Windows(owner, origin=low[1] * columns + low[0], columns=columns, area=columns * rows)


def _chunks(pieces: _Pieces, windows: _Windows) -> Iterator[slice]:
    """Runs of pieces that hold whole strokes and some `CHUNK` candidate pairs and window pixels each."""
    last = torch.bincount(windows.owner, minlength=len(windows.area)).cumsum(0) - 1
    cost = (pieces.box[2] * pieces.box[3]).cumsum(0)[last] + windows.area.cumsum(0)
    chunk = torch.div(cost - 1, CHUNK, rounding_mode="floor")
    start = 0
    for stop in (last[torch.cat((chunk.diff() > 0, chunk.new_ones(min(1, len(chunk)), dtype=torch.bool)))] + 1).tolist():
        yield slice(start, stop)
        start = stop


def _nearest(pieces: _Pieces, windows: _Windows, part: slice, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns for each stroke of a part and each pixel within its reach: the nearest piece, the pixel, and how far along the piece (0
    to 1).
    """
    left, top, columns, rows = pieces.box[:, part]
    piece, x, y = _spread(left, top, columns, rows)
    (ax, ay), (ux, uy) = pieces.start[:, part], pieces.run[:, part]
    inverse = 1 / (ux.square() + uy.square()).clamp_min(1e-12)
    dx, dy = x + (0.5 - ax)[piece], y + (0.5 - ay)[piece]
    ux, uy = ux[piece], uy[piece]
    along = ((dx * ux + dy * uy) * inverse[piece]).clamp(0, 1)
    away = (dx - along * ux).square() + (dy - along * uy).square()
    kept = (away < pieces.reach[part].square()[piece]).nonzero().squeeze(1)
    piece, away, along = piece[kept], away[kept], along[kept]
    x, y = x[kept], y[kept]
    owner = windows.owner[part]
    area = windows.area[owner[0] : owner[-1] + 1]
    offset = (area.cumsum(0) - area)[owner - owner[0]] - windows.origin[owner]
    slot = offset[piece] + y * windows.columns[owner][piece] + x  # the strokes' windows laid end to end
    best = _least_of_each(slot, away, int(area.sum()))
    return piece[best] + part.start, (y * width + x)[best], along[best]


def _spread(left: Tensor, top: Tensor, columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns every pixel of every box: the box it is in, x and y."""
    area = columns * rows
    box = torch.repeat_interleave(area)
    number = torch.arange(len(box), device=box.device) - (area.cumsum(0) - area)[box]
    columns = columns[box]
    row = torch.div(number, columns, rounding_mode="floor")
    return box, left[box] + number - row * columns, top[box] + row


def _least_of_each(slot: Tensor, values: Tensor, count: int) -> Int[Tensor, " m"]:
    """Returns where the least value of each of `count` slots stands (the last of equals), in ascending order."""
    least = torch.full((count,), math.inf, dtype=values.dtype, device=values.device).scatter_reduce_(0, slot, values, "amin")
    number = torch.arange(len(slot), device=slot.device)
    winner = values == least[slot]
    last = torch.full((count,), -1, device=slot.device).scatter_reduce_(0, slot[winner], number[winner], "amax")
    return (last[slot] == number).nonzero().squeeze(1)

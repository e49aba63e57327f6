"""Strokes as SVG: the same curves, widths, colours and order as the rasteriser draws, as text that never varies."""

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from dreamsweep.engines.rasterise import Strokes


def write_svg(strokes: Strokes, side: int, background: str, pixels: int | None = None) -> list[str]:
    """Returns one SVG a trial, on a square of `side` units (those of the strokes) shown on `pixels` pixels; `background` is `#rrggbb`.

    Numbers are rounded: places to a thousandth of a unit, colours to 1/255, opacity to a ten-thousandth.
    """
    shown = side if pixels is None else pixels
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{shown}" height="{shown}" '
        f'viewBox="0 0 {side} {side}">\n<rect width="100%" height="100%" fill="{background.lower()}"/>\n'
        '<g fill="none" stroke-linecap="round" stroke-linejoin="round">\n'
    )
    trials = zip(*(x.detach().cpu() for x in (strokes.points, strokes.segments, strokes.widths, strokes.colors)), strict=True)
    return [head + "".join(f"{path}\n" for path in _paths(*trial)) + "</g>\n</svg>\n" for trial in trials]


def read_svg(text: str) -> Strokes:
    """Reads the strokes of one trial back from what `write_svg` made of them, as rounded as they are there."""
    paths = re.findall(r'<path d="M(.+?)C(.+?)" stroke="#(.{6})" stroke-opacity="(.+?)" stroke-width="(.+?)"/>', text)
    points = [torch.tensor([float(number) for number in f"{first} {others}".split()]).reshape(-1, 2) for first, others, *_ in paths]
    inks = [[int(ink[at : at + 2], 16) / 255 for at in (0, 2, 4)] + [float(opacity)] for _, _, ink, opacity, _ in paths]
    return Strokes(
        torch.nn.utils.rnn.pad_sequence(points, batch_first=True)[None],
        torch.tensor([[len(of_stroke) // 3 for of_stroke in points]]),
        torch.tensor([[float(width) for *_, width in paths]]),
        torch.tensor([inks]),
    )


def _paths(points: Tensor, segments: Tensor, widths: Tensor, colors: Tensor) -> Iterator[str]:
    """Yields a `<path>` for each stroke of one trial, back to front."""
    for places, count, width, (*rgb, opacity) in zip(
        points.tolist(), segments.tolist(), widths.tolist(), colors.clamp(0, 1).tolist(), strict=True
    ):
        first, *others = (f"{_number(x)} {_number(y)}" for x, y in places[: 3 * count + 1])
        curve = f"M{first}C{' '.join(others)}"
        ink = "".join(f"{round(255 * channel):02x}" for channel in rgb)
        yield f'<path d="{curve}" stroke="#{ink}" stroke-opacity="{_number(opacity, 4)}" stroke-width="{_number(width)}"/>'


def _number(value: float, digits: int = 3) -> str:
    """Returns the shortest fixed-point text of a number: no exponent, no trailing zeros, no negative zero."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text

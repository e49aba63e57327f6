"""Plots of a study's report, each a PNG."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from dreamsweep.report.curves import COLOURS, INK, PALE, dress
from dreamsweep.report.fonts import legible, legible_by_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILE, GAP, LINE = 112, 6, 18
"""Pixels: side of a snapshot of a strip, space between them, height of a line of text."""
WIDEST = 1_600
"""Pixels across of a picture that is put into a page."""
STRETCH = 20
"""How much higher than the middle one a curve rises before all are drawn on a logarithmic scale."""
POINTS = 400
"""Points of a curve; of more iterations, that many are drawn."""


def strips(rows: Sequence[tuple[str, Sequence[tuple[str, bytes]]]]) -> bytes:
    """Draws rows of snapshots: a name above each row, and below each snapshot its iteration. Snapshots are PNG data."""
    names, font = legible([name for name, _ in rows], 14)
    _, small = legible([], 11)
    height = LINE + TILE + LINE + GAP
    sheet = Image.new("RGB", (max(len(frames) for _, frames in rows) * (TILE + GAP) + GAP, len(rows) * height + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, ((_, frames), name) in enumerate(zip(rows, names, strict=True)):
        top = number * height + GAP
        font.draw(pen, (GAP, top), name, INK)
        for column, (iteration, data) in enumerate(frames):
            left = GAP + column * (TILE + GAP)
            picture = Image.open(io.BytesIO(data)).convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, top + LINE))
            small.draw(pen, (left, top + LINE + TILE + 2), iteration, PALE)
    return _png_of(sheet)


def fitted(data: bytes) -> bytes:
    """Returns a PNG that is no wider than a page."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.thumbnail((WIDEST, WIDEST * 4))
    return _png_of(picture)


def curves(by_setting: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Draws the mean loss, guide's similarity and judge's score of each setting over the iterations.

    Each row of a setting is a trial with lists `x` (iterations), `loss`, `guide` and `judge`, the last with None where it did not look.
    """
    figure = _figure(12, 3.6 + 0.22 * math.ceil(len(by_setting) / 3))
    panels = figure.subplots(1, 3)
    lines: dict[str, Any] = {}
    for number, (setting, trials) in enumerate(by_setting.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": ("-", "--", ":")[number // len(COLOURS) % 3], "linewidth": 1.5}
        for panel, column in zip(panels, ("loss", "guide", "judge"), strict=True):
            x, y = _mean_curve(trials, column)
            if x:
                (lines[setting],) = panel.plot(x, y, **style)
    for panel, title in zip(panels, ("loss", "guide's similarity", "judge's score"), strict=True):
        dress(panel, title)
    if _is_stretched([line.get_ydata() for line in panels[0].get_lines()]):
        panels[0].set_yscale("symlog")
    _legend(figure, lines)
    return _saved(figure)


def _is_stretched(curves: Sequence[Any]) -> bool:
    """Returns whether one curve is so far from the others that they would lie on each other."""
    largest = sorted(float(np.abs(curve).max()) for curve in curves if len(curve))
    return len(largest) > 1 and largest[-1] > STRETCH * max(largest[len(largest) // 2 - 1], 1e-9)


def _mean_curve(trials: Sequence[Mapping[str, Any]], column: str) -> tuple[list[int], list[float]]:
    """Returns the mean over trials at each iteration that all of them have a finite value of."""
    sums: dict[int, list[float]] = {}
    for trial in trials:
        for x, y in zip(trial["x"], trial[column], strict=True):
            if y is not None and math.isfinite(y):
                sums.setdefault(x, []).append(y)
    most = max(map(len, sums.values()), default=0)
    xs = sorted(x for x, values in sums.items() if len(values) == most)
    xs = xs[:: max(1, len(xs) // POINTS)]
    return xs, [float(np.mean(sums[x])) for x in xs]


def scatter(by_engine: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> bytes:
    """Draws a point for each trial: its final loss and its score, both as ranks within its prompt, 0 to 1."""
    figure = _figure(min(12, 4.2 * len(by_engine)), 4)
    for panel, (engine, (losses, scores)) in zip(figure.subplots(1, len(by_engine), squeeze=False)[0], by_engine.items(), strict=True):
        panel.scatter(losses, scores, s=22, color=COLOURS[0], alpha=0.65, linewidth=0)
        dress(panel, engine)
        panel.set_xticks([0, 0.5, 1])
        panel.set_xlabel("final loss, rank within the prompt", fontsize=9, color=PALE)
        panel.set_ylabel("score, rank within the prompt", fontsize=9, color=PALE)
    return _saved(figure)


def trade_off(points: Mapping[str, tuple[float, float]], judge: str) -> bytes:
    """Draws a point for each setting: how many different pictures it makes of a prompt (Vendi score), and what a judge says of them."""
    from matplotlib.ticker import AutoLocator

    figure = _figure(8, 4 + 0.2 * len(points))
    panel = figure.subplots()
    markers = {
        setting: panel.scatter([x], [y], s=60, color=COLOURS[number % len(COLOURS)], marker="osD^v"[number // len(COLOURS) % 5])
        for number, (setting, (x, y)) in enumerate(points.items())
    }
    dress(panel, "")
    panel.xaxis.set_major_locator(AutoLocator())
    panel.margins(0.1)
    panel.set_xlabel("different pictures of a prompt (Vendi score)", fontsize=9, color=PALE)
    panel.set_ylabel(f"score by {judge}", fontsize=9, color=PALE)
    _legend(figure, markers, 1)
    return _saved(figure)


def walks(lines: Sequence[tuple[str, Sequence[int], Sequence[Sequence[float]]]]) -> bytes:
    """Draws for each walk the similarity of every frame to each of the prompts that it passes: name, frames, similarities."""
    across = min(3, len(lines))
    down = math.ceil(len(lines) / across)
    figure = _figure(4 * across, 2.9 * down)
    panels = figure.subplots(down, across, squeeze=False).flat
    for panel, (name, frames, similarities) in zip(panels, lines, strict=False):
        for number, curve in enumerate(zip(*similarities, strict=True)):
            panel.plot(frames, curve, color=COLOURS[number % len(COLOURS)], linewidth=1.6)
        dress(panel, "")
        names, families = legible_by_families(name.split("\n"))
        title = "\n".join(names).replace("$", r"\$")
        panel.set_title(title, loc="left", fontsize=10 if len(names) == 1 else 8.5, color=INK, fontfamily=families)
        panel.set_xlabel("frame", fontsize=9, color=PALE)
    for panel in figure.axes[len(lines) :]:
        panel.set_visible(False)
    return _saved(figure)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _legend(figure: "Figure", lines: Mapping[str, Any], columns: int = 3) -> None:
    from matplotlib.font_manager import FontProperties

    names, families = legible_by_families(list(lines))
    escaped = [name.replace("$", r"\$") for name in names]
    font = FontProperties(family=families, size=8.5)
    figure.legend(lines.values(), escaped, loc="outside lower left", ncols=min(columns, len(lines)) or 1, frameon=False, prop=font)


def _saved(figure: "Figure") -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _png_of(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()

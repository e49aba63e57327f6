"""The curves: how the guide's and the judge's similarity rose over the iterations, engine by engine."""

import io
from typing import TYPE_CHECKING, Any

from dreamsweep.report.fonts import legible_by_families
from dreamsweep.report.query import Session, answer
from dreamsweep.store import Store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LINES = 16
"""Trials of one engine that are drawn one by one; of more, the spread is drawn."""
COLOURS = ("#2f6db5", "#d1622b", "#3a8f5c", "#8a57b0", "#b8862d", "#c2487a", "#4a9da6", "#7a7f87", "#90b03a", "#5a5fc8")
INK, PALE = "#1f2328", "#6e7781"
PANELS = (("guide", "similarity by the guide"), ("judge", "similarity by the judge"))


def curves(store: Store, sweep: str) -> bytes:
    """Returns a PNG with a row an engine: similarity by guide and by judge over the iterations."""
    return answer(store, lambda session: _draw(session, sweep), sweep)


def _draw(session: Session, sweep: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    engines = session.rows("SELECT engine, count(*) AS trials FROM trials GROUP BY engine ORDER BY engine")
    prompts = session.rows(f"SELECT DISTINCT prompt FROM trials ORDER BY prompt LIMIT {len(COLOURS) + 1}")
    colours = {row["prompt"]: colour for row, colour in zip(prompts, COLOURS, strict=False)} if len(prompts) <= len(COLOURS) else {}
    figure = Figure(figsize=(11.5, 0.9 + 3.1 * len(engines)), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(engines), 2, squeeze=False, sharex="row", sharey=False)
    drawn: dict[str, Any] = {}
    for row, engine in zip(axes, engines, strict=True):
        for panel, (column, title) in zip(row, PANELS, strict=True):
            if engine["trials"] <= MAX_LINES:
                drawn |= _draw_lines(panel, session, engine["engine"], column, colours)
            else:
                drawn |= _draw_spread(panel, session, engine["engine"], column)
            dress(panel, f"{engine['engine']}: {title}")
    figure.suptitle(sweep, x=0.008, ha="left", fontsize=15, color=INK)
    names, families = legible_by_families(list(drawn))
    font = FontProperties(family=families, size=9)
    figure.legend(drawn.values(), map(_short, names), loc="outside lower left", ncols=min(4, len(drawn)), frameon=False, prop=font)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _draw_lines(panel: "Axes", session: Session, engine: str, column: str, colours: dict[str, str]) -> dict[str, Any]:
    """Returns a line a trial; returns one of each kind for the legend."""
    rows = session.rows(
        f"SELECT trial_id, any_value(prompt) AS prompt, list(iteration ORDER BY iteration) AS x, list({column} ORDER BY iteration) AS y "
        f"FROM scores JOIN trials USING (trial_id) WHERE engine = '{engine}' AND {column} IS NOT NULL "
        "GROUP BY trial_id ORDER BY prompt, trial_id"
    )
    drawn: dict[str, Any] = {}
    for row in rows:
        (line,) = panel.plot(row["x"], row["y"], color=colours.get(row["prompt"], COLOURS[0]), linewidth=1.4, alpha=0.9)
        drawn.setdefault(row["prompt"] if colours else "a trial", line)
    return drawn


def _draw_spread(panel: "Axes", session: Session, engine: str, column: str) -> dict[str, Any]:
    """Returns the middle eight tenths of all trials, their median and the best of them, at no more than some 400 iterations."""
    rows = session.rows(
        f"SELECT iteration, quantile_cont({column}, [0.1, 0.5, 0.9]) AS q, max({column}) AS best "
        f"FROM scores JOIN trials USING (trial_id) WHERE engine = '{engine}' AND {column} IS NOT NULL AND NOT isnan({column}) "
        "AND (iteration % greatest(1, trials.iterations // 400) = 0 OR iteration = 1) GROUP BY iteration ORDER BY iteration"
    )
    x = [row["iteration"] for row in rows]
    low, middle, high = ([row["q"][i] for row in rows] for i in range(3))
    band = panel.fill_between(x, low, high, color=COLOURS[0], alpha=0.18, linewidth=0)
    (median,) = panel.plot(x, middle, color=COLOURS[0], linewidth=1.8)
    (best,) = panel.plot(x, [row["best"] for row in rows], color=COLOURS[1], linewidth=1.2)
    return {"middle 80 % of trials": band, "median trial": median, "best of that iteration": best}


def dress(panel: "Axes", title: str) -> None:
    """Gives a panel the look that all plots share: its title, iterations below, a pale grid."""
    from matplotlib.ticker import MaxNLocator

    panel.set_title(title, loc="left", fontsize=10.5, color=INK)
    panel.set_xlabel("iteration", fontsize=9, color=PALE)
    panel.grid(axis="y", color="#e4e8ec", linewidth=0.8)
    panel.margins(x=0.01)
    panel.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    panel.tick_params(colors=PALE, labelsize=8.5, length=0)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)
    panel.spines["bottom"].set_color("#c5ccd3")


def _short(text: str, most: int = 42) -> str:
    escaped = text.replace("$", r"\$")
    return escaped if len(text) <= most else escaped[: most - 1].rstrip() + "…"

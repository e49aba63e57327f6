"""The contact sheet: the best picture of every trial, a row a prompt, a column an engine's settings and seed."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dreamsweep.errors import StoreError
from dreamsweep.query import query
from dreamsweep.store import Store
from dreamsweep.variants import COLUMNS, Variant, labels, variant_of
from dreamsweep.words import counted

MAX_COLUMNS = 12
MAX_TILES = 160
"""Pictures on a sheet: more of them nobody looks at."""
MARGIN = 36
GAP = 10
BLOCK_GAP = 36
INK, PALE, LINE, PAPER = "#1f2328", "#6e7781", "#d8dee4", "#ffffff"


@dataclass(frozen=True)
class Sheet:
    """What goes on the sheet, once chosen."""

    title: str
    note: str
    prompts: list[str]
    variants: list[Variant]
    labels: list[str]
    trials: dict[tuple[str, Variant], dict[str, Any]]


def contact_sheet(store: Store, sweep: str) -> bytes:
    """A PNG of a published sweep's best pictures; of a large one, of the prompts and settings with the best marks."""
    rows = query(store, f"SELECT {', '.join(_COLUMNS)} FROM trials", sweep).to_pylist()
    sheet = _choose(sweep, rows)
    image = _draw(sheet, store, sweep)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


_COLUMNS = ("trial_id", "prompt", "prompts_to", *COLUMNS, "judge_best", "guide_best", "status", "best_uri")


def _choose(sweep: str, rows: Sequence[dict[str, Any]]) -> Sheet:
    """The prompts and variants to show: all of them in their order, or the best ones first where there are too many."""
    found: dict[tuple[str, Variant], dict[str, Any]] = {}
    for row in rows:
        found.setdefault((row["prompt"], variant_of(row)), row)
    variants = _best_first([v for _, v in found], [_mark(row) for row in found.values()], MAX_COLUMNS)
    kept = {key: row for key, row in found.items() if key[1] in set(variants)}
    prompts = _best_first([p for p, _ in kept], [_mark(row) for row in kept.values()], max(4, MAX_TILES // len(variants)))
    asked, columns = len({p for p, _ in found}), len({v for _, v in found})
    left_out = []
    if len(prompts) < asked:
        left_out.append(f"the best {len(prompts)} of {asked:,} prompts")
    if len(variants) < columns:
        left_out.append(f"the best {len(variants)} of {columns:,} settings and seeds")
    done = sum(row["status"] == "done" for row in rows)
    trials = counted(len(rows), "trial")
    note = trials if done == len(rows) else f"{trials}, {done:,} of them done"
    note += f" · shown: {' and '.join(left_out)}, by the judge" if left_out else ""
    told = labels(rows)
    return Sheet(sweep, note, prompts, variants, [told[variant] for variant in variants], kept)


def _best_first(names: Sequence[Any], marks: Sequence[float], most: int) -> list[Any]:
    """Each name once: in order of appearance while there are few, else those with the best marks."""
    if len(once := list(dict.fromkeys(names))) <= most:
        return sorted(once) if once and isinstance(once[0], tuple) else once
    best: dict[Any, float] = {}
    for name, mark in zip(names, marks, strict=True):
        best[name] = max(mark, best.get(name, -math.inf))
    return sorted(once, key=lambda name: -best[name])[:most]


def _mark(row: dict[str, Any]) -> float:
    return -math.inf if row["judge_best"] is None else float(row["judge_best"])


@dataclass(frozen=True)
class _Layout:
    tile: int
    blocks: int
    """Columns of prompts side by side."""
    rows: int
    heading: int
    row: int
    block: int
    columns: int

    @classmethod
    def of(cls, prompts: int, variants: int) -> "_Layout":
        """Blocks side by side until the sheet is about as wide as a page on its side."""
        tile = 208 if variants <= 4 else 160 if variants <= 8 else 116
        row, block = 34 + tile + 30, max(variants * (tile + GAP) - GAP, 208)
        blocks = min(range(1, prompts + 1), key=lambda b: abs(math.log((b * (block + BLOCK_GAP)) / (math.ceil(prompts / b) * row) / 1.5)))
        return cls(tile, blocks, math.ceil(prompts / blocks), 96, row, block, variants)


def _draw(sheet: Sheet, store: Store, sweep: str) -> Image.Image:
    at = _Layout.of(len(sheet.prompts), len(sheet.variants))
    labels_lines = max(len(_wrapped(label, _font(14), at.tile)) for label in sheet.labels)
    top = at.heading + 18 * labels_lines + 12
    width = 2 * MARGIN + at.blocks * (at.block + BLOCK_GAP) - BLOCK_GAP
    image = Image.new("RGB", (width, top + at.rows * at.row + MARGIN - 12), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((MARGIN, 26), sheet.title, INK, _font(30))
    note = sheet.note if at.tile > 150 else f"{sheet.note} · judge’s mark, then guide’s"
    pen.text((MARGIN, 64), _cut(note, _font(14), width - 2 * MARGIN), PALE, _font(14))
    for block in range(at.blocks):
        left = MARGIN + block * (at.block + BLOCK_GAP)
        for column, label in enumerate(sheet.labels):
            for line, text in enumerate(_wrapped(label, _font(14), at.tile)):
                pen.text((left + column * (at.tile + GAP), at.heading + 4 + 18 * line), text, INK, _font(14))
        for row, prompt in enumerate(sheet.prompts[block * at.rows : (block + 1) * at.rows]):
            y = top + row * at.row
            pen.line((left, y, left + at.block, y), LINE)
            font = _font_for(prompt, 16)
            pen.text((left, y + 9), _cut(prompt, font, at.block), INK, font)
            for column, variant in enumerate(sheet.variants):
                trial = sheet.trials.get((prompt, variant))
                corner = (left + column * (at.tile + GAP), y + 34)
                _draw_trial(image, pen, corner, at.tile, trial, store, sweep)
    return image


def _draw_trial(
    image: Image.Image, pen: ImageDraw.ImageDraw, corner: tuple[int, int], tile: int, trial: dict[str, Any] | None, store: Store, sweep: str
) -> None:
    x, y = corner
    picture = _picture(trial, store, sweep) if trial else None
    if picture is None:
        pen.rectangle((x, y, x + tile - 1, y + tile - 1), "#f6f8fa", LINE)
        told = "not made" if trial is None else trial["status"]
        pen.text((x + tile / 2, y + tile / 2), told, PALE, _font(14), anchor="mm")
        return
    image.paste(picture.resize((tile, tile), Image.Resampling.LANCZOS), (x, y))
    pen.rectangle((x, y, x + tile - 1, y + tile - 1), None, LINE)
    assert trial is not None
    given = {"judge ": trial["judge_best"], "guide ": trial["guide_best"]}
    marks = [(name if tile > 150 else "") + ("–" if mark is None else f"{mark:.2f}") for name, mark in given.items()]
    if trial["prompts_to"]:  # a walk: its best picture may be of any of its prompts
        marks = [marks[0].removeprefix("judge "), f"to {trial['prompts_to'][-1]}"]
    told = " · ".join(marks if trial["status"] == "done" else [trial["status"], *marks])
    pen.text((x, y + tile + 5), _cut(told, _font(14), tile), PALE, _font(14))


def _picture(trial: dict[str, Any], store: Store, sweep: str) -> Image.Image | None:
    if trial["best_uri"] is None:
        return None
    try:
        data = store.read(f"{sweep}/pictures/{trial['trial_id']}/best.png")
    except StoreError:  # a picture that someone has removed must not take the sheet with it
        return None
    return Image.open(io.BytesIO(data)).convert("RGB")


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, or DejaVu, which comes with matplotlib, for what lies beyond ASCII."""
    if text.isascii():
        return _font(size)
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of it as fits, with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, most: int = 3) -> list[str]:
    """The text in at most so many lines, broken between its parts."""
    lines = [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(part)
    kept = lines if len(lines) <= most else [*lines[: most - 1], " · ".join(lines[most - 1 :])]
    return [_cut(line, font, width) for line in kept]

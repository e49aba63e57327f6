"""Drawing of one page of a contact sheet: its title, its column headings, and each trial's picture with its scores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

from PIL import Image, ImageDraw

from dreamsweep.report.fonts import Typeface, legible

MARGIN, GAP, BLOCK_GAP, SECTION_GAP = 36, 10, 36, 30
TITLE, LINE_HEIGHT, CAPTION = 96, 19, 30
"""Heights in pixels: of the title with its note, of a line of text, of what stands below a picture."""
WIDTH, HEIGHT = 2_000, 1_400
"""Pixels that a page of several may fill: what a large screen shows at once, and a browser shrinks legibly."""
INK, PALE, LINE, PAPER = "#1f2328", "#6e7781", "#d8dee4", "#ffffff"


@dataclass(frozen=True)
class Cell:
    """A trial on the sheet."""

    trial_id: str
    captions: tuple[str, str]
    """Line below the picture, and a shorter one for a small picture."""
    status: str
    """Word shown in place of a picture that is missing."""
    pictured: bool


@dataclass(frozen=True)
class Section:
    """Rows and columns of trials; None where the sweep has no such trial."""

    prompts: Sequence[str]
    """Names of the rows."""
    variants: Sequence[str]
    """Headings of the columns; all empty where they need none."""
    cells: Sequence[Sequence[Cell | None]]


@dataclass(frozen=True)
class Page:
    """Everything that one page shows, in words; the pictures come from the store."""

    title: str
    note: str
    sections: Sequence[Section]
    tile: int
    """Side of each picture in pixels."""


def tile_side(prompts: int, variants: int) -> int:
    """Returns the side of a picture on a sheet with so many prompts and so many variants beside each other."""
    if variants <= 4 and prompts * variants <= 32:
        return 208
    return 160 if variants <= 8 else 116


def prompts_a_page(variants: int, tile: int) -> int:
    """Prompts that a page has room for."""
    blocks = (WIDTH - 2 * MARGIN + BLOCK_GAP) // (_block_width(variants, tile) + BLOCK_GAP)
    rows = (HEIGHT - TITLE - 3 * LINE_HEIGHT - MARGIN) // _row_height(1, tile)
    return max(1, blocks) * rows


def draw_page(page: Page, pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Draws a page with its trials' pictures by id, squares of the page's tile; one that is missing is a grey square with its status."""
    prompts, names = legible([prompt for section in page.sections for prompt in section.prompts], 16)
    lines = iter(prompts)
    sections = [replace(section, prompts=list(islice(lines, len(section.prompts)))) for section in page.sections]
    layouts = [_Layout.of(section, page.tile, names) for section in sections]
    width = 2 * MARGIN + max(layout.width for layout in layouts)
    height = TITLE + sum(layout.height for layout in layouts) + SECTION_GAP * (len(layouts) - 1) + MARGIN
    image, pen = _titled(page.title, page.note, width, height)
    top = TITLE
    for section, layout in zip(sections, layouts, strict=True):
        _draw_section(image, pen, top, section, layout, pictures)
        top += layout.height + SECTION_GAP
    return image


def draw_grid(
    title: str,
    note: str,
    names: Sequence[str],
    cells: Sequence[Cell],
    tile: int,
    pictures: Mapping[str, Image.Image],
    columns: int | None = None,
) -> Image.Image:
    """Draws pictures in rows, in their order; without `columns`, so many beside each other that the page is half as wide again as high.

    Each has its name above it, where any has one, and its caption below.
    """
    lines, typeface = legible(names, 16)
    name_lines = max(len(_wrapped_words(name, typeface, tile)) if name else 0 for name in lines)
    step, row_height = tile + GAP, LINE_HEIGHT * name_lines + tile + CAPTION + GAP
    if columns is None:
        most = max(1, min(len(cells), (WIDTH - 2 * MARGIN + GAP) // step))
        shapes = {count: count * step / (math.ceil(len(cells) / count) * row_height) for count in range(1, most + 1)}
        columns = min(shapes, key=lambda count: abs(math.log(shapes[count] / 1.5)))
    width = 2 * MARGIN + max(columns * step - GAP, 2 * step)
    image, pen = _titled(title, note, width, TITLE + math.ceil(len(cells) / columns) * row_height + MARGIN)
    for number, (name, cell) in enumerate(zip(lines, cells, strict=True)):
        x, y = MARGIN + number % columns * step, TITLE + number // columns * row_height
        for line, text in enumerate(_wrapped_words(name, typeface, tile) if name else ()):
            typeface.draw(pen, (x, y + LINE_HEIGHT * line), text, INK)
        _draw_cell(image, pen, (x, y + LINE_HEIGHT * name_lines + 4), tile, cell, pictures)
    return image


def _titled(title: str, note: str, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Returns an empty page with its title and its note."""
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    (line,), font = legible([title], 30)
    font.draw(pen, (MARGIN, 26), _cut(line, font, width - 2 * MARGIN), INK)
    _font(14).draw(pen, (MARGIN, 66), _cut(note, _font(14), width - 2 * MARGIN), PALE)
    return image, pen


@dataclass(frozen=True)
class _Layout:
    """Where a section's parts lie: its prompts stand in blocks side by side, each block with the headings of its columns."""

    tile: int
    blocks: int
    rows: int
    block: int
    """Width of a block in pixels."""
    heading: int
    """Height of the columns' headings."""
    name_lines: int
    """Lines of each prompt's name."""
    names: Typeface
    """Font of the prompts' names, the same on all of a page."""

    @classmethod
    def of(cls, section: Section, tile: int, names: Typeface) -> "_Layout":
        """As many blocks as make the page half as wide again as it is high."""
        prompts, block = len(section.prompts), _block_width(len(section.variants), tile)
        lines = max(len(_wrapped_words(prompt, names, block)) for prompt in section.prompts)
        row = _row_height(lines, tile)
        blocks = min(
            (number for number in range(1, prompts + 1) if number == 1 or number * (block + BLOCK_GAP) <= WIDTH),
            key=lambda number: abs(math.log(number * (block + BLOCK_GAP) / (math.ceil(prompts / number) * row) / 1.5)),
        )
        headings = max(len(_wrapped_parts(variant, _font(14), tile)) for variant in section.variants)
        heading = 12 + LINE_HEIGHT * headings if any(section.variants) else 0
        return cls(tile, blocks, math.ceil(prompts / blocks), block, heading, lines, names)

    @property
    def width(self) -> int:
        return self.blocks * (self.block + BLOCK_GAP) - BLOCK_GAP

    @property
    def height(self) -> int:
        return self.heading + self.rows * _row_height(self.name_lines, self.tile) - 12


def _block_width(variants: int, tile: int) -> int:
    return max(variants * (tile + GAP) - GAP, 208 if variants > 1 else tile)


def _row_height(name_lines: int, tile: int) -> int:
    return 15 + LINE_HEIGHT * name_lines + tile + CAPTION


def _draw_section(
    image: Image.Image, pen: ImageDraw.ImageDraw, top: int, section: Section, layout: _Layout, pictures: Mapping[str, Image.Image]
) -> None:
    row_height, step = _row_height(layout.name_lines, layout.tile), layout.tile + GAP
    for block in range(layout.blocks):
        left = MARGIN + block * (layout.block + BLOCK_GAP)
        rows = list(zip(section.prompts, section.cells, strict=True))[block * layout.rows : (block + 1) * layout.rows]
        for column, variant in enumerate(section.variants if rows else ()):
            for line, text in enumerate(_wrapped_parts(variant, _font(14), layout.tile)):
                _font(14).draw(pen, (left + column * step, top + 4 + LINE_HEIGHT * line), text, INK)
        for row, (prompt, cells) in enumerate(rows):
            y = top + layout.heading + row * row_height
            pen.line((left, y, left + layout.block, y), LINE)
            for line, text in enumerate(_wrapped_words(prompt, layout.names, layout.block)):
                layout.names.draw(pen, (left, y + 8 + LINE_HEIGHT * line), text, INK)
            for column, cell in enumerate(cells):
                corner = (left + column * step, y + 15 + LINE_HEIGHT * layout.name_lines)
                _draw_cell(image, pen, corner, layout.tile, cell, pictures)


def _draw_cell(
    image: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    tile: int,
    cell: Cell | None,
    pictures: Mapping[str, Image.Image],
) -> None:
    (x, y), picture = corner, pictures.get(cell.trial_id) if cell else None
    square = (x, y, x + tile - 1, y + tile - 1)
    if cell is None or picture is None:
        pen.rectangle(square, "#f6f8fa", LINE)
        pen.text((x + tile / 2, y + tile / 2), "not made" if cell is None else cell.status, PALE, _font(14).fonts[0], anchor="mm")
        return
    image.paste(picture, (x, y))
    pen.rectangle(square, None, LINE)
    caption = next((text for text in cell.captions if _font(14).getlength(text) <= tile), cell.captions[-1])
    _font(14).draw(pen, (x, y + tile + 5), _cut(caption, _font(14), tile), PALE)


@cache
def _font(size: int) -> Typeface:
    """Returns the typeface of what the sheet itself says."""
    return legible([], size)[1]


def _cut(text: str, font: Typeface, width: float) -> str:
    """Returns the text, or as much of its start as fits, with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _cut_start(text: str, font: Typeface, width: float) -> str:
    """Returns the text, or as many of its last words as fit, after an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("… " + text) > width:
        _, space, rest = text.partition(" ")
        text = rest if space else text[1:]
    return "… " + text


def _wrapped_words(text: str, font: Typeface, width: float) -> list[str]:
    """Returns the text in one line or two, broken between words; of a longer one its start and its end, where prompts mostly differ."""
    words, first = text.split(), ""
    while words and font.getlength(longer := f"{first} {words[0]}".strip()) <= width:
        first, words = longer, words[1:]
    if not first:
        return [_cut(text, font, width), *([_cut_start(text, font, width)] if len(words) > 1 else [])]
    return [first, _cut_start(" ".join(words), font, width)] if words else [first]


def _wrapped_parts(text: str, font: Typeface, width: float, most: int = 3) -> list[str]:
    """Returns the text in at most so many lines, broken between its parts."""
    lines = [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(part)
    kept = lines if len(lines) <= most else [*lines[: most - 1], " · ".join(lines[most - 1 :])]
    return [_cut(line, font, width) for line in kept]

"""Fonts for the text of summaries, whatever its alphabet: Pillow's own, DejaVu, which comes with matplotlib, and those of this machine.

Each character is drawn in the first font that has it. One that no font has is spelled as its code point, so that no two texts look
alike: `⟨65E5⟩`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont

SHAPELESS = {"\ufe0f", "\u200d"}
"""Characters that only join or colour emoji."""
UPRIGHT = {"Regular", "Book", "Roman", "Normal", "Medium"}


@dataclass(frozen=True)
class Typeface:
    """A font, and others for the characters that it lacks."""

    fonts: tuple[ImageFont.FreeTypeFont, ...]

    def getlength(self, text: str) -> float:
        """Returns the width of a text in pixels."""
        return float(sum(font.getlength(run) for font, run in self._runs(text)))

    def draw(self, pen: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, colour: str) -> None:
        """Draws a text from its upper left corner, all of it on the first font's baseline."""
        x, y = corner
        baseline = y + self.fonts[0].getmetrics()[0]
        for font, run in self._runs(text):
            pen.text((x, baseline), run, colour, font, anchor="ls")
            x += font.getlength(run)

    def _runs(self, text: str) -> Iterator[tuple[ImageFont.FreeTypeFont, str]]:
        if len(self.fonts) == 1:
            yield self.fonts[0], text
            return
        has = [characters(str(font.path)) for font in self.fonts]
        for at, letters in groupby(text, lambda letter: next((at for at, drawn in enumerate(has) if letter in drawn), 0)):
            yield self.fonts[at], "".join(letters)


def legible(texts: Sequence[str], size: int) -> tuple[list[str], Typeface]:
    """Returns the texts on a line each, with what no font has spelled, and the typeface that draws them in this size."""
    if all(text.isascii() for text in texts):
        font = ImageFont.load_default(size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return [" ".join(text.split()) for text in texts], Typeface((font,))
    lines, files = _spelled(texts)
    return lines, Typeface(tuple(ImageFont.truetype(file, size) for file in files))


def legible_by_families(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the same for matplotlib: the texts, and the families of fonts to give it."""
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    lines, files = _spelled(texts)
    for file in files[1:]:
        fontManager.addfont(file)
    return lines, [FT2Font(file).family_name for file in files]


@cache
def characters(file: str) -> frozenset[str]:
    """Returns the characters that a font file has glyphs for."""
    from matplotlib.ft2font import FT2Font

    return frozenset(map(chr, FT2Font(file).get_charmap()))


def _spelled(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the texts, and the font files that they need: DejaVu, then whichever installed font has most of the rest, and so on."""
    lines = [" ".join("".join(letter for letter in text if letter not in SHAPELESS).split()) for text in texts]
    files, missing = [_dejavu()], {*"".join(lines)} - characters(_dejavu()) - {" "}
    while missing and (installed := _installed()):
        best = max(installed, key=lambda file: len(missing & characters(file)))
        if not missing & characters(best):
            break
        files.append(best)
        missing -= characters(best)
    return ["".join(f"⟨{ord(letter):X}⟩" if letter in missing else letter for letter in line) for line in lines], files


def _dejavu() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@cache
def _installed() -> tuple[str, ...]:
    """Returns upright fonts that this machine has, of those that FreeType can open and scale."""
    from matplotlib.font_manager import findSystemFonts
    from matplotlib.ft2font import FT2Font

    fonts = []
    for file in sorted(findSystemFonts()):
        try:
            if FT2Font(file).style_name in UPRIGHT:
                fonts.append(file)
        except (RuntimeError, OSError):
            continue
    return tuple(fonts)

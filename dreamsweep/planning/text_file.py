"""A text file that a sweep names: its text, and errors that name the file, the place and the field of the sweep."""

import codecs
from dataclasses import dataclass
from pathlib import Path

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.characters import INVISIBLE, code_point, split_lines

ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks and their encodings."""
BINARY = (
    (b"PK", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a WebP picture or a sound"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "an SQLite database"),
)
"""First bytes of files that are not text, and what they are."""


@dataclass(frozen=True)
class TextFile:
    """A text file, and the field of the sweep that names it."""

    path: Path
    field: str

    def at(self, place: str) -> str:
        """Formats a place in the file for the start of a sentence."""
        name = self.path.name if self.path.name.isprintable() else repr(self.path.name)
        return f"{self.field} ({name}, {place})"

    def error(self, problem: str, place: str = "") -> SweepFileError:
        """Returns the error for a problem of the whole file, or of a place in it such as `line 3`."""
        return SweepFileError(f"{self.at(place)}: {problem}." if place else f"{self.field}: {str(self.path)!r} {problem}.")

    def read(self) -> str:
        """Returns the file's text, without a byte order mark.

        Raises SweepFileError for a file that is missing, is no text, is in another encoding than UTF-8 (or UTF-16 and UTF-32 with a
        byte order mark), or holds an invisible character.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise self.error(f"cannot be read ({error.strerror}); paths are relative to the sweep file") from None
        except ValueError:  # a NUL in the path
            raise self.error("cannot be the name of a file") from None
        mark, encoding = next(((mark, encoding) for mark, encoding in ENCODINGS if data.startswith(mark)), (b"", "utf-8"))
        try:
            text = data[len(mark) :].decode(encoding)
        except UnicodeDecodeError as error:
            byte = len(mark) + error.start
            line = data[:byte].count(b"\n") + 1
            place = f"byte 0x{data[byte]:02x} in line {line}"
            raise self.error(_binary(data) or f"is not {encoding.upper()} text ({place}); save it as UTF-8") from None
        if invisible := INVISIBLE.search(text):
            if problem := _binary(data):
                raise self.error(problem)
            lines = split_lines(text[: invisible.start()])
            place = f"line {len(lines)}, column {len(lines[-1]) + 1}"
            raise self.error(f"the text holds the invisible character {code_point(invisible[0])}; delete it", place)
        return text


def _binary(data: bytes) -> str:
    """Returns the end of a sentence that says what a file is instead of text; empty where only some of its characters are wrong."""
    kind = next((kind for start, kind in BINARY if data.startswith(start)), "")
    if kind:
        return f"is {kind}, not a list of prompts; save the prompts as .txt or .csv, in UTF-8"
    half_are_nul = max(data[::2].count(0), data[1::2].count(0)) * 5 > len(data)
    return "is UTF-16 text without a byte order mark, or no text at all; save it as UTF-8" if half_are_nul else ""

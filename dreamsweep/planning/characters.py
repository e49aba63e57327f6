"""Characters that no prompt may hold, because nobody sees them, and those that end a line."""

import re
from unicodedata import category

INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
"""All control characters but tab and line breaks; line and paragraph separators; marks of writing direction; byte order marks; halves
of characters (surrogates). Joiners, which emoji and many scripts need, are allowed."""


def visible(text: str) -> str:
    """Returns a text with its invisible characters escaped, so that a terminal that prints it does not obey them."""
    return INVISIBLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def is_blank(text: str) -> bool:
    """Returns whether a text shows nothing: it is empty, or holds only spaces and invisible characters."""
    return all(character.isspace() or category(character) == "Cf" for character in text)


def code_point(character: str) -> str:
    """Formats a character as `U+001B`."""
    return f"U+{ord(character):04X}"


def split_lines(text: str) -> list[str]:
    """Splits a text into its lines, at `\\n`, `\\r\\n` and `\\r` alone."""
    return re.split("\r\n|\r|\n", text)

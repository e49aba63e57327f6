"""Alphabets of texts, and which perceptors learned them. Imports no torch."""

import re
import unicodedata

OTHER_NAMES = {"CJK": "Chinese characters", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""Plain names of scripts, by the first word of Unicode's names of their letters, where that word is not one."""
SINGLE_LETTERS = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL")
"""Scripts in which a letter may be a word. A lone letter of another, such as the π of a formula, is let pass."""
UNNAMED = ("LATIN", "MODIFIER", "FEMININE", "MASCULINE", "FULLWIDTH", "SUPERSCRIPT", "SUBSCRIPT", "IDEOGRAPHIC")


def other_alphabets(text: str) -> tuple[str, ...]:
    """Returns the alphabets of a text's words besides the Latin one, in their order, each once, such as `Cyrillic` or `Korean`."""
    names = (OTHER_NAMES.get(script, script.capitalize()) for word in re.findall(r"[^\W\d_]+", _plain(text)) for script in _scripts(word))
    return tuple(dict.fromkeys(names))


def in_another_alphabet(word: str) -> bool:
    """Returns whether a word is written in letters that are not Latin."""
    return bool(other_alphabets(word))


def alphabet_warnings(name: str, text: str) -> list[str]:
    """Returns a sentence, or none, about a text for a perceptor that learned from texts in Latin letters.

    It does not quote the text, so that a list of a thousand such prompts has it once.
    """
    others = other_alphabets(text)
    return [f"{name} learned from texts in Latin letters, and hardly reads {' and '.join(others)}"] if others else []


def _plain(text: str) -> str:
    """Returns a text with letters for their variants, such as those that are bold or full-width by their own code points."""
    return unicodedata.normalize("NFKC", text)


def _scripts(word: str) -> list[str]:
    """Returns the scripts of a word other than Latin, in their order, each once."""
    scripts = [unicodedata.name(letter, "LATIN").split()[0] for letter in word]
    counted = [script for script in scripts if script not in UNNAMED]
    return [script for script in dict.fromkeys(counted) if script in SINGLE_LETTERS or counted.count(script) > 1]

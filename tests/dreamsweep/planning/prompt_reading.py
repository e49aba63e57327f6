"""Prompt files as the readers' tests write and read them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import strategies as st

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.characters import INVISIBLE, is_blank
from dreamsweep.planning.prompts import entry_prompts
from dreamsweep.spec import Prompt, PromptFile


def read_prompts(name: str, content: str | bytes, parts: bool = False) -> list[Prompt]:
    """Writes a file of this name and content, and returns its prompts."""
    with prompt_file(name, content) as path:
        return [prompt for _, prompt in entry_prompts(PromptFile(file=str(path), parts=parts), 0)]


def read_texts(name: str, content: str | bytes) -> list[str]:
    """Writes a file of this name and content, and returns the texts of its prompts."""
    return [prompt.text for prompt in read_prompts(name, content)]


def sentence_about(name: str, content: str | bytes, parts: bool = False) -> str:
    """Returns what is wrong with a file, after the field and the path."""
    with pytest.raises(SweepFileError) as raised:
        read_prompts(name, content, parts)
    return re.sub(r"'/\S*/", "'", str(raised.value)).removeprefix("prompts[0].file")


@contextmanager
def prompt_file(name: str, content: str | bytes) -> Iterator[Path]:
    """Writes a file for as long as the context lasts."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        yield path


def read_or_refused(name: str, content: str | bytes) -> list[Prompt]:
    """Returns a file's prompts, at least one, or none where it is refused in one sentence that names it."""
    problem = ""
    try:
        prompts = read_prompts(name, content)
        assert prompts
    except SweepFileError as error:
        prompts, problem = [], str(error)
    in_place = rf"prompts\[0\]\.file \({name}, (line|entry) \d+(, column \d+)?\): .{{3,500}}\."
    assert not problem or re.fullmatch(rf"{in_place}|prompts\[0\]\.file: '\S*/{name}' .{{3,500}}\.", problem), problem
    return prompts


def seen(texts: Sequence[str]) -> list[str]:
    """Returns texts as prompts have them, without the white space around them."""
    return [Prompt(text=text).text for text in texts]


MARKS = st.sampled_from([*",;\t\"'|#:{}[]<>&*!%@`-?\\~=/\n\r ", '""', "\r\n", ": ", " #", "- ", "---", "...", "\u00e9", "\U0001f98a"])
characters = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
texts = (
    st.lists(MARKS | characters, min_size=1, max_size=30)
    .map("".join)
    .filter(lambda text: not is_blank(text) and not INVISIBLE.search(text))
)
"""Texts that a prompt may have, rich in what has a meaning in some format."""
lines = texts.map(lambda text: re.sub("[\r\n]", "", text)).filter(lambda line: not is_blank(line))
weights = st.floats(0.001, 1000)
markup = st.lists(MARKS | st.sampled_from(["text", "weight", "a", "1", "null", "\\u", "\x00", "\ufeff"]), max_size=40).map("".join)
"""Files that are nearly right."""

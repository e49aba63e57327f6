"""Questions that people ask of a sweep, as docs/query.md lists them: `questions.sql`, a comment and a statement each."""

import re
from pathlib import Path


def questions() -> dict[str, str]:
    """Returns each question in words, with its SQL."""
    text = Path(__file__).with_name("questions.sql").read_text(encoding="utf-8")
    return dict(re.findall(r"^-- (.+)\n([^;]+);$", text, re.MULTILINE))

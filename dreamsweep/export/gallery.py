"""Static gallery: a page with pictures beside it that opens from disk, without a server or a network."""

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

import duckdb
from PIL import Image

from dreamsweep.export.chosen import BATCH, Chosen, Row, record
from dreamsweep.export.containers import Container
from dreamsweep.export.datasets import caption
from dreamsweep.report.views import quoted
from dreamsweep.text import counted

THUMBNAIL = 320
"""Maximum side of a small picture, in pixels."""
FOLDER = Path(__file__).parent
END = "</main>\n<script>{script}</script>\n</body>\n</html>\n"


def write_gallery(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes `pictures/` and `thumbnails/`, then `index.html`: prompt by prompt, with a filter and a viewer.

    Yields the number of trials so far.
    """
    present = set[str]()
    for number, (row, data) in enumerate(chosen.pictures(), 1):
        small = thumbnail(data) if data is not None else None
        if data is not None and small is not None:
            for name, content in ((picture_name(row), data), (thumbnail_name(row), small)):
                with to.open(name) as out:
                    out.write(content)
            present.add(row["trial_id"])
        yield number
    with to.open("index.html") as out:
        for part in _page(chosen, present):
            out.write(part.encode())


def picture_name(row: Row) -> str:
    """Returns the place of a picture below the gallery."""
    return f"pictures/{row['trial_id']}.png"


def thumbnail_name(row: Row) -> str:
    """Returns the place of a small picture below the gallery."""
    return f"thumbnails/{row['trial_id']}.webp"


def thumbnail(png: bytes) -> bytes | None:
    """Returns a picture of at most `THUMBNAIL` pixels a side as WebP; None where it cannot be read."""
    try:
        image = Image.open(io.BytesIO(png)).convert("RGB")
    except (OSError, Image.DecompressionBombError):
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=82, method=4)
    return out.getvalue()


def _page(chosen: Chosen, present: set[str]) -> Iterator[str]:
    """Yields the page part by part: prompts in the order of their names, of each the best picture first. Every text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    script, style = ((FOLDER / f"gallery.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW chosen AS FROM read_parquet({quoted(str(chosen.table))})")
        (sweeps,) = connection.execute("SELECT list(DISTINCT sweep ORDER BY sweep) FROM chosen").fetchone() or ([],)
        environment = Environment(loader=PackageLoader("dreamsweep.export", "."), autoescape=True, undefined=StrictUndefined)
        head = environment.get_template("gallery.html.j2")
        facts = {"count": counted(len(present), "picture"), "style": style, "script_hash": f"sha256-{digest}"}
        yield head.render(title=", ".join(sweeps), **facts) + "\n"
        ordered = connection.execute("FROM chosen ORDER BY prompt, prompts_to, rank NULLS LAST, z_score DESC NULLS LAST, trial_id")
        rows = (row for batch in ordered.to_arrow_reader(BATCH) for row in batch.to_pylist() if row["trial_id"] in present)
        for prompt, members in groupby(rows, caption):
            yield from _section(prompt, list(members))
    yield END.format(script=script)


def _section(prompt: str, members: Sequence[Row]) -> Iterator[str]:
    title = escape(prompt)
    yield f'<h2 dir="auto">{title} <small>{escape(counted(len(members), "picture"))}</small></h2>\n<section data-prompt="{title}">\n'
    for row in members:
        yield (
            f'<figure><a href="{picture_name(row)}"><img src="{thumbnail_name(row)}" alt="{title}" loading="lazy"></a>'
            f"<figcaption>{escape(_line(row))}</figcaption></figure>\n"
        )
    yield "</section>\n"


def _line(row: Row) -> str:
    """Returns what stands below a picture: rank, engine, seed, score, marks."""
    facts = record(row)
    rank = f"#{facts['rank']} of {facts['of']}" if facts.get("of", 0) > 1 else ""
    marks = " ".join(
        ["✓" * len(facts.get("picked_by", ())), "★" * round(facts.get("stars", 0)), *(f"#{tag}" for tag in facts.get("tags", ()))]
    )
    score = f"judge {facts['judge_score']:.3f}" if "judge_score" in facts else ""
    return " · ".join(part for part in (rank, facts["engine"], f"seed {facts['seed']}", score, marks.strip()) if part)

"""Contact sheet of a search: the pictures that it returned, the nearest first."""

import io

from PIL import Image

from dreamsweep.report.search import Matches
from dreamsweep.report.sheet_drawing import Cell, draw_grid
from dreamsweep.report.stored_pictures import read_tiles
from dreamsweep.store import Store, keys
from dreamsweep.text import counted

LARGE, SMALL, MANY = 208, 116, 60
"""Sides of a picture in pixels, on a sheet of up to so many pictures and of more."""


def match_sheet(store: Store, matches: Matches) -> Image.Image:
    """Draws the pictures of a search in rows, each with its prompt, rank, similarity and sweep."""
    rows = matches.table.to_pylist()
    tile = LARGE if len(rows) <= MANY else SMALL
    pictures = {
        row["trial_id"]: keys.picture(row["sweep"], row["trial_id"], row["picture_uri"].rpartition("/")[2])
        for row in rows
        if row["picture_uri"]
    }
    cells = []
    for row in rows:
        short = f"{row['rank']} · {row['similarity']:.3f}"
        cells.append(Cell(row["trial_id"], (f"{short} · {row['sweep']}", short), "no picture", row["trial_id"] in pictures))
    note = f"the nearest {counted(len(rows), 'picture')} of {matches.pictures:,}, by the similarity that {matches.perceptor} sees"
    return draw_grid(matches.title, note, [row["prompt"] for row in rows], cells, tile, read_tiles(store, pictures, tile))


def match_sheet_png(store: Store, matches: Matches) -> bytes:
    """Returns the same sheet as a PNG."""
    out = io.BytesIO()
    match_sheet(store, matches).save(out, "PNG")
    return out.getvalue()

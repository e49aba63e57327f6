"""Pictures and tables for people: files in a folder or zip, the contact sheet, CSV and Parquet."""

import codecs
import csv
import io
import json
import shutil
from collections.abc import Iterator

from dreamsweep.export.chosen import Chosen, readable_name, record
from dreamsweep.export.containers import Container
from dreamsweep.report.contact_sheet import pages
from dreamsweep.report.sheet_drawing import draw_page
from dreamsweep.report.stored_pictures import read_tiles
from dreamsweep.store import keys

COLUMNS = (
    *("sweep", "trial_id", "prompt", "prompts_to", "also", "negatives", "engine", "seed", "settings", "iterations", "best_iteration"),
    *("guide", "guide_score", "judge", "judge_score", "scores", "rank", "of", "z_score"),
    *("picked_by", "rejected_by", "stars", "tags", "notes"),
)
"""Columns of the CSV, in the order of `record`."""
TABLE = "trials.csv"


def write_pictures(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes each trial's best picture, named after its prompt, and one CSV about them; yields the number of trials so far."""
    for number, (row, data) in enumerate(chosen.pictures(), 1):
        if data is not None:
            with to.open(f"{readable_name(row)}.png") as out:
                out.write(data)
        yield number
    for _ in write_csv(chosen, to):
        pass


def write_csv(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes a line for each trial; lists and mappings are JSON. Yields the number of trials so far."""
    with to.open(TABLE) as out:
        writer = csv.writer(codecs.getwriter("utf-8")(out), lineterminator="\n")
        writer.writerow((*COLUMNS, "file"))
        for number, row in enumerate(chosen.rows(), 1):
            values = {**record(row), "file": f"{readable_name(row)}.png"}
            writer.writerow(map(_cell, (values.get(name) for name in (*COLUMNS, "file"))))
            yield number


def write_parquet(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes a row for each trial: every column of `trials`, its standing, further judges' scores and people's marks."""
    with chosen.table.open("rb") as table, to.open("trials.parquet") as out:
        shutil.copyfileobj(table, out)
    yield chosen.trials


def write_sheet(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes the contact sheet of the selection, a PNG for each of its pages; yields the number of pictures drawn so far."""
    rows, drawn = [dict(row) for row in chosen.rows()], set[str]()
    addresses = {row["trial_id"]: keys.picture(row["sweep"], row["trial_id"], keys.BEST) for row in rows if row["best_uri"]}
    title = ", ".join(sorted({row["sweep"] for row in rows}))
    for number, page in enumerate(pages(title, rows), 1):
        cells = (cell for section in page.sections for row in section.cells for cell in row)
        ids = [cell.trial_id for cell in cells if cell is not None and cell.trial_id in addresses]
        tiles = read_tiles(chosen.store, {trial: addresses[trial] for trial in ids}, page.tile)
        chosen.missing.extend(trial for trial in ids if trial not in tiles and trial not in chosen.missing)
        png = io.BytesIO()
        draw_page(page, tiles).save(png, "PNG")
        with to.open(sheet_name(number)) as out:
            out.write(png.getvalue())
        drawn |= {*ids}
        yield min(len(drawn), chosen.trials)
    yield chosen.trials


def sheet_name(page: int) -> str:
    """Returns the name of a page of the sheet."""
    return f"contact-sheet{'' if page == 1 else f'-{page}'}.png"


def _cell(value: object) -> str | int | float:
    """Returns a value as CSV holds it. A text that a spreadsheet would run as a formula begins with an apostrophe."""
    match value:
        case None:
            return ""
        case str():
            return f"'{value}" if value[:1] in "=+-@\t\r" and value else value
        case int() | float():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)

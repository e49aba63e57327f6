"""`dreamsweep find`: pictures that show what one names, over all sweeps of a store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import say, tell
from dreamsweep.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


def find(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What the pictures should show.", show_default=False)] = None,
    like: Annotated[Path | None, typer.Option(metavar="FILE", help="A picture that they should be like.", show_default=False)] = None,
    sweep: Annotated[str | None, typer.Option(metavar="NAME", help="Search this sweep alone.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many pictures, one of each trial.")] = 20,
    perceptor: Annotated[
        str | None,
        typer.Option("--with", metavar="PERCEPTOR", help="Compare its embeddings.  [default: what most pictures have]", show_default=False),
    ] = None,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the pictures into a PNG.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a picture.")] = False,
    store: StoreUri = "runs",
) -> None:
    """Find pictures by what they show: exact search by the embeddings that the judges of all sweeps left."""
    from dreamsweep.cli.print_table import print_json, print_table
    from dreamsweep.report.search import find as find_pictures
    from dreamsweep.store import open_store

    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UserError(f"--sheet {str(sheet)!r}: the sheet is a PNG; give its file a name that ends with .png.")
    opened = open_store(store)
    matches = find_pictures(opened, text, _picture(like) if like else None, sweep=sweep, perceptor=perceptor, limit=limit)
    for note in matches.notes:
        tell(f"note: {note}")
    if json:
        print_json(matches.table)
    else:
        print_table(matches.table, Console())
    if sheet is not None:
        from dreamsweep.report.match_sheet import match_sheet_png

        _write(sheet, match_sheet_png(opened, matches))
        if not json:
            say(str(sheet))


def _picture(path: Path) -> "Image":
    from dreamsweep.planning.pictures import decode_picture

    try:
        return decode_picture(path.read_bytes())
    except OSError as error:
        raise UserError(f"--like {str(path)!r}: the file cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UserError(f"--like {str(path)!r}: it {error}.") from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"--sheet {str(path)!r}: it cannot be written there ({error.strerror}).") from None

"""Search from Python: pictures of all sweeps of a store by what they show."""

import io
from base64 import b64encode
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import Image

from dreamsweep.api.conversion import TableType, convert
from dreamsweep.errors import UserError
from dreamsweep.planning.pictures import decode_picture
from dreamsweep.report import search
from dreamsweep.store import Store, open_store


class SearchResults:
    """Pictures that a search returned, one of each trial, the nearest first."""

    def __init__(self, store: Store, matches: search.Matches) -> None:
        self.store, self.matches = store, matches

    def table(self, to: TableType = "arrow") -> Any:
        """Returns rank, similarity, sweep, trial, prompt, engine, seed, iteration and the picture's address, a row for each picture."""
        return convert(self.matches.table, to)

    def sheet(self) -> Image.Image:
        """Draws the pictures in rows, each with its prompt, rank, similarity and sweep."""
        from dreamsweep.report.match_sheet import match_sheet

        return match_sheet(self.store, self.matches)

    def __len__(self) -> int:
        return int(self.matches.table.num_rows)

    def __repr__(self) -> str:
        return f"<{len(self)} pictures of {self.matches.pictures:,}, nearest to {self.matches.title!r} by {self.matches.perceptor}>"

    def _repr_html_(self) -> str:
        """Returns the sheet, for notebooks."""
        out = io.BytesIO()
        self.sheet().save(out, "JPEG", quality=85)
        return f'<img alt="{escape(self.matches.title)}" src="data:image/jpeg;base64,{b64encode(out.getvalue()).decode()}">'


def find(
    text: str | None = None,
    *,
    like: Image.Image | str | PathLike[str] | None = None,
    store: str = "runs",
    sweep: str | None = None,
    perceptor: str | None = None,
    limit: int = 20,
) -> SearchResults:
    """Finds the pictures of a store that are nearest to a text, to a picture (a file or a PIL image), or to both, by their embeddings.

    >>> import dreamsweep as ds
    >>> ds.find("a red heart").table()["prompt"].to_pylist()
    ['a red heart']

    The embeddings compared are those of `perceptor`, by default of the one that most pictures have. Raises QueryError where no picture
    has one, UserError for a file that is no picture.
    """
    opened = open_store(store)
    return SearchResults(opened, search.find(opened, text, _picture(like), sweep=sweep, perceptor=perceptor, limit=limit))


def _picture(like: Image.Image | str | PathLike[str] | None) -> Image.Image | None:
    if like is None or isinstance(like, Image.Image):
        return like
    try:
        return decode_picture(Path(like).read_bytes())
    except OSError as error:
        raise UserError(f"like={str(like)!r}: the file cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UserError(f"like={str(like)!r}: it {error}.") from None

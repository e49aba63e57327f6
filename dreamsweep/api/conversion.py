"""Tables as the library of choice holds them; pandas and polars are used where they are installed, and needed by nothing here."""

from importlib import import_module
from typing import Any, Literal

import pyarrow as pa

from dreamsweep.errors import UserError

TableType = Literal["arrow", "pandas", "polars"]


def convert(table: pa.Table, to: str) -> Any:
    """Returns a table as a `pyarrow.Table`, or as a data frame of pandas or polars. Raises UserError where that is not installed."""
    match to:
        case "arrow":
            return table
        case "pandas":
            _installed(to)
            return table.to_pandas()
        case "polars":
            return _installed(to).from_arrow(table)
        case other:
            raise UserError(f"to={other!r}: no such kind of table; use 'arrow', 'pandas' or 'polars'.")


def _installed(library: str) -> Any:
    try:
        return import_module(library)
    except ImportError:
        raise UserError(f"to={library!r} needs a package that is not installed: pip install {library}") from None

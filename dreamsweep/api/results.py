"""Results of sweeps: a store, its sweeps, and of each the tables, the pictures and the contact sheet."""

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Unpack

from PIL import Image

from dreamsweep import store as stores
from dreamsweep.api.conversion import TableType, convert
from dreamsweep.api.exporting import export_to, sweep_from
from dreamsweep.errors import StoreError, UserError
from dreamsweep.export.again import Way
from dreamsweep.export.formats import FormatName
from dreamsweep.export.selection import Conditions
from dreamsweep.report.best import BEST
from dreamsweep.report.query import query
from dreamsweep.results.manifest import Manifest, published, published_manifest
from dreamsweep.spec import Sweep
from dreamsweep.store import Store, is_key, keys

PictureName = Literal["best", "final", "sheet"]
SHEET_WIDTH = 1_000
"""Pixels of a contact sheet's width in a notebook, at most."""


def open(store: str = "runs") -> "OpenStore":
    """Opens a store: a folder, or `s3://bucket/prefix`. Nothing is read yet.

    >>> import dreamsweep as ds
    >>> store = ds.open("runs")
    >>> store.sweeps()
    ['hearts']
    >>> store["hearts"].trials()["prompt"].to_pylist()
    ['a red heart']

    Raises StoreError for what is no address of a store.
    """
    return OpenStore(stores.open_store(store))


class OpenStore:
    """A store and the sweeps published in it, those that are still running included."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def uri(self) -> str:
        """Address of the store."""
        return self.store.uri

    def sweeps(self) -> list[str]:
        """Returns the names of the published sweeps, sorted."""
        return [manifest.sweep for manifest in published(self.store)]

    def __getitem__(self, name: str) -> "SweepResults":
        """Returns a sweep's results. Raises StoreError, which names the nearest sweep, where nothing is published under that name."""
        return SweepResults(self.store, published_manifest(self.store, name).sweep)

    def __iter__(self) -> Iterator["SweepResults"]:
        return (SweepResults(self.store, name) for name in self.sweeps())

    def __contains__(self, name: object) -> bool:
        return name in self.sweeps()

    def query(self, sql: str, to: TableType = "arrow", *, unsafe: bool = False) -> Any:
        """Asks DuckDB about all sweeps of the store (docs/query.md lists tables and columns).

        One statement that reads published sweeps; `unsafe` allows whatever DuckDB can do.
        Raises QueryError where DuckDB refuses the statement, or nothing is published.
        """
        return convert(query(self.store, sql, unsafe=unsafe), to)

    def export(self, to: str | PathLike[str], format: FormatName = "pictures", **conditions: Unpack[Conditions]) -> Path:
        """Writes a selection of all sweeps to a file or a new folder, as `SweepResults.export` does."""
        return export_to(self.store, (), to, format, conditions)

    def __repr__(self) -> str:
        return f"dreamsweep.open({self.uri!r})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(manifest.sweep)}</td><td>{manifest.trials:,}</td><td>{manifest.done:,}</td></tr>"
            for manifest in published(self.store)
        )
        header = "<tr><th>sweep</th><th>trials</th><th>done</th></tr>"
        return f"<p>{escape(self.uri)}</p><table>{header}{rows}</table>" if rows else f"<p>{escape(self.uri)}: nothing is published yet</p>"


class SweepResults:
    """Results of one sweep. Each call reads what is published at that moment, so a running sweep grows under it."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name

    @property
    def manifest(self) -> Manifest:
        """Counts of the published trials, and the addresses of their tables."""
        return published_manifest(self.store, self.name)

    def trials(self, to: TableType = "arrow") -> Any:
        """Returns a row for each trial: its settings, its scores, the addresses of its pictures (docs/query.md).

        `to` is `arrow` (a `pyarrow.Table`, which pandas, polars and DuckDB read), `pandas` or `polars`.
        """
        return self.query("SELECT * FROM trials", to)

    def scores(self, to: TableType = "arrow") -> Any:
        """Returns a row for each iteration of each trial: loss, the guide's and the judge's scores."""
        return self.query("SELECT * FROM scores", to)

    def best(self, to: TableType = "arrow") -> Any:
        """Returns the best trial of each prompt and engine by the judge's score, the best of all first, with its picture's address.

        >>> import dreamsweep as ds
        >>> ds.open("runs")["hearts"].best()["engine"].to_pylist()
        ['strokes']
        """
        return self.query(BEST, to)

    def query(self, sql: str, to: TableType = "arrow", *, unsafe: bool = False) -> Any:
        """Asks DuckDB about this sweep alone, as `Results.query` does; the tables are `trials` and `scores`.

        >>> import dreamsweep as ds
        >>> ds.open("runs")["hearts"].query("SELECT engine, count(*) AS n FROM trials GROUP BY engine").to_pylist()
        [{'engine': 'strokes', 'n': 1}]
        """
        return convert(query(self.store, sql, self.name, unsafe=unsafe), to)

    def picture(self, trial_id: str, name: PictureName = "best", *, iteration: int | None = None) -> Image.Image:
        """Returns a picture of a trial: the best by the judge, the final one, the sheet of an engine that has one, or a snapshot.

        >>> import dreamsweep as ds
        >>> hearts = ds.open("runs")["hearts"]
        >>> trial_id = hearts.trials()["trial_id"][0].as_py()
        >>> hearts.picture(trial_id).size
        (32, 32)

        Raises StoreError where there is no such picture.
        """
        file = f"{name}.png" if iteration is None else keys.snapshot_name(iteration)
        key = keys.picture(self.name, trial_id, file)
        data = self.store.get(key) if is_key(key) else None
        if data is None:
            raise StoreError(
                f"sweep {self.name!r}, trial {trial_id!r}: store {self.store.uri} holds no {file}; "
                "the trials' ids are in .trials()['trial_id'], the iterations of snapshots in .scores()."
            )
        return Image.open(io.BytesIO(data)).convert("RGB")

    def contact_sheet(self, page: int = 1) -> Image.Image:
        """Draws a page of the contact sheet: the best picture of every trial, a row for each prompt. The store is not written to.

        A large sweep has several pages: the first shows the best prompts, the others all of them. Raises UserError where there is no
        such page.
        """
        from dreamsweep.report.contact_sheet import contact_sheet

        drawn = next(islice(contact_sheet(self.store, self.name), page - 1, None), None) if page > 0 else None
        if drawn is None:
            raise UserError(f"page={page}: the contact sheet of sweep {self.name!r} has no such page; its first is 1.")
        return Image.open(io.BytesIO(drawn))

    def curves(self) -> Image.Image:
        """Draws the scores of guide and judge, iteration by iteration."""
        from dreamsweep.report.curves import curves

        return Image.open(io.BytesIO(curves(self.store, self.name)))

    def export(self, to: str | PathLike[str], format: FormatName = "pictures", **conditions: Unpack[Conditions]) -> Path:
        """Writes the trials that meet all conditions to a file or a new folder, which is whole or not there; returns its path.

        Formats: `pictures`, `sheet`, `csv`, `parquet`, `gallery`, `imagefolder`, `webdataset`, `pairs`, `pickapic` (docs/export.md).
        Conditions: `marks`, `by`, `stars`, `tag`, `search`, `engines`, `trials`, and `best` for the best so many of each prompt.

        >>> import dreamsweep as ds
        >>> ds.open("runs")["hearts"].export("hearts.csv", "csv", search="heart", best=1).name
        'hearts.csv'

        Raises UserError where nothing is selected, StoreError where the target cannot be written. Warns (UserWarning) of pictures that
        are missing or damaged, which are left out.
        """
        return export_to(self.store, (self.name,), to, format, conditions)

    def as_sweep(
        self, way: Way, name: str | None = None, prompts: Sequence[str] = (), seeds: int | None = None, **conditions: Unpack[Conditions]
    ) -> Sweep:
        """Returns a sweep that draws more of the trials that meet all conditions: `more-seeds`, `new-prompts` or `from-pictures`.

        >>> import dreamsweep as ds
        >>> more = ds.open("runs")["hearts"].as_sweep("more-seeds", seeds=8, best=1)
        >>> more.name, more.seeds.start, more.seeds.count
        ('hearts-more', 1, 8)

        It can be given to `ds.run`. Raises UserError where the selection cannot become one sweep.
        """
        return sweep_from(self.store, (self.name,), way, name, prompts, seeds, conditions)

    def __repr__(self) -> str:
        return f"dreamsweep.open({self.store.uri!r})[{self.name!r}]"

    def _repr_html_(self) -> str:
        """Returns counts and the contact sheet, for notebooks."""
        manifest = self.manifest
        counts = f"{manifest.done:,} of {manifest.trials:,} trials done"
        heading = f"<p><b>{escape(self.name)}</b>: {counts} · {escape(self.store.uri)}</p>"
        sheet = self.contact_sheet()
        sheet.thumbnail((SHEET_WIDTH, 4 * SHEET_WIDTH))
        return f'{heading}<img alt="contact sheet of {escape(self.name)}" src="{_data_uri(sheet)}">'


def _data_uri(image: Image.Image) -> str:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"

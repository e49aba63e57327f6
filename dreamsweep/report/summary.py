"""A published sweep at a glance: its contact sheet and its curves, as PNG in the store; and its trials at a path that stays the same.

A large sweep's catalogue is kept beside them, for the review page.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamsweep.errors import StoreError
from dreamsweep.report.kept_catalogue import keep_catalogue
from dreamsweep.results.manifest import Manifest, published_manifest, read_manifest
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import PARQUET, Part, concatenate
from dreamsweep.tables.registry import TABLES

PNG = "image/png"


@dataclass(frozen=True)
class Summary:
    """Keys of what was drawn of a sweep."""

    sheets: tuple[str, ...]
    """Pages of the contact sheet, `contact-sheet.png` first, then `contact-sheet-2.png` and so on."""
    curves: str

    def __iter__(self) -> Iterator[str]:
        yield from (*self.sheets, self.curves)


def write_summary(store: Store, sweep: str) -> Summary:
    """Draws both and writes them to `<sweep>/summary/`. Raises StoreError when the sweep is not there."""
    from dreamsweep.report.contact_sheet import contact_sheet
    from dreamsweep.report.curves import curves

    published_manifest(store, sweep)
    sheets = []
    for number, page in enumerate(contact_sheet(store, sweep), 1):
        sheets.append(keys.contact_sheet(sweep, number))
        store.write(sheets[-1], page, PNG)
    for key in list(store.keys(keys.further_sheets(sweep))):
        if key not in sheets:  # a page of a summary that had more of them
            store.delete(key)
    summary = Summary(tuple(sheets), keys.curves(sweep))
    store.write(summary.curves, curves(store, sweep), PNG)
    return summary


def ensure_summary(store: Store, manifest: Manifest) -> Summary:
    """Draws the summary, and copies the trials beside it, unless those in the store are of this very manifest.

    `<sweep>/summary/drawn.json`, written last, says of which manifest the summary is, and what belongs to it.
    """
    key = keys.summary_record(manifest.sweep)
    digest = hashlib.sha256(manifest.model_dump_json().encode()).hexdigest()
    record = _record(store.get(key))
    is_drawn = record.get("manifest_sha256") == digest
    if is_drawn and "trials" in record:
        return Summary(tuple(record["sheets"]), record["curves"])
    summary = Summary(tuple(record["sheets"]), record["curves"]) if is_drawn else write_summary(store, manifest.sweep)
    _copy_trials(store, manifest)
    keep_catalogue(store, manifest.sweep)
    trials = keys.summary_trials(manifest.sweep)
    record = {"manifest_sha256": digest, "sheets": summary.sheets, "curves": summary.curves, "trials": trials}
    store.write(key, json.dumps(record).encode(), "application/json")
    return summary


def _record(data: bytes | None) -> dict[str, Any]:
    """Returns the record of a summary; empty where there is none, or it is damaged: the summary is then drawn again."""
    try:
        record = json.loads(data or b"{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) and {"sheets", "curves"} <= record.keys() else {}


def _copy_trials(store: Store, manifest: Manifest) -> None:
    """Writes the trials that the manifest names to one file, in one step; a run that has published since writes its own."""
    table = TABLES["trials"]
    with tempfile.TemporaryDirectory(prefix="dreamsweep-summary-") as scratch:
        target = Path(scratch) / "table.parquet"
        try:
            concatenate(store, (Part(key, None) for key in manifest.tables["trials"]), table.schema, target, table.rows_a_group)
        except StoreError:
            if read_manifest(store, manifest.sweep) == manifest:
                raise
            return
        store.write_file(keys.summary_trials(manifest.sweep), target, PARQUET)

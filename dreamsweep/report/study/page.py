"""The report of a sweep: one self-contained HTML page, and its plots as PNG beside it.

A page holds everything in itself (pictures as `data:` addresses, no script, nothing fetched), so that it can be sent to somebody.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dreamsweep.report.study.data import Study
from dreamsweep.report.study.parts import Film, Part, Plot, Section, Table, Text
from dreamsweep.report.study.sections import sections
from dreamsweep.results.manifest import published_manifest
from dreamsweep.results.stored_sweep import stored_words
from dreamsweep.spec.judges import LABELS
from dreamsweep.spec.report import Report
from dreamsweep.store import Store, keys

PNG, HTML = "image/png", "text/html"


@dataclass(frozen=True)
class WrittenReport:
    """Keys of a report's page and of its plots."""

    page: str
    plots: tuple[str, ...]


def write_report(store: Store, sweep: str) -> WrittenReport:
    """Draws the report of a published sweep and writes it to `<sweep>/summary/`, the page last. Raises StoreError where it is not there."""
    published_manifest(store, sweep)
    study = Study.of(store, sweep)
    shown = sections(study, asked_report(store, sweep))
    plots = [part for section in shown for part in section.parts if isinstance(part, Plot)]
    for plot in plots:
        store.write(_plot_key(sweep, plot), plot.png, PNG)
    store.write(keys.report(sweep), page_of(sweep, shown).encode(), HTML)
    return WrittenReport(keys.report(sweep), tuple(_plot_key(sweep, plot) for plot in plots))


def asked_report(store: Store, sweep: str) -> Report:
    """Returns what the stored sweep file asks of a report; the usual one where it says nothing."""
    return Report.model_validate(stored_words(store, sweep).get("report") or {})


def asked_label_lists(store: Store, sweep: str) -> list[str]:
    """Returns the judges by lists of labels that the stored sweep file names, but those whose labels come from a file of the user's."""
    judges = stored_words(store, sweep).get("judges") or []
    return [judge["name"] for judge in judges if judge["name"].startswith(LABELS) and not judge.get("labels")]


def page_of(sweep: str, shown: Sequence[Section]) -> str:
    """Returns the page, HTML without scripts; every text of the sweep is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("dreamsweep.report.study", "."), autoescape=True, undefined=StrictUndefined)
    environment.tests |= {"table": _is(Table), "plot": _is(Plot), "film": _is(Film), "text": _is(Text)}
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment.get_template("page.html.j2").render(sweep=sweep, sections=shown)


def _is(kind: type) -> Callable[[Part], bool]:
    """Returns a test for templates."""
    return lambda part: isinstance(part, kind)


def _plot_key(sweep: str, plot: Plot) -> str:
    return keys.report(sweep, f"report-{plot.name}.png")

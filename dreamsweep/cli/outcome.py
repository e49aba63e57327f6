"""Summary that a run prints at its end: how much is done, where results are, what further judges say, the best trials and warnings."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from dreamsweep.cli.console import Console as SafeConsole
from dreamsweep.cli.options import store_option
from dreamsweep.cli.terminal import place, say
from dreamsweep.text import counted, format_seconds, shortened

if TYPE_CHECKING:
    from dreamsweep.report.best import BestTrial
    from dreamsweep.store import Store

WARNINGS = 3
"""Warnings that are printed, at most."""
BEST_TRIALS = 12
"""Best trials that are printed, at most."""
PROMPT_CELLS = (12, 40)
"""Cells that a prompt takes: at least, on a narrow terminal, and at most."""


def print_outcome(sweep: str, store: str, seconds: float, console: Console | None = None) -> None:
    """Prints where the published sweep is, and its best trials; nothing where none of it is published.

    On a terminal, places in a folder are links (OSC 8).
    """
    from dreamsweep.report.best import best_trials
    from dreamsweep.report.judges import verdicts
    from dreamsweep.results.manifest import read_manifest
    from dreamsweep.store import keys, open_store

    opened, screen = open_store(store), console or SafeConsole()
    manifest = read_manifest(opened, sweep)
    if manifest is None:
        return
    option = store_option(store)
    done = f"{manifest.done} of {manifest.trials} trials done" if manifest.done < manifest.trials else f"{manifest.trials} trials done"
    say(f"{sweep}: {done} ({format_seconds(seconds)})")
    for what, key in (
        ("contact sheet", keys.contact_sheet(sweep)),
        ("curves", keys.curves(sweep)),
        ("pictures", keys.pictures(sweep).rstrip("/")),
        ("trials", keys.summary_trials(sweep)),
    ):
        if what != "trials" or opened.exists(key):  # a run that was cut off has not copied them yet
            _print(screen, f"  {what:14} ", _linked(opened, key))
    for warning in _warnings(opened, sweep):
        say(f"  {'warning':14} {warning}")
    for judged in verdicts(opened, sweep):
        say(f"  {'judged by':14} {judged.judge}: {judged.text}")
    _print_best(screen, opened, sweep, best_trials(opened, sweep), f"dreamsweep query best{option}")
    say(f"  {'look':14} dreamsweep review {shlex.quote(sweep)}{option}")
    ask = f"SELECT engine, avg(percentile) FROM standings JOIN trials USING (sweep, trial_id) WHERE sweep = '{sweep}' GROUP BY engine"
    say(f'  {"ask":14} dreamsweep query "{ask}"{option}')


def _print_best(console: Console, store: "Store", sweep: str, trials: "Sequence[BestTrial]", command: str) -> None:
    """Prints a line for each of the first trials, and the command that lists all of them."""
    from dreamsweep.store import keys

    shown = trials[:BEST_TRIALS]
    if not shown:
        return
    pictures = [_linked(store, keys.picture(sweep, trial.trial_id, keys.BEST)) for trial in shown]
    engines = max(len("engine"), *(len(trial.engine) for trial in shown))
    seeds = max(len("seed"), *(len(str(trial.seed)) for trial in shown))
    others = len("  rank  judge") + engines + seeds + max(picture.cell_len for picture in pictures) + 4 * len("  ")
    least, most = PROMPT_CELLS
    room = max(least, min(most, console.width - others)) if console.is_terminal else most
    prompts = [shortened(trial.prompt, room) for trial in shown]
    cells = max(len("prompt"), *map(cell_len, prompts))

    def row(rank: str, judge: str, prompt: str, engine: str, seed: object, picture: str | Text) -> None:
        padded = prompt + " " * (cells - cell_len(prompt))
        _print(console, f"  {rank:>4} {judge:>6}  {padded}  {engine:{engines}}  {seed!s:>{seeds}}  ", picture)

    say(f"  {'best':14} of each prompt and engine, by {', '.join(dict.fromkeys(trial.judges for trial in trials))}")
    row("rank", "judge", "prompt", "engine", "seed", "best picture")
    for trial, prompt, picture in zip(shown, prompts, pictures, strict=True):
        row(str(trial.rank), f"{trial.judge:.3f}", prompt, trial.engine, trial.seed, picture)
    if lost := [key for trial in shown if not store.exists(key := keys.picture(sweep, trial.trial_id, keys.BEST))]:
        say(f"  {'warning':14} {counted(len(lost), 'best picture')} missing: dreamsweep verify {shlex.quote(sweep)} says what else is")
    if more := len(trials) - len(shown):
        say(f"  … and {more:,} more: {command}")


def _print(console: Console, *parts: str | Text) -> None:
    """Prints a line as long as it is, whatever the console's width."""
    console.print(Text.assemble(*parts), soft_wrap=True, highlight=False)


def _linked(store: "Store", key: str) -> Text:
    """Returns the place of a key, as a link where a terminal can open it."""
    uri = store.uri_of(key)
    return Text(place(store, key), Style(link=uri) if uri.startswith("file:") else "")


def _warnings(store: "Store", sweep: str) -> list[str]:
    """Returns what the trials warn of, the most frequent first."""
    from dreamsweep.report.query import query

    of_each = "SELECT unnest(warnings) AS warning FROM trials"
    rows = query(store, f"SELECT warning, count(*) AS n FROM ({of_each}) GROUP BY warning ORDER BY n DESC, warning", sweep).to_pylist()
    lines = [f"{counted(row['n'], 'trial')}: {row['warning']}" for row in rows[:WARNINGS]]
    return [*lines, f"and {len(rows) - WARNINGS:,} more: the column warnings"] if len(rows) > WARNINGS else lines

"""`dreamsweep verify`: whether everything that sweeps have published and staged is still there, and whole."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import StoreUri
from dreamsweep.cli.terminal import say, tell
from dreamsweep.errors import UserError

if TYPE_CHECKING:
    from dreamsweep.results.repair import Repaired
    from dreamsweep.results.verification import Fault
    from dreamsweep.store import Store

SHOWN = 20
"""Faults of a sweep that are printed one by one; JSON has them all."""


def verify(
    sweeps: Annotated[list[str] | None, typer.Argument(metavar="[SWEEP]…", help="Only these sweeps; else all.", show_default=False)] = None,
    store: StoreUri = "runs",
    repair: Annotated[bool, typer.Option("--repair", help="Write damaged tables again, and mark the rest to be made again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a sweep.")] = False,
) -> None:
    """Check that every file of a sweep is there, and is what was written: tables, and the pictures that their rows name.

    Reads everything once. Exit code 1 if something is missing or damaged and not repaired.
    """
    from dreamsweep.results import repair as repairs
    from dreamsweep.store import keys, open_store
    from dreamsweep.text import escaped

    opened, outcomes, unreadable = open_store(store), [], False
    for sweep in sweeps or [name for name in opened.folders() if opened.exists(keys.manifest(name)) or _is_begun(opened, name)]:
        try:
            objects, faults = _checked(opened, sweep)
        except UserError as mistake:  # a newer format, say: the others are verified all the same
            if sweeps:
                raise
            tell(f"{escaped(sweep)}: {mistake}")
            unreadable = True
            continue
        repaired = repairs.repair(opened, sweep, faults) if repair and faults else None
        outcomes.append((sweep, objects, faults, repaired))
        if not as_json:
            _print(escaped(sweep), objects, faults, repaired)
    if as_json:
        say(json.dumps([_plain(*outcome) for outcome in outcomes], indent=1))
    elif not outcomes and not unreadable:
        say(f"Store {opened.uri} has no sweep to verify.")
    if unreadable or any(faults and not _is_mended(repaired) for _, _, faults, repaired in outcomes):
        raise typer.Exit(1)


def _is_begun(store: "Store", sweep: str) -> bool:
    from dreamsweep.store import keys

    return next(iter(store.keys(keys.staging(sweep))), None) is not None


def _checked(store: "Store", sweep: str) -> tuple[int, "list[Fault]"]:
    """Checks a sweep behind a progress bar; returns the number of its objects, and what is wrong with them."""
    from rich.progress import Progress

    from dreamsweep.results.verification import verify as checks
    from dreamsweep.text import counted, escaped

    objects, faults, console = 0, list["Fault"](), Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escaped(sweep), total=None)
        for checked in checks(store, sweep):
            objects += checked.objects
            faults += checked.faults
            bar.update(task, advance=1, total=checked.sources, description=f"{escaped(sweep)}: {counted(objects, 'object')}")
    return objects, faults


def _print(sweep: str, objects: int, faults: "Sequence[Fault]", repaired: "Repaired | None") -> None:
    from dreamsweep.text import counted, escaped

    if not faults:
        say(f"{sweep}: {counted(objects, 'object')}, all whole")
        return
    missing = sum(fault.state == "missing" for fault in faults)
    say(f"{sweep}: of {counted(objects, 'object')}, {missing:,} are missing and {len(faults) - missing:,} damaged")
    for fault in faults[:SHOWN]:
        say(f"  {fault.state:8} {escaped(fault.key)}")
    if len(faults) > SHOWN:
        say(f"  … and {len(faults) - SHOWN:,} more (--json lists all)")
    if repaired is None:
        tell(f"{sweep}: {_cure(faults)} To do so: the same command with --repair.")
        return
    if repaired.published:
        say(f"{sweep}: tables written again and published")
    if repaired.shards or repaired.trials or not repaired.published:
        again = [counted(len(repaired.shards), "shard")] * bool(repaired.shards) + [counted(len(repaired.trials), "trial")] * bool(
            repaired.trials
        )
        say(f"{sweep}: run the sweep again to make {' and '.join(again) or 'its trials'} anew")


def _cure(faults: "Sequence[Fault]") -> str:
    """Returns a sentence that says what it takes to repair a sweep."""
    from dreamsweep.text import counted

    shards = {fault.owner for fault in faults if fault.kind == "staged"}
    trials = {fault.owner for fault in faults if fault.kind == "picture"}
    parts = ["tables are written again from staged rows"] * any(fault.kind in ("manifest", "table") for fault in faults)
    parts += [f"{counted(len(shards), 'shard')} must be made again"] * bool(shards)
    parts += [f"files of {counted(len(trials), 'trial')} must be made again, with their shards"] * bool(trials)
    return f"{'; '.join(parts)}.".capitalize()


def _is_mended(repaired: "Repaired | None") -> bool:
    """Returns whether a repair left nothing to be made again."""
    return repaired is not None and repaired.published and not repaired.shards and not repaired.trials


def _plain(sweep: str, objects: int, faults: "Sequence[Fault]", repaired: "Repaired | None") -> dict[str, object]:
    """Returns a sweep's outcome as JSON holds it."""
    return {
        "sweep": sweep,
        "objects": objects,
        "faults": [asdict(fault) for fault in faults],
        "repaired": None if repaired is None else asdict(repaired),
    }

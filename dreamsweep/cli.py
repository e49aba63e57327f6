"""The command `dreamsweep`: reads what was typed, calls what does it, and says in plain lines how it went.

Heavy imports (torch, prefect, duckdb) stand in the commands that need them, so that `dreamsweep --help` answers at once.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from dreamsweep.errors import DreamsweepError
from dreamsweep.review.command import review
from dreamsweep.weights.command import app as weights

if TYPE_CHECKING:
    from dreamsweep.garbage import Garbage
    from dreamsweep.manifest import Manifest
    from dreamsweep.spec import Sweep
    from dreamsweep.status import SweepStatus
    from dreamsweep.store import Store
    from flows.cluster import Cluster
    from flows.deploy import Change
    from flows.fanout import Compute

app = typer.Typer(
    name="dreamsweep",
    help="Sweeps of CLIP-guided image generation: prompts × engines × seeds in, pictures and Parquet out.",
    epilog="Start with: dreamsweep run prompts/demo.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(weights, name="weights")


STATUS_ROWS = 40
WARNINGS = 3
"""That are printed after a run."""


class Device(StrEnum):
    """What to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class PoolType(StrEnum):
    """What a worker starts flow runs as."""

    process = "process"
    docker = "docker"
    kubernetes = "kubernetes"


SweepFile = Annotated[Path, typer.Argument(metavar="FILE", help="A sweep file, such as prompts/demo.yaml.", show_default=False)]
StoreUri = Annotated[str, typer.Option("--store", envvar="DREAMSWEEP_STORE", help="A folder, or s3://bucket/prefix.")]


@app.command(epilog="Example: dreamsweep run prompts/demo.yaml --store s3://bucket/prefix")
def run(
    file: SweepFile,
    store: StoreUri = "runs",
    device: Annotated[Device, typer.Option(help="What to compute on; auto takes the best there is.")] = Device.auto,
    compute: Annotated[
        str | None, typer.Option(help="What makes the shards: a deployment (shard/NAME), dask or ray (dask:ADDRESS).", show_default=False)
    ] = None,
    day: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Of a sweep with {date} in its name; today.", show_default=False)
    ] = None,
) -> None:
    """Make what the store lacks of a sweep, publish it, and draw its contact sheet and curves.

    The same command again makes only what is missing, and goes on where it was stopped.
    """
    from dreamsweep.display import Display
    from dreamsweep.errors import SweepFileError
    from dreamsweep.expand import of_day, plan
    from dreamsweep.store import open_store
    from dreamsweep.sweepfile import load_sweep

    asked, started = load_sweep(file), time.monotonic()
    today = _day_of(day) if day else datetime.now(UTC).date()
    sweep = of_day(asked, today)
    if day and sweep is asked:
        raise SweepFileError(
            f"--date: neither {{date}} nor daily seeds are in {str(file)!r}, so it is the same on every day; leave it out."
        )
    again = _same_command() + ("" if day or sweep is asked else f" --date {today}")
    signal.signal(signal.SIGTERM, _stop)
    try:
        plan(sweep)
        open_store(store).check()
        with Display(Console(), sweep.name):
            incomplete = _run_flow(sweep, store, device.value, compute)
    except KeyboardInterrupt:
        if compute and "/" in compute:
            _tell(f"Stopped looking on. Shards that have begun go on, until their flow runs are cancelled. To see them through: {again}")
        else:
            _tell(f"Stopped. To go on where it stopped: {again}")
        raise typer.Exit(130) from None
    _tell_where(open_store(store), sweep.name, store, time.monotonic() - started)
    if incomplete:
        _tell(f"dreamsweep: {incomplete.rstrip('.')}. To make what is missing: {again}")
        raise typer.Exit(1)


@app.command(epilog="Example: dreamsweep plan prompts/demo.yaml")
def plan(file: SweepFile) -> None:
    """Say how many trials, shards and pictures a sweep comes to, and about how long and how large it gets."""
    from dreamsweep.estimate import estimate_seconds
    from dreamsweep.expand import plan as count
    from dreamsweep.sweepfile import load_sweep
    from dreamsweep.words import told_bytes, told_seconds

    sweep = load_sweep(file)
    counted = count(sweep)
    table = Table(title=sweep.name, title_justify="left", show_header=False, box=None)
    table.add_row("trials", f"{counted.trials:,} ({_listed(counted.trials_by_engine)})")
    table.add_row("shards", f"{counted.shards:,}")
    table.add_row("iterations", f"{counted.iterations:,} ({_listed(counted.iterations_by_engine)})")
    table.add_row("pictures", f"{counted.pictures:,}")
    seconds = estimate_seconds(sweep, counted)
    unknown = "not known beforehand: published weights"
    told = unknown if seconds is None else f"about {told_seconds(seconds)} on two CPU cores"
    table.add_row("time", told)
    table.add_row("size", f"about {told_bytes(counted.bytes)}")
    Console().print(table)


@app.command(epilog="Example: dreamsweep status demo --store s3://bucket/prefix")
def status(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="A sweep's name; else all of them.", show_default=False)] = None,
    store: StoreUri = "runs",
) -> None:
    """Say how far a sweep is, wherever its shards are made: the store tells."""
    from dreamsweep.status import every_status, sweep_status
    from dreamsweep.store import open_store
    from dreamsweep.words import counted

    if sweep is None:
        return _tell_all(every_status(open_store(store)), store)
    found = sweep_status(open_store(store), sweep)
    told = [f"{counted(found.made, 'shard')} made", f"{len(found.running):,} begun"]
    told += [f"{found.waiting:,} waiting"] * bool(found.waiting)
    told += [f"{found.given_up:,} given up"] * bool(found.given_up)
    typer.echo(f"{sweep}: {', '.join(told)}; {_told_manifest(found.manifest)}")
    table = Table("shard", "engine", "iteration", "trials", "best", "trials × it/s", box=None)
    for shard in found.running[:STATUS_ROWS]:
        best = "–" if shard.best is None else f"{shard.best:.3f}"
        pace, how_far = f"{shard.iterations_per_second:.1f}", f"{shard.iteration}/{shard.iterations}"
        table.add_row(shard.shard_id, shard.engine, how_far, str(shard.trials), best, pace)
    if found.running:
        Console().print(table)
    if len(found.running) > STATUS_ROWS:
        typer.echo(f"… and {len(found.running) - STATUS_ROWS:,} more")


@app.command(epilog="Example: dreamsweep deploy prompts/nightly.yaml --pool-type docker --store s3://bucket/prefix --dry-run")
def deploy(
    pool_type: Annotated[PoolType, typer.Option(help="What a worker starts: a process beside it, a container, a Job.")],
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]...", help="Sweep files that name a schedule.", show_default=False)
    ] = None,
    store: StoreUri = "runs",
    image: Annotated[
        str | None, typer.Option(help="Of containers; by default this version's, with -cpu where there is no GPU.", show_default=False)
    ] = None,
    compute_window: Annotated[
        int | None, typer.Option(min=1, help="Shards made at once; 1 for processes, 8 for containers.", show_default=False)
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs of a shard's container; 1, and 0 with a -cpu image.", show_default=False)
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Of the pools' template, such as memory_limit=32Gi; gpu.NAME for one pool.", show_default=False
        ),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove the schedules of sweeps that FILES do not name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
) -> None:
    """Register work pools, deployments and the schedules of sweep files with the configured Prefect server.

    The same command again changes nothing.
    """
    from dreamsweep.errors import SweepFileError
    from dreamsweep.sweepfile import load_sweep

    sweeps = {path: load_sweep(path) for path in files or []}
    names = [sweep.name for sweep in sweeps.values()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SweepFileError(f"two of the files name the sweep {min(twice)!r}; a schedule goes by its sweep's name, so rename one.")
    _quiet_prefect()
    from flows.deploy import GPU, SWEEPS, form_url, place, register

    at = place(pool_type.value, store, image, compute_window, gpus, variable or [])
    new = _tell_changes(register(at, sweeps.values(), prune=prune, dry_run=dry_run), dry_run)
    if dry_run:
        typer.echo("Nothing was changed (--dry-run)." if new else "Nothing to change.")
    else:
        typer.echo(f"Workers:  prefect worker start --pool {SWEEPS}   and   prefect worker start --pool {GPU}")
        if url := form_url():
            typer.echo(f"By hand:  {url}")
    for path, sweep in sweeps.items():
        if sweep.schedule is None:
            typer.echo(f'{path} names no schedule, so nothing is registered for it; add one, such as  schedule: "0 2 * * *"')


@app.command(epilog='Example: dreamsweep query "SELECT prompt, max(judge_best) FROM trials GROUP BY prompt"')
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement; the tables are trials and scores.", show_default=False)],
    store: StoreUri = "runs",
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a row.")] = False,
) -> None:
    """Ask DuckDB about every published sweep of a store (docs/query.md lists the columns)."""
    from dreamsweep.printed import print_csv, print_json, print_table
    from dreamsweep.query import query as ask
    from dreamsweep.store import open_store

    answer = ask(open_store(store), sql)
    if json:
        print_json(answer)
    elif csv:
        print_csv(answer)
    else:
        print_table(answer, Console())


@app.command(epilog="Example: dreamsweep show demo --to pictures")
def show(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A published sweep's name.", show_default=False)],
    store: StoreUri = "runs",
    to: Annotated[Path | None, typer.Option(help="A folder to put copies in.", show_default=False)] = None,
) -> None:
    """Draw a sweep's contact sheet and score curves as PNG, and say where they are."""
    from dreamsweep.store import open_store
    from dreamsweep.summary import write_summary

    opened = open_store(store)
    for key in write_summary(opened, sweep):
        typer.echo(_place(opened, key))
        if to is not None:
            target = to / f"{sweep}-{key.rsplit('/', 1)[1]}"
            _copy(opened, key, target)
            typer.echo(str(target))


app.command(epilog="Example: dreamsweep review demo")(review)


@app.command(epilog="Example: dreamsweep gc --older-than 30d --keep 'nightly-*' --apply")
def gc(
    sweeps: Annotated[list[str] | None, typer.Argument(metavar="[SWEEP]…", help="Only of these sweeps.", show_default=False)] = None,
    store: StoreUri = "runs",
    older_than: Annotated[str, typer.Option(help="Leave alone what is younger: 12h, 30d.")] = "7d",
    keep: Annotated[list[str] | None, typer.Option(help="Leave these sweeps alone: names, or patterns with *.", show_default=False)] = None,
    staging: Annotated[bool, typer.Option("--staging", help="Also rows of shards whose trials are all published.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without this, only say what would go.")] = False,
) -> None:
    """Remove what nobody needs any more: never what a manifest names, nor a picture of a trial that is made (docs/operate.md)."""
    from fnmatch import fnmatchcase

    from dreamsweep.garbage import garbage
    from dreamsweep.store import open_store
    from dreamsweep.words import counted, parsed_seconds, told_bytes, told_seconds

    def wanted(sweep: str) -> bool:
        return (not sweeps or sweep in sweeps) and not any(fnmatchcase(sweep, pattern) for pattern in keep or ())

    now, console = time.time(), Console()
    found = list(garbage(open_store(store), now - parsed_seconds(older_than, "--older-than"), wanted, staging))
    table = Table("sweep", "what", "objects", "size", "oldest", box=None)
    for sweep, kind in sorted({(one.sweep, one.kind) for one in found}):
        mine = [one for one in found if (one.sweep, one.kind) == (sweep, kind)]
        oldest = told_seconds(now - min(one.modified for one in mine))
        table.add_row(sweep or "–", kind, f"{len(mine):,}", told_bytes(sum(one.size for one in mine)), oldest)
    if found:
        console.print(table)
    total = f"{counted(len(found), 'object')}, {told_bytes(sum(one.size for one in found))}"
    if not found:
        typer.echo(f"Nothing can go (--older-than {older_than}).")
    elif apply:
        _remove(found, console)
        typer.echo(f"Removed: {total}.")
    else:
        typer.echo(f"{total} can go; nothing was removed. To remove them: {_same_command()} --apply")


@app.command(epilog="Example: dreamsweep doctor --store s3://bucket/prefix")
def doctor(store: StoreUri = "runs") -> None:
    """Look at what is installed, the devices, the weights and the store. Exit code 1 if something that is needed is broken."""
    from dreamsweep.doctor import findings

    table = Table("", "", "", show_header=False, box=None)
    table.columns[2].overflow = "fold"
    broken = False
    for finding in findings(store):
        mark = "[green]ok[/]" if finding.ok else "[red]broken[/]" if finding.needed else "[dim]no[/]"
        table.add_row(mark, finding.what, _literal(finding.told))
        broken |= finding.needed and not finding.ok
    Console().print(table)
    if broken:
        raise typer.Exit(1)


@app.command(epilog="Example: dreamsweep schema > prompts/sweep.schema.json")
def schema() -> None:
    """Print the JSON schema of a sweep file, so that editors complete and check it."""
    import json as encoder

    from dreamsweep.schema import sweep_schema

    typer.echo(encoder.dumps(sweep_schema(), indent=1, ensure_ascii=False))


def main() -> NoReturn:
    """The console script."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code: 2 for what the user can mend, 1 for what failed, 130 when stopped."""
    try:
        code = app(list(arguments), prog_name="dreamsweep", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except TyperException as error:
        told = " ".join(error.format_message().split()).replace("Value error, ", "").replace(". Did", "; did").rstrip(".")
        if told:  # else its command's help was printed
            _tell(f"dreamsweep: {told[0].lower()}{told[1:]}{' See' if told.endswith('?') else '; see'} {_command_path(error)} --help.")
        return 2
    except DreamsweepError as error:
        _tell(f"dreamsweep: {error}")
        return 2
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence for the user, the traceback for whoever mends it
        _tell(f"dreamsweep: something went wrong that should not have ({type(error).__name__}); the details are in {_write_log()}.")
        return 1
    return code or 0


def state_folder() -> Path:
    """Where logs go: `$XDG_STATE_HOME/dreamsweep`, by default `~/.local/state/dreamsweep`."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dreamsweep"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run_flow(sweep: "Sweep", store: str, device: str, compute: str | None) -> str | None:
    """Runs the flow against the configured Prefect API, or an embedded one; returns what failed of it, in a sentence."""
    import logging

    _quiet_prefect()
    logging.raiseExceptions = False  # a log line that cannot be sent is no news for the terminal
    from flows.embedded import prefect_api

    made_by: Compute | Cluster | None = None
    if compute:  # before any API is embedded, which would know no deployment
        from flows.sweep import compute_of

        made_by = compute_of(compute)
    with prefect_api(state_folder() / "prefect-api.log") as ready:
        from flows.sweep import IncompleteSweepError, SweepRequest
        from flows.sweep import sweep as sweep_flow

        if made_by is None:
            _check_machine(device)  # a mistake is told before the API is waited for
        ready()
        try:
            sweep_flow(SweepRequest(sweep=sweep, store=store, device=device, compute=made_by))
        except IncompleteSweepError as error:
            return str(error)
    return None


def _check_machine(device: str) -> None:
    from dreamsweep.devices import is_compiling, resolve_device
    from dreamsweep.environment import checkpoint_seconds

    resolve_device(device)
    is_compiling()
    checkpoint_seconds()


def _tell_changes(changes: "Iterable[Change]", dry_run: bool) -> bool:
    """Prints what is registered, or would be; says whether anything of it is new."""
    new = False
    for change in changes:
        mends = change.how in ("created", "changed", "removed")
        told = f"would be {change.how}" if dry_run and mends else change.how
        typer.echo(f"{change.what:40} {told}{'; --prune removes it' if change.how == 'kept' else ''}")
        for line in change.differences:
            typer.echo(f"    {line}")
        new |= mends
    return new


def _quiet_prefect() -> None:
    """Before anything of Prefect's is imported."""
    import warnings

    warnings.simplefilter("ignore")  # nobody who runs a sweep can act on a library's deprecations
    from flows.embedded import prefer_quiet

    prefer_quiet()


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does."""
    raise KeyboardInterrupt


def _tell_where(store: "Store", sweep: str, asked_store: str, seconds: float) -> None:
    from dreamsweep.manifest import read_manifest
    from dreamsweep.words import told_seconds

    manifest = read_manifest(store, sweep)
    if manifest is None:
        return
    option = "" if asked_store == "runs" else f" --store {asked_store}"
    done = f"{manifest.done} of {manifest.trials} trials done" if manifest.done < manifest.trials else f"{manifest.trials} trials done"
    typer.echo(f"{sweep}: {done} ({told_seconds(seconds)})")
    for what, key in (
        ("contact sheet", f"{sweep}/summary/contact-sheet.png"),
        ("curves", f"{sweep}/summary/curves.png"),
        ("pictures", f"{sweep}/pictures"),
        ("trials", manifest.trials_key),
        ("scores", manifest.scores_key),
    ):
        typer.echo(f"  {what:14} {_place(store, key)}")
    for warning in _warnings(store, sweep):
        typer.echo(f"  {'warning':14} {warning}")
    typer.echo(f"  {'look':14} dreamsweep review {sweep}{option}")
    typer.echo(f'  {"ask":14} dreamsweep query "SELECT prompt, engine, judge_best FROM trials ORDER BY judge_best DESC LIMIT 5"{option}')


def _warnings(store: "Store", sweep: str) -> list[str]:
    """What its trials warn of, the most frequent first."""
    from dreamsweep.query import query as ask
    from dreamsweep.words import counted

    of_each = "SELECT unnest(warnings) AS warning FROM trials"
    rows = ask(store, f"SELECT warning, count(*) AS n FROM ({of_each}) GROUP BY warning ORDER BY n DESC, warning", sweep).to_pylist()
    told = [f"{counted(row['n'], 'trial')}: {row['warning']}" for row in rows[:WARNINGS]]
    return [*told, f"and {len(rows) - WARNINGS:,} more: the column warnings"] if len(rows) > WARNINGS else told


def _tell_all(found: "Iterable[SweepStatus]", store: str) -> None:
    """A line a sweep."""
    table = Table("sweep", "published", "shards made", "begun", "waiting", "given up", box=None)
    for one in found:
        told = "–" if one.manifest is None else f"{one.manifest.done:,} of {one.manifest.trials:,} trials"
        counts = (one.made, len(one.running), one.waiting, one.given_up)
        table.add_row(one.sweep, told, *(f"{count:,}" if count else "–" for count in counts))
    if table.row_count:
        Console().print(table)
    else:
        typer.echo(f"Store {store!r} knows of no sweep yet.")


def _told_manifest(manifest: "Manifest | None") -> str:
    return "nothing published yet" if manifest is None else f"{manifest.done:,} of {manifest.trials:,} trials published"


def _remove(found: "Sequence[Garbage]", console: Console) -> None:
    """One after the other: the order is such that it may end at any moment."""
    from rich.progress import track

    for one in track(found, "removing", console=console, transient=True, disable=not console.is_terminal):
        one.remove()


def _place(store: "Store", key: str) -> str:
    """Where a key lies, as short as a person would write it."""
    from urllib.parse import unquote, urlparse

    uri = store.uri_of(key)
    if not uri.startswith("file://"):
        return uri
    path = Path(unquote(urlparse(uri).path))
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _copy(store: "Store", key: str, target: Path) -> None:
    from dreamsweep.errors import StoreError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.read(key))
    except OSError as error:
        raise StoreError(f"--to {str(target.parent)!r}: {target.name} cannot be written there ({error.strerror}).") from None


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _same_command() -> str:
    import shlex

    return shlex.join([Path(sys.argv[0]).name if "dreamsweep" in Path(sys.argv[0]).name else "dreamsweep", *sys.argv[1:]])


def _day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DreamsweepError(f"--date: {text!r} is no day; write it as in {datetime.now(UTC).date()}.") from None


def _command_path(error: TyperException) -> str:
    """The command that was misused: `dreamsweep run`."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "dreamsweep"


def _tell(text: str) -> None:
    typer.echo(text, err=True)


def _write_log() -> Path:
    """The current exception's traceback in a file; returns its path."""
    path = state_folder() / time.strftime("error-%Y%m%d-%H%M%S.log")
    path.write_text(f"dreamsweep {' '.join(sys.argv[1:])}\n\n{traceback.format_exc()}", encoding="utf-8")
    return path

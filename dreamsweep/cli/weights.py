"""Command `dreamsweep weights`: lists published weights, downloads them, checks their hashes, and draws with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import Device
from dreamsweep.cli.terminal import say
from dreamsweep.errors import WeightsError
from dreamsweep.text import counted, format_megabytes

if TYPE_CHECKING:
    from dreamsweep.weights.registry import Published

app = typer.Typer(
    help="Published weights: list, download, verify, draw.",
    epilog="Example: dreamsweep weights pull ViT-B/32 dall-e",
    no_args_is_help=True,
)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Without a name: all that are in the cache.", show_default=False)
]


@app.command("list", epilog="Example: dreamsweep weights list")
def list_() -> None:
    """List published weights: name, size, licence, whether they are in the cache, and whether the hash is known or pinned."""
    from dreamsweep.weights.cache import cache_folder
    from dreamsweep.weights.registry import registry

    table = Table(box=None, pad_edge=False)
    for column in ("name", "size", "licence", "cached", "hash"):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for name, model in registry().items():
        table.add_row(
            *map(escape, (name, format_megabytes(model.megabytes), model.licence or "unknown", _cached(model), _hash(name, model)))
        )
    Console().print(table)
    say(f"The cache folder is {cache_folder()}")


@app.command(epilog="Example: dreamsweep weights pull ViT-B/32 dall-e")
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names as listed, or a hub's owner/name.", show_default=False)],
) -> None:
    """Download weights that are not in the cache, check their hashes, and print their folder. Interrupted downloads are resumed."""
    from dreamsweep.weights import fetch

    for name in names:
        fetch.paths(name)
        say(f"{name}: {fetch.folder(name)}")


@app.command(epilog="Example: dreamsweep weights verify --draw")
def verify(
    names: Names = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Draw pictures with each, the starter weights included, and say whether it is sane.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Folder for the pictures of --draw.")] = Path("drawn"),
    device: Annotated[Device, typer.Option(help="Device to draw on.")] = Device.auto,
) -> None:
    """Read every cached file again and compare its hash with the published or pinned one. Exit code 1 if one differs, or is not sane."""
    from dreamsweep.weights.cache import pinned_names
    from dreamsweep.weights.registry import registry
    from dreamsweep.weights.starter import STARTER_FOLDERS, STARTER_NAMES

    starters = (*STARTER_NAMES, *STARTER_FOLDERS) if draw else ()
    published = [name for name in names or dict.fromkeys((*registry(), *pinned_names())) if name not in starters]
    checked = [_verify_files(name, is_named=bool(names)) for name in published]
    files, invalid = sum(count for count, _ in checked), sum(count for _, count in checked)
    say(f"{counted(files, 'file')} checked, {invalid} invalid or missing.")
    if draw:
        from dreamsweep.cli.draw_weights import draw_weights

        valid = [name for name, (count, bad) in zip(published, checked, strict=True) if count and not bad]
        invalid += draw_weights([name for name in starters if not names or name in names], valid, published, folder, device)
    if invalid:
        raise typer.Exit(1)


def _verify_files(name: str, is_named: bool) -> tuple[int, int]:
    """Checks a published model's files, a line each; returns how many were read, and how many are invalid, or missing if it is named."""
    from dreamsweep.weights import fetch
    from dreamsweep.weights.cache import cache_folder

    model = fetch.entry(name)
    checked = invalid = 0
    for file in model.files:
        path = cache_folder() / model.folder / file
        if not path.is_file():
            if is_named:
                say(f"missing  {name}: {path}")
                invalid += 1
            continue
        checked += 1
        try:
            fetch.check(name, model, file, path, reread=True)
            say(f"ok       {name}: {path}")
        except WeightsError as error:
            say(f"invalid  {error}")
            invalid += 1
    return checked, invalid


def _cached(model: "Published") -> str:
    from dreamsweep.weights.cache import cache_folder
    from dreamsweep.weights.fetch import missing_files

    folder, complete = cache_folder() / model.folder, len(model.files) - len(missing_files(model))
    if complete == len(model.files):
        return "yes"
    started = any((folder / f"{file}.partial").is_file() for file in model.files)
    return f"{complete} of {len(model.files)} files" if complete else "partly" if started else "no"


def _hash(name: str, model: "Published") -> str:
    from dreamsweep.weights.cache import read_pin

    if all(file.sha256 for file in model.files.values()):
        return "known"
    pinned = read_pin(name).files
    return "pinned" if all(file.sha256 or pinned.get(key) for key, file in model.files.items()) else "on first use"

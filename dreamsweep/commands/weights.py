"""`dreamsweep weights`: what is published, what of it is here, and whether it is what it should be."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dreamsweep.errors import WeightsError
from dreamsweep.words import counted

if TYPE_CHECKING:
    from dreamsweep.weights.registry import Published

app = typer.Typer(
    help="Published weights: list them, fetch them, check them (docs/weights.md).",
    epilog="Example: dreamsweep weights pull ViT-B/32 dall-e",
    no_args_is_help=True,
)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Without a name: all that is here.", show_default=False)]


@app.command("list", epilog="Example: dreamsweep weights list")
def list_() -> None:
    """Print what is published: name, size, licence, whether it is here, and whether its hash is known or pinned on first use."""
    from dreamsweep.weights.cache import cache_folder
    from dreamsweep.weights.registry import registry

    table = Table(box=None, pad_edge=False)
    for column in ("name", "size", "licence", "here", "hash"):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for name, model in registry().items():
        table.add_row(*map(escape, (name, _size(model.megabytes), model.licence or "unknown", _here(model), _hash(name, model))))
    Console().print(table)
    typer.echo(f"They are kept in {cache_folder()}")


@app.command(epilog="Example: dreamsweep weights pull ViT-B/32 dall-e")
def pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names as listed, or a hub's owner/name.", show_default=False)],
) -> None:
    """Fetch weights that are not here yet, check them, and say where they are. A download that was cut goes on where it stopped."""
    from dreamsweep.weights import fetch

    for name in names:
        fetch.paths(name)
        typer.echo(f"{name}: {fetch.folder(name)}")


@app.command(epilog="Example: dreamsweep weights verify dall-e")
def verify(names: Names = None) -> None:
    """Read every file that is here again and compare its hash with what was published or pinned. Exit code 1 if one differs."""
    from dreamsweep.weights import fetch
    from dreamsweep.weights.cache import cache_folder, pinned_names
    from dreamsweep.weights.registry import registry

    broken = checked = 0
    for name in names or [*registry(), *(name for name in pinned_names() if name not in registry())]:
        model = fetch.entry(name)
        for file in model.files:
            path = cache_folder() / model.folder / file
            if not path.is_file():
                if names:
                    typer.echo(f"missing  {name}: {path}")
                    broken += 1
                continue
            checked += 1
            try:
                fetch.check(name, model, file, path, afresh=True)
                typer.echo(f"ok       {name}: {path}")
            except WeightsError as error:
                typer.echo(f"changed  {error}")
                broken += 1
    typer.echo(f"{counted(checked, 'file')} read, {broken} not as they should be.")
    if broken:
        raise typer.Exit(1)


def _size(megabytes: float | None) -> str:
    if megabytes is None:
        return "unknown"
    return f"{megabytes:,.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def _here(model: "Published") -> str:
    from dreamsweep.weights.cache import cache_folder

    folder = cache_folder() / model.folder
    there = sum((folder / file).is_file() for file in model.files)
    if there == len(model.files):
        return "yes"
    begun = any((folder / f"{file}.partial").is_file() for file in model.files)
    return f"{there} of {len(model.files)} files" if there else "begun" if begun else "no"


def _hash(name: str, model: "Published") -> str:
    from dreamsweep.weights.cache import read_pin

    if all(file.sha256 for file in model.files.values()):
        return "known"
    pinned = read_pin(name).files
    return "pinned" if all(file.sha256 or pinned.get(key) for key, file in model.files.items()) else "at first use"

"""The terminal, and what is beside it: sentences, places, the folder of logs."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dreamsweep.store import Store


def state_folder() -> Path:
    """Where logs go: `$XDG_STATE_HOME/dreamsweep`, by default `~/.local/state/dreamsweep`."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "dreamsweep"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def place(store: "Store", key: str) -> str:
    """Where a key lies, as short as a person would write it."""
    from urllib.parse import unquote, urlparse

    uri = store.uri_of(key)
    if not uri.startswith("file://"):
        return uri
    path = Path(unquote(urlparse(uri).path))
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def same_command() -> str:
    import shlex

    return shlex.join([Path(sys.argv[0]).name if "dreamsweep" in Path(sys.argv[0]).name else "dreamsweep", *sys.argv[1:]])


def tell(text: str) -> None:
    typer.echo(text, err=True)

"""The command `dreamsweep`: all its commands, and what becomes of mistakes."""

import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from dreamsweep.commands import weights
from dreamsweep.commands.deploy import deploy
from dreamsweep.commands.doctor import doctor
from dreamsweep.commands.gc import gc
from dreamsweep.commands.plan import plan
from dreamsweep.commands.query import query
from dreamsweep.commands.review import review
from dreamsweep.commands.run import run
from dreamsweep.commands.schema import schema
from dreamsweep.commands.show import show
from dreamsweep.commands.status import status
from dreamsweep.commands.terminal import state_folder, tell
from dreamsweep.errors import DreamsweepError

app = typer.Typer(
    name="dreamsweep",
    help="Sweeps of CLIP-guided image generation: prompts × engines × seeds in, pictures and Parquet out.",
    epilog="Start with: dreamsweep run prompts/demo.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example: dreamsweep run prompts/demo.yaml --store s3://bucket/prefix")(run)
app.command(epilog="Example: dreamsweep plan prompts/demo.yaml")(plan)
app.command(epilog="Example: dreamsweep status demo --store s3://bucket/prefix")(status)
app.command(epilog="Example: dreamsweep deploy prompts/nightly.yaml --pool-type docker --store s3://bucket/prefix --dry-run")(deploy)
app.command(epilog='Example: dreamsweep query "SELECT prompt, max(judge_best) FROM trials GROUP BY prompt"')(query)
app.command(epilog="Example: dreamsweep show demo --to pictures")(show)
app.command(epilog="Example: dreamsweep review demo")(review)
app.command(epilog="Example: dreamsweep gc --older-than 30d --keep 'nightly-*' --apply")(gc)
app.command(epilog="Example: dreamsweep doctor --store s3://bucket/prefix")(doctor)
app.command(epilog="Example: dreamsweep schema > prompts/sweep.schema.json")(schema)
app.add_typer(weights.app, name="weights")


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
            tell(f"dreamsweep: {told[0].lower()}{told[1:]}{' See' if told.endswith('?') else '; see'} {_command_path(error)} --help.")
        return 2
    except DreamsweepError as error:
        tell(f"dreamsweep: {error}")
        return 2
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence for the user, the traceback for whoever mends it
        tell(f"dreamsweep: something went wrong that should not have ({type(error).__name__}); the details are in {_write_log()}.")
        return 1
    return code or 0


def _command_path(error: TyperException) -> str:
    """The command that was misused: `dreamsweep run`."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "dreamsweep"


def _write_log() -> Path:
    """The current exception's traceback in a file; returns its path."""
    path = state_folder() / time.strftime("error-%Y%m%d-%H%M%S.log")
    path.write_text(f"dreamsweep {' '.join(sys.argv[1:])}\n\n{traceback.format_exc()}", encoding="utf-8")
    return path

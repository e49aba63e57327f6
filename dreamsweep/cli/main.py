"""The command `dreamsweep`: all its commands, and what becomes of mistakes."""

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from dreamsweep import __version__
from dreamsweep.cli import weights
from dreamsweep.cli.deploy import deploy
from dreamsweep.cli.doctor import doctor
from dreamsweep.cli.export import export
from dreamsweep.cli.find import find
from dreamsweep.cli.gc import gc
from dreamsweep.cli.judge import judge
from dreamsweep.cli.new import new
from dreamsweep.cli.plan import plan
from dreamsweep.cli.query import query
from dreamsweep.cli.report import report
from dreamsweep.cli.review import review
from dreamsweep.cli.run import run
from dreamsweep.cli.schedule import schedule
from dreamsweep.cli.schema import schema
from dreamsweep.cli.show import show
from dreamsweep.cli.status import status
from dreamsweep.cli.terminal import exit_code, prepare_output, say, tell, write_log
from dreamsweep.cli.up import up
from dreamsweep.cli.verify import verify
from dreamsweep.environment import bypass_proxies_on_loopback
from dreamsweep.errors import DreamsweepError, UserError


def _print_version(wanted: bool | None) -> None:
    if wanted:
        say(f"dreamsweep {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="dreamsweep",
    help="Sweeps of CLIP-guided image generation: prompts × engines × seeds in, pictures and Parquet out.",
    epilog="Start with: dreamsweep new",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog="Example: dreamsweep new hearts")(new)
app.command(epilog="Example: dreamsweep run hearts.yaml --store s3://bucket/prefix")(run)
app.command(epilog="Example: dreamsweep plan hearts.yaml")(plan)
app.command(epilog="Example: dreamsweep status hearts --store s3://bucket/prefix")(status)
app.command(epilog="Example: dreamsweep deploy hearts.yaml --pool-type docker --store s3://bucket/prefix --dry-run")(deploy)
app.command(epilog="Example: dreamsweep up hearts.yaml --store s3://bucket/prefix")(up)
app.command(epilog="Example: dreamsweep schedule hearts.yaml --cron '30 1 * * *' --install")(schedule)
app.command(epilog='Example: dreamsweep query "SELECT prompt, max(judge_best) FROM trials GROUP BY prompt"')(query)
app.command(epilog="Example: dreamsweep find 'a blue cat with a smile' --sheet cats.png")(find)
app.command(epilog="Example: dreamsweep export hearts --marks picked --by anna --as imagefolder --to hearts-picked")(export)
app.command(epilog="Example: dreamsweep judge hearts --with labels:cifar100 --with starter-guide")(judge)
app.command(epilog="Example: dreamsweep report hearts --to reports")(report)
app.command(epilog="Example: dreamsweep show hearts --to pictures")(show)
app.command(epilog="Example: dreamsweep review hearts")(review)
app.command(epilog="Example: dreamsweep gc --older-than 30d --keep 'nightly-*' --apply")(gc)
app.command(epilog="Example: dreamsweep verify hearts --store s3://bucket/prefix")(verify)
app.command(epilog="Example: dreamsweep doctor --store s3://bucket/prefix")(doctor)
app.command(epilog="Example: dreamsweep schema > sweep.schema.json")(schema)
app.add_typer(weights.app, name="weights")


@app.callback()
def version(
    shown: Annotated[
        bool | None, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, and end.")
    ] = None,
) -> None:
    """Sweeps of CLIP-guided image generation: prompts × engines × seeds in, pictures and Parquet out."""


def main() -> NoReturn:
    """Runs the command line: the console script."""
    prepare_output()
    sys.exit(exit_code(run_command(sys.argv[1:])))


def run_command(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code: 2 for what the user can fix, 1 for what failed, 130 when stopped."""
    bypass_proxies_on_loopback()
    try:
        code = app(list(arguments), prog_name="dreamsweep", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except TyperException as error:
        message = " ".join(error.format_message().split()).replace("Value error, ", "").replace(". Did", "; did").rstrip(".")
        if message:  # else its command's help was printed
            see = " See" if message.endswith("?") else "; see"
            tell(f"dreamsweep: {message[0].lower()}{message[1:]}{see} {_command_path(error)} --help.")
        return 2
    except DreamsweepError as error:
        tell("\n".join(f"dreamsweep: {line}" for line in str(error).splitlines()))
        return 2 if isinstance(error, UserError) else 1
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence for the user, the traceback for whoever mends it
        tell(f"dreamsweep: something went wrong that should not have ({type(error).__name__}); {write_log(error)}.")
        return 1
    return code or 0


def _command_path(error: TyperException) -> str:
    """Returns the command that was misused: `dreamsweep run`."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "dreamsweep"

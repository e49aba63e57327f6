"""Standard output and error in every encoding, full or closed; places as people write them; the folder of logs."""

import codecs
import errno
import io
import logging
import os
import secrets
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamsweep.environment import home, writable_folder
from dreamsweep.errors import UserError
from dreamsweep.planning.characters import visible

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from dreamsweep.store import Store


SPELLED = "dreamsweep-spelled"
"""Name of the error handler that spells what an encoding lacks."""
SPELLINGS = {
    **dict.fromkeys("–—−", "-"), **dict.fromkeys("‘’", "'"), **dict.fromkeys("“”", '"'),
    "…": "...", "×": "x", "·": ".", "→": "->", "≤": "<=", "≥": ">=", "•": "*", "\u00a0": " ",
}  # fmt: skip
"""ASCII for the characters of our own sentences; all others are escaped (`\\u65e5`), so that no two texts look the same."""
CLOSED_PIPE = 141
"""Exit code of a command whose reader has gone, as in `| head`: a shell's for the signal SIGPIPE."""


class Output(io.FileIO):
    """Standard output or error that remembers its first failed write, such as on a full disk, and drops all that follows.

    No command, library or thread has to expect an error of its own output; `exit_code` tells of it at the end.
    """

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Writes bytes; returns how many, as if all of them were written, once a write has failed."""
        if self.failure is None:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


def prepare_output() -> None:
    """Has standard output and error take every character, and outlive a full disk and a closed pipe.

    Matplotlib's warnings of a home that cannot be written are left out: its caches are in a temporary folder then.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if logging.lastResort:
        logging.lastResort.setFormatter(_Visible())
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)


class _Visible(logging.Formatter):
    """Formats warnings of the library as `tell` writes lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the message with its control characters escaped."""
        return visible(super().format(record))


def exit_code(code: int) -> int:
    """Writes what is still to be written, and returns the exit code: another than 0 where standard output took not all of it."""
    sys.stdout.flush()
    raw = _raw(sys.stdout)
    if not isinstance(raw, Output) or raw.failure is None:
        return code
    if raw.failure.errno == errno.EPIPE:
        return code or CLOSED_PIPE
    tell(f"dreamsweep: standard output cannot be written to its end ({raw.failure.strerror}); free some space, or write it elsewhere.")
    return code or 1


def _prepared(stream: Any) -> Any:
    if stream is None:  # closed, as by `>&-`
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if not isinstance(_raw(stream), io.FileIO):  # a console of Windows
        stream.reconfigure(errors=SPELLED)
        return stream
    output = Output(stream.fileno(), "wb", closefd=False)
    is_buffered = hasattr(stream.buffer, "raw")  # PYTHONUNBUFFERED is not set
    buffer: Any = io.BufferedWriter(output) if is_buffered else output
    return io.TextIOWrapper(buffer, stream.encoding, SPELLED, line_buffering=stream.line_buffering, write_through=stream.write_through)


def _raw(stream: Any) -> Any:
    """Returns the file below a stream's buffer, which may have none."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """Spells characters that an encoding lacks; bytes of a command line that were no text go out as they came in."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    if "\u2800" <= letter <= "\u28ff":  # of a spinner
        return "*", error.start + 1
    return SPELLINGS.get(letter) or letter.encode("ascii", "backslashreplace").decode(), error.start + 1


codecs.register_error(SPELLED, _spelled)


def spelled(text: str, encoding: str) -> str:
    """Returns a text as it is printed in an encoding, such as to see how wide it is."""
    return text.encode(encoding, SPELLED).decode(encoding, "surrogateescape")


def is_unicode() -> bool:
    """Returns whether standard output takes every character as it is."""
    return (sys.stdout.encoding or "utf-8").lower().startswith("utf")


def state_folder() -> Path:
    """Returns the folder of logs: `$XDG_STATE_HOME/dreamsweep`, by default `~/.local/state/dreamsweep`.

    Raises UserError where it cannot be written.
    """
    variable, folder = state_home()
    return writable_folder(variable, folder)


def state_home() -> tuple[str, Path]:
    """Returns the environment variable that says where logs are, and their folder, which may not exist. Raises UserError without a home."""
    if state := os.environ.get("XDG_STATE_HOME"):
        return "XDG_STATE_HOME", Path(state) / "dreamsweep"
    return "HOME", home() / ".local" / "state" / "dreamsweep"


def place(store: "Store", key: str) -> str:
    """Returns the place of a key in its store, as short as a person would write it."""
    from urllib.parse import unquote, urlparse

    uri = store.uri_of(key)
    if not uri.startswith("file://"):
        return uri
    path = Path(unquote(urlparse(uri).path))
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def copy_to(store: "Store", key: str, target: Path) -> Path:
    """Copies an object of a store to a file, whose folder is made; returns the file. Raises StoreError where it cannot be written."""
    from dreamsweep.errors import StoreError

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.read(key))
    except OSError as error:
        raise StoreError(f"--to {str(target.parent)!r}: {target.name} cannot be written there ({error.strerror}).") from None
    return target


def same_command() -> str:
    """Returns the command line as it was typed, to be run again."""
    import shlex

    return shlex.join([Path(sys.argv[0]).name if "dreamsweep" in Path(sys.argv[0]).name else "dreamsweep", *sys.argv[1:]])


def say(text: str) -> None:
    """Writes a line to standard output, with the control characters of prompts and other people's texts escaped."""
    sys.stdout.write(f"{visible(text)}\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """Writes a line to standard error, escaped in the same way."""
    sys.stderr.write(f"{visible(text)}\n")
    sys.stderr.flush()


def write_log(error: BaseException) -> str:
    """Writes an exception's traceback to a file; returns where its details are, as the end of a sentence.

    The file is in the folder of logs, or in that of temporary files where the first cannot be written.
    """
    name = time.strftime(f"error-%Y%m%d-%H%M%S-{secrets.token_hex(2)}.log")
    text = f"dreamsweep {' '.join(sys.argv[1:])}\n\n{''.join(traceback.format_exception(error))}"
    for folder in (state_folder, lambda: Path(tempfile.gettempdir())):
        try:
            path = folder() / name
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except (OSError, UserError):
            continue
        return f"the details are in {path}"
    return f"no log of it can be written: {' '.join(str(error).split())}"

"""Standard output in every encoding, on a full disk and into a closed pipe; the folder of logs."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.cli import main as cli
from dreamsweep.cli.terminal import SPELLED, Output, exit_code, prepare_output, spelled, state_folder, write_log
from dreamsweep.errors import UserError

ENCODINGS = ["ascii", "cp1252", "cp932", "latin-1", "cp437", "utf-8"]
REPOSITORY = str(Path(__file__).parents[3])
has_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", "a 'heart' - 512x512... -> \\xfc \\u65e5 \\U0001f525"),
        ("cp1252", "a ’heart’ – 512×512… -> ü \\u65e5 \\U0001f525"),
        ("cp932", "a ’heart’ - 512×512… → \\xfc 日 \\U0001f525"),
        ("utf-8", "a ’heart’ – 512×512… → ü 日 🔥"),
    ],
)
def test_what_an_encoding_lacks_is_spelled(encoding: str, printed: str) -> None:
    assert spelled("a ’heart’ – 512×512… → ü 日 🔥", encoding).replace("‘", "’") == printed


@given(st.text(), st.sampled_from(ENCODINGS))
def test_every_text_can_be_printed(text: str, encoding: str) -> None:
    assert encoding != "utf-8" or spelled(text, encoding) == text
    assert spelled(spelled(text, encoding), encoding) == spelled(text, encoding)


def test_bytes_of_a_command_line_go_out_as_they_came_in() -> None:
    assert "caf\udce9".encode("utf-8", SPELLED) == b"caf\xe9"
    assert "\ud800".encode("utf-8", SPELLED) == b"\\ud800"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("arguments", [("--help",), ("query", "--help"), ("schema",), ("query", "SELECT '→日'")])
def test_commands_print_in_every_encoding(
    arguments: tuple[str, ...], encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = tmp_path / "out", tmp_path / "err"
    with paths[0].open("w", encoding=encoding) as out, paths[1].open("w", encoding=encoding) as err, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        prepare_output()
        code = cli.run_command(arguments)
        assert exit_code(code) == code
    assert code == (2 if "SELECT" in arguments[-1] else 0)
    assert "".join(path.read_text(encoding=encoding) for path in paths)


@has_full_disk
@pytest.mark.parametrize("is_buffered", [True, False], ids=["buffered", "PYTHONUNBUFFERED"])
def test_a_full_disk_is_told_of_at_the_end(is_buffered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    printed, raw = io.StringIO(), io.FileIO("/dev/full", "w")
    buffer: Any = io.BufferedWriter(raw) if is_buffered else raw
    with io.TextIOWrapper(buffer, "utf-8", write_through=not is_buffered) as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        prepare_output()
        patch.setattr(sys, "stderr", printed)
        assert exit_code(cli.run_command(["schema"])) == 1
    sentence = (
        "dreamsweep: standard output cannot be written to its end (No space left on device); free some space, or write it elsewhere.\n"
    )
    assert printed.getvalue() == sentence


def test_a_reader_that_has_gone_ends_a_command_without_a_word(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", pipe)
        prepare_output()
        assert exit_code(cli.run_command(["schema"])) == 141
        assert exit_code(cli.run_command(["nothing"])) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_output_after_a_failure_is_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Output(str(tmp_path / "out"), "wb") as output:
        assert output.write(b"abc") == 3 and output.failure is None
        output.failure = OSError(errno.ENOSPC, "full")
        assert output.write(b"abcd") == 4
    assert (tmp_path / "out").read_bytes() == b"abc"


def test_a_closed_standard_output_is_no_error() -> None:
    command = f'PYTHONPATH={REPOSITORY} "{sys.executable}" -m dreamsweep schema >&-'
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("variable", ["HOME", "XDG_STATE_HOME"])
def test_a_folder_of_logs_that_cannot_be_written_names_its_variable(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    with pytest.raises(
        UserError, match=rf"^{variable}: '{tmp_path}/file/.*' cannot be written \(Not a directory at '{tmp_path}/file'\); set {variable} "
    ):
        state_folder()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert write_log(ValueError("x")).startswith(f"the details are in {tmp_path}/error-")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "file"))
    assert write_log(ValueError("all is\nlost")) == "no log of it can be written: all is lost"


def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    with pytest.raises(
        UserError, match=r"^HOME is not set, and the system knows no home of this user; set HOME to a folder that can be written\.$"
    ):
        state_folder()

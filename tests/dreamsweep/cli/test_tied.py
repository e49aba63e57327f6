"""A command that ends when its standard input closes, with all that it has started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamsweep.cli.tied import descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="adopts orphans on Linux alone")
TIED = [sys.executable, "-c", "import sys; from dreamsweep.cli.tied import main; sys.exit(main(sys.argv[1:], grace=2))"]
Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def tie() -> Iterator[Start]:
    """Starts a line of shell, tied to a pipe."""
    started: list[subprocess.Popen[bytes]] = []

    def start(line: str) -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen([*TIED, "/bin/sh", "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:
            pass


def pids(process: "subprocess.Popen[bytes]", count: int) -> list[int]:
    """Returns the process ids that a command prints, a line each."""
    assert process.stdout
    return [int(process.stdout.readline()) for _ in range(count)]


def lives(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def await_end(process: int) -> None:
    end = time.monotonic() + 300
    while lives(process) and time.monotonic() < end:
        time.sleep(0.05)
    assert not lives(process)


def test_the_command_s_end_is_its_own(tie: Start) -> None:
    assert tie("exit 7").wait(300) == 7
    assert tie("kill -9 $$").wait(300) == 137


def test_a_closed_input_ends_a_command_and_what_left_it(tie: Start) -> None:
    """A child in a session of its own, whose parent has ended, and one that does not listen."""
    process = tie("(setsid sh -c 'echo $$; exec sleep 100' &); (trap '' TERM; sh -c 'echo $$; sleep 100; sleep 100'); sleep 100")
    left = pids(process, 2)
    assert all(map(lives, left))
    assert process.stdin
    process.stdin.close()
    assert process.wait(300) == 0
    for child in left:
        await_end(child)


def test_what_the_command_started_ends_before_it(tie: Start, tmp_path: Path) -> None:
    """The child saves something first; the command, which would start another one, is halted meanwhile."""
    log = tmp_path / "log"
    script = f"trap 'sleep 0.2; echo saved >> {log}; exit' TERM; echo $$; while :; do sleep 0.02; done"
    process = tie(f'while :; do (setsid sh -c "{script.replace("$$", chr(92) + "$" + chr(92) + "$")}"); echo started again >> {log}; done')
    left = pids(process, 1)
    assert process.stdin
    process.stdin.close()
    assert process.wait(300) == 0
    assert log.read_text() == "saved\n"
    for child in left:
        await_end(child)


def test_sigterm_kills_at_once(tie: Start) -> None:
    process = tie("trap '' TERM; echo $$; sleep 100; sleep 100")
    (command,) = pids(process, 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(300) == 137
    await_end(command)


def test_the_command_does_not_outlive_what_it_is_tied_to(tie: Start) -> None:
    process = tie("echo $$; exec sleep 100")
    (command,) = pids(process, 1)
    process.kill()
    process.wait(300)
    await_end(command)


def test_a_parent_that_is_killed_takes_the_command_with_it() -> None:
    """The other end of the pipe closes by itself."""
    code = f"import subprocess; subprocess.Popen({[*TIED, '/bin/sh', '-c', 'echo $$; exec sleep 100']!r}, stdin=subprocess.PIPE).wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        (command,) = pids(parent, 1)
        parent.kill()
        await_end(command)


def test_descendants_are_children_and_theirs() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 100 & echo $!; wait"], stdout=subprocess.PIPE) as process:
        (child,) = pids(process, 1)
        assert descendants(process.pid) == [child]
        assert {process.pid, child} <= set(descendants(os.getpid()))
        os.kill(child, signal.SIGKILL)

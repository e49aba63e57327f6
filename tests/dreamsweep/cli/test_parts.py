"""Parts of `dreamsweep up`: their lines, how they start again, when they are given up."""

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dreamsweep.cli import parts
from dreamsweep.cli.parts import STARTS, Part, ended_together, watch
from dreamsweep.errors import UserError

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))


def part(line: str, *, is_ready: Callable[[], bool] = lambda: True, log: Path | None = None) -> Part:
    return Part("worker", "the worker", ("/bin/sh", "-c", line), {"WORD": "heard"}, is_ready, log)


def run(one_part: Part) -> None:
    with ended_together([one_part]):
        one_part.start()
        one_part.wait_until_ready()
        watch([one_part])


def test_a_part_that_ends_is_started_again_and_given_up_at_last(capsys: Output) -> None:
    worker = part("echo $WORD; exit 3")
    with pytest.raises(UserError, match=rf"^the worker ended {STARTS} times within 10 minutes \(exit code 3\); its last line: heard\.$"):
        run(worker)
    printed = capsys.readouterr()
    assert printed.err == "The worker ended (exit code 3); it is started again.\n" * (STARTS - 1)
    assert printed.out == "worker   heard\n" * STARTS


def test_a_part_that_cannot_start_says_why(tmp_path: Path, capsys: Output) -> None:
    log = tmp_path / "worker.log"
    sentence = rf"^the worker cannot start \(exit code 1\); its log is {log}; its last line: port taken\.$"
    with pytest.raises(UserError, match=sentence):
        run(part("echo port taken.; exit 1", is_ready=lambda: False, log=log))
    assert log.read_text() == "port taken.\n"
    assert capsys.readouterr().out == ""


def test_a_part_that_ends_while_it_is_started_again_has_ended_once_more(tmp_path: Path, capsys: Output) -> None:
    """In its second start it is not ready before it ends."""
    starts = tmp_path / "starts"
    worker = part(f"echo x >>{starts}; exit 7")
    worker.is_ready = lambda: len(worker.starts) != 2
    with pytest.raises(UserError, match=rf"^the worker ended {STARTS} times within 10 minutes \(exit code 7\)\.$"):
        run(worker)
    assert starts.read_text() == "x\n" * STARTS
    assert capsys.readouterr().err == "The worker ended (exit code 7); it is started again.\n" * (STARTS - 1)


def test_a_part_that_is_never_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 100)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with pytest.raises(UserError, match=r"^the worker did not start within 240 s\.$"):
        run(part("cat", is_ready=lambda: False))


def test_all_parts_end_and_the_first_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends when its input closes; the others may need the first until then."""
    ends: list[str] = []
    first, second, third = (Part(name, f"the {name}", ("/bin/sh", "-c", "read line"), {}) for name in ("server", "worker", "review"))
    end_parts = parts._end

    def end(several: Sequence[Part]) -> None:
        ends.extend(part.name for part in several)
        end_parts(several)

    monkeypatch.setattr(parts, "_end", end)
    with ended_together([first, second, third]):
        for each in (first, second, third):
            each.start()
    assert ends == ["worker", "review", "server"]
    assert None not in {first.end_code(), second.end_code(), third.end_code()}

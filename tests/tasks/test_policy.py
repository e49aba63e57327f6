"""The retry policy of tasks, fed with the errors that reach it: those that stores raise for what disks and servers answer."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Failed

from dreamsweep.errors import DownloadError
from dreamsweep.store import open_store
from dreamsweep.tasks.generate import generate_shard
from dreamsweep.tasks.policy import RETRIES, worth_retrying
from tests.conftest import free_socket


def is_retried(failure: Exception) -> bool:
    run: Any = SimpleNamespace(run_count=1)
    return worth_retrying(generate_shard, run, Failed(data=failure))


def failure_of_folder(folder: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> Exception:
    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Exception) as caught:
        open_store(str(folder)).write("k", b"")
    return caught.value


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.ECONNRESET, errno.ENOTCONN])
def test_a_disk_that_may_come_back_is_retried(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_retried(failure_of_folder(tmp_path, number, monkeypatch))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_what_the_user_has_to_fix_is_not_retried(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_retried(failure_of_folder(tmp_path, number, monkeypatch))


def test_a_server_that_does_not_answer_is_retried(aws_settings: pytest.MonkeyPatch) -> None:
    with free_socket() as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}.items():
        aws_settings.setenv(f"AWS_{name}", value)
    with pytest.raises(Exception) as caught:
        open_store("s3://bucket").read("k")
    assert is_retried(caught.value)


def test_a_missing_object_and_mistakes_of_ours_are_not_retried(tmp_path: Path) -> None:
    with pytest.raises(Exception) as caught:
        open_store(str(tmp_path)).read("k")
    assert not is_retried(caught.value)
    assert not is_retried(ValueError("ours"))
    assert is_retried(DownloadError("cut"))


def test_retries_outlast_ten_minutes() -> None:
    waits = generate_shard.retry_delay_seconds
    assert isinstance(waits, list) and len(waits) == RETRIES == generate_shard.retries
    assert sum(waits) > 600 and waits == sorted(waits)

"""A local store: nothing half-written, and what it says when the folder cannot be used."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.store import open_store
from dreamsweep.store.local import PARTIAL, LocalStore

WRITES_FOR_EVER = """
import sys
from pathlib import Path
from dreamsweep.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
while True:
    for letter in (b"a", b"b"):
        store.write("sweep/object", letter * 3_000_000)
"""
MAY_BE_WRITTEN = """
import os, sys
from pathlib import Path
from dreamsweep.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
if os.geteuid() == 0:
    os.setuid(65534)
store.check()
"""


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EDQUOT])
def test_a_write_that_fails_leaves_the_old_object_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int) -> None:
    store = open_store(str(tmp_path))
    store.write("k", b"old")

    def full(_: int) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="its disk is full; free some space and run the same command again"):
        store.write("k", b"new")
    assert store.read("k") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["k"]


def test_a_disk_with_hardly_any_room_is_told_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 1))
    with pytest.raises(StoreError, match="its disk is full"):
        open_store(str(tmp_path)).check()


def test_a_reader_sees_whole_objects_only_and_a_kill_leaves_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    writer = subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path)])
    seen = set[bytes]()
    try:
        until = time.monotonic() + 300
        while len(seen) < 2 and time.monotonic() < until:
            if store.exists("sweep/object"):
                content = store.read("sweep/object")
                assert len(content) == 3_000_000
                seen.add(content[:1])
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert seen == {b"a", b"b"}
    assert store.read("sweep/object") in (b"a" * 3_000_000, b"b" * 3_000_000)
    (tmp_path / "sweep" / f"{PARTIAL}left-behind").write_bytes(b"half")
    assert list(store.keys("")) == ["sweep/object"]


def test_what_a_kill_leaves_is_found_and_can_be_removed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.replace("a/b", b"whole", None)
    (tmp_path / "a" / f"{PARTIAL}0123").write_bytes(b"half")
    (left,) = store.unfinished()
    assert (left.name, left.size) == (f"a/{PARTIAL}0123", 4)
    left.remove()
    assert list(store.unfinished()) == []
    assert store.read("a/b") == b"whole"


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for folder in ("runs", "runs/deeper"):
        store = open_store(str(tmp_path / folder))
        with pytest.raises(StoreError, match="/runs' is a file where a folder should be; move it away"):
            store.check()
        with pytest.raises(StoreError, match="/runs' is a file where a folder should be"):
            store.write("k/l", b"")
        with pytest.raises(StoreError, match="/runs' is a file where a folder should be"):
            list(store.keys(""))


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "sweep/manifest.json").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"manifest\.json' is a folder where a file should be"):
        open_store(str(tmp_path)).write("sweep/manifest.json", b"")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_may_not_be_written(open_folder: Path) -> None:
    (open_folder / "runs").mkdir(mode=0o555)
    answer = subprocess.run([sys.executable, "-c", MAY_BE_WRITTEN, str(open_folder / "runs")], capture_output=True, text=True)
    last = answer.stderr.strip().splitlines()[-1]
    assert "StoreError" in last
    assert f"permission denied at '{open_folder}/runs'; change its rights, or name another store with --store." in last


def test_a_disk_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(StoreError, match="lies on a disk that can only be read"):
        open_store(str(tmp_path / "runs")).check()


def test_files_take_the_rights_that_the_user_s_mask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        open_store(str(tmp_path)).write("k", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o640


def test_boto3_is_imported_for_s3_only() -> None:
    code = "import sys; from dreamsweep.store import open_store; open_store('runs').uri_of('k'); print('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

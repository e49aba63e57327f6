"""The sweep file that a run leaves behind, whole and damaged."""

from pathlib import Path

import pytest

from dreamsweep.results.stored_sweep import stored_words
from dreamsweep.store.local import LocalStore


@pytest.mark.parametrize("data", [None, b"", b"# nothing"])
def test_without_words(data: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = LocalStore(tmp_path)
    if data is not None:
        store.write("demo/sweep.yaml", data)
    assert stored_words(store, "demo") == {} and not caplog.records


@pytest.mark.parametrize("data", [b"\x00\xffgarbage", b"name: {", b"name", b"[1, 2]", b"0", b"[" * 10_000])
def test_a_damaged_file_is_named_and_says_nothing(data: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = LocalStore(tmp_path)
    store.write("demo/sweep.yaml", data)
    assert stored_words(store, "demo") == {}
    assert "demo/sweep.yaml cannot be read as a sweep file" in caplog.text


def test_words(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("demo/sweep.yaml", b"name: demo\nshard_size: 4\n")
    assert stored_words(store, "demo") == {"name": "demo", "shard_size": 4}

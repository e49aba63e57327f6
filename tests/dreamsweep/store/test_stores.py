"""What both stores keep to, and what each says when it cannot be used."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamsweep.errors import StoreError
from dreamsweep.store import Store, open_store
from dreamsweep.store.local import LocalStore

KEYS = st.lists(st.text("abc019._-", min_size=1, max_size=8).filter(lambda s: s.strip(".")), min_size=1, max_size=4).map("/".join)


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "local":
        yield open_store(str(tmp_path / "runs"))
    else:
        yield open_store(f"s3://{request.getfixturevalue('s3_bucket')}/some/prefix")


def test_objects_come_back_and_go(store: Store, tmp_path: Path) -> None:
    store.check()
    store.write("a/b.bin", b"one")
    store.write("a/b.bin", b"two")
    (tmp_path / "file").write_bytes(b"three" * 100_000)
    store.write_file("a/c.bin", tmp_path / "file")
    store.write("ab/d.bin", b"")
    assert store.read("a/b.bin") == b"two"
    store.read_file("a/c.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"three" * 100_000
    assert list(store.keys("a/")) == ["a/b.bin", "a/c.bin"]
    assert list(store.keys("")) == ["a/b.bin", "a/c.bin", "ab/d.bin"]
    assert list(store.folders()) == ["a", "ab"]
    assert store.exists("a/b.bin") and not store.exists("a/x.bin")
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    assert not store.exists("a/b.bin")
    with pytest.raises(StoreError, match=r"holds no 'a/b\.bin'"):
        store.read("a/b.bin")


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert list(store.keys("")) == list(store.folders()) == []


def test_more_keys_than_a_page(s3_bucket: str) -> None:
    store = open_store(f"s3://{s3_bucket}")
    for number in range(1005):
        store.write(f"k/{number:04d}", b"")
    assert len(list(store.keys("k/"))) == 1005


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS)
def test_a_key_s_address_is_a_uri_that_leads_back(tmp_path: Path, key: str) -> None:
    store = open_store((tmp_path / "a folder with ünusual #signs").as_uri())
    assert isinstance(store, LocalStore)
    store.write(key, b"x")
    uri = store.uri_of(key)
    parent, _, name = uri.rpartition("/")
    assert open_store(parent).read(name) == b"x"
    store.delete(key)
    for folder in sorted(store.folder.rglob("*"), reverse=True):
        folder.rmdir()


def test_a_write_that_fails_leaves_the_old_object_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path))
    store.write("k", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="its disk is full; free some space"):
        store.write("k", b"new")
    assert store.read("k") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["k"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(StoreError, match="runs' is a file where a folder should be; move it away"):
        open_store(str(tmp_path / "runs")).check()


@pytest.mark.parametrize(("uri", "told"), [("gs://bucket", "no store speaks 'gs'"), ("s3://", "names no bucket"), ("http://x/y", "no store speaks 'http'")])
def test_what_is_no_store(uri: str, told: str) -> None:
    with pytest.raises(StoreError, match=told):
        open_store(uri)


def test_a_missing_bucket(s3_bucket: str) -> None:
    with pytest.raises(StoreError, match="there is no bucket 'no-such-bucket'"):
        open_store("s3://no-such-bucket/p").check()


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-must-not-be-told")
    with pytest.raises(StoreError, match="does not answer") as caught:
        open_store("s3://bucket").check()
    assert "a-secret" not in str(caught.value)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="no S3 credentials were found"):
        open_store("s3://bucket").check()


def test_wrong_credentials(strict_s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", strict_s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-must-not-be-told")
    with pytest.raises(StoreError, match="access denied") as caught:
        open_store("s3://bucket").check()
    assert "a-secret" not in str(caught.value)

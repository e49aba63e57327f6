"""What all stores keep to: a folder, three S3 servers, of which s3rver ignores conditional writes, and one that someone wants to try."""

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamsweep.errors import StoreError
from dreamsweep.store import Store, open_store
from dreamsweep.store.local import LocalStore
from tests.dreamsweep.sample_rows import sample_trial, stage_sample_rows

PARTS = st.text("abc019._-", min_size=1, max_size=8).filter(lambda s: s not in (".", ".."))
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
FOLDERS = st.text(st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda s: s not in (".", "..") and not s.startswith("~")
)
EACH = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["local", "s3", "s3rver", "radosgw", "own"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "local":
        yield open_store(str(tmp_path / "runs"))
    else:
        yield open_store(f"s3://{request.getfixturevalue(f'{request.param}_bucket')}/some/prefix")


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
    assert list(store.keys("a/b")) == ["a/b.bin"]
    assert list(store.keys("")) == ["a/b.bin", "a/c.bin", "ab/d.bin"]
    assert list(store.folders()) == ["a", "ab"]
    assert [store.exists(key) for key in ("a/b.bin", "a/x.bin", "a")] == [True, False, False]
    assert [store.get(key) for key in ("a/b.bin", "ab/d.bin", "a/x.bin", "a", "a/b.bin/c")] == [b"two", b"", None, None, None]
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    store.delete("never/there")
    assert not store.exists("a/b.bin")
    store.delete("ab/d.bin")
    assert list(store.folders()) == ["a"]


def test_only_the_version_that_was_seen_is_replaced(store: Store) -> None:
    assert store.version("a/b") is None
    assert not store.replace("a/b", b"too late", "another version")
    assert not store.exists("a/b")
    assert store.replace("a/b", b"one", None)
    assert not store.replace("a/b", b"two", None)
    first = store.version("a/b")
    assert store.replace("a/b", b"three", first)
    assert not store.replace("a/b", b"four", first)
    assert store.read("a/b") == b"three"
    assert list(store.keys("")) == ["a/b"]


def test_of_many_who_replace_one_version_one_does(store: Store) -> None:
    store.write("m", b"old")
    seen = store.version("m")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.replace("m", f"new {number}".encode(), seen), range(8)))
    assert won.count(True) == 1
    assert store.read("m") == f"new {won.index(True)}".encode()


def test_a_listing_tells_sizes_and_times(store: Store) -> None:
    before = time.time() - 2
    store.write("a/b", b"four")
    store.write("c", b"")
    entries = list(store.entries(""))
    assert [(entry.key, entry.size) for entry in entries] == [("a/b", 4), ("c", 0)]
    assert all(before < entry.modified < time.time() + 2 for entry in entries)


def test_a_missing_object_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"holds no 'a/b\.bin'; run the sweep first"):
        store.read("a/b.bin")
    with pytest.raises(StoreError, match=r"holds no 'a/b\.bin'"):
        store.read_file("a/b.bin", tmp_path / "back")


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert list(store.keys("")) == list(store.keys("demo/staging/")) == list(store.folders()) == []


@pytest.mark.parametrize("key", ["", "/etc/x", "a/../../x", "a//b", "./a", "a/", "a\0"])
def test_what_is_no_key(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        store.write(key, b"")


@EACH
@given(folder=FOLDERS, key=KEYS)
def test_a_local_key_s_address_leads_back(tmp_path: Path, folder: str, key: str) -> None:
    store = open_store((tmp_path / folder).as_uri())
    assert isinstance(store, LocalStore)
    assert store.folder == tmp_path / folder
    assert open_store(str(tmp_path / folder)).uri == store.uri == open_store(store.uri).uri
    store.write(key, b"x")
    parent, _, name = store.uri_of(key).rpartition("/")
    assert open_store(parent).read(name) == b"x"
    assert list(store.keys("")) == [key]
    store.delete(key)
    assert list(store.folder.iterdir()) == []


@settings(EACH, max_examples=8)
@given(prefix=st.lists(PARTS, max_size=3).map("/".join), key=KEYS)
def test_an_s3_key_s_address_leads_back(aws_settings: pytest.MonkeyPatch, prefix: str, key: str) -> None:
    store = open_store(f"s3://bucket/{prefix}")
    assert open_store(store.uri).uri == store.uri
    assert store.uri_of(key) == f"{store.uri}/{key}"


@EACH
@given(prompt=st.text(min_size=1, max_size=40).filter(lambda s: s.strip()))
def test_keys_never_hold_prompts(tmp_path_factory: pytest.TempPathFactory, prompt: str) -> None:
    store, trial = open_store(str(tmp_path_factory.mktemp("runs"))), sample_trial(prompt)
    stage_sample_rows(store, "demo", "0123456789abcdef", [trial])
    assert [key.replace("0123456789abcdef", "*") for key in store.keys("")] == [
        f"demo/staging/*/{name}" for name in ("embeddings.parquet", "files.parquet", "manifest.json", "scores.parquet", "trials.parquet")
    ]
    rows = io.BytesIO(store.read("demo/staging/0123456789abcdef/trials.parquet"))
    import pyarrow.parquet as pq

    (row,) = pq.read_table(rows, columns=["prompt", "final_uri"]).to_pylist()
    assert row == {"prompt": trial.prompt.text, "final_uri": f"pictures/{trial.id}/final.png"}


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("gs://bucket", "no store speaks 'gs'"),
        ("http://user:secret@x/y", "store 'http://x/y': no store speaks 'http'"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3:/bucket/prefix", "write s3://bucket/prefix"),
        ("s3://Some_Bucket/x", "'Some_Bucket' cannot be a bucket's name"),
        ("s3://key:secret@bucket/x", "store 's3://bucket/x' holds a login; leave it out"),
        ("s3://bucket/a//b", "its prefix has an empty part"),
        ("file://host/folder", "is no local folder"),
        ("", "store '' names nothing"),
    ],
)
def test_what_is_no_store(uri: str, sentence: str) -> None:
    with pytest.raises(StoreError, match=sentence) as caught:
        open_store(uri)
    assert "secret" not in str(caught.value)


def test_a_plain_path_may_look_odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for odd in ("a:b", "100%", "what?#", "with space"):
        store = open_store(odd)
        store.write("k", b"x")
        assert (tmp_path / odd / "k").read_bytes() == b"x"
    assert open_store("~/runs").uri == (tmp_path / "runs").as_uri()

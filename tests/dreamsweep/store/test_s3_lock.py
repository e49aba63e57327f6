"""Writers of one object on a server without conditional writes: moto's, behind a proxy that keeps the conditions from it."""

import logging
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from dreamsweep.errors import StoreError
from dreamsweep.results.cleanup import garbage
from dreamsweep.store import Entry, open_store, s3_lock
from dreamsweep.store.s3 import S3Store
from dreamsweep.store.s3_lock import ObjectLock
from tests.s3_faults import CONDITIONS, FaultProxy, fault_proxy

LEASE = "d/manifest.json.lease-"


@pytest.fixture
def proxy(s3_bucket: str, aws_settings: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(os.environ["AWS_ENDPOINT_URL"]) as (address, proxy):
        proxy.ignored = CONDITIONS
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        aws_settings.setenv("DREAMSWEEP_STORE_SECONDS", "100")
        aws_settings.setattr("dreamsweep.retry.FIRST_PAUSE", 0.0)
        yield proxy


@pytest.fixture
def store(proxy: FaultProxy, s3_bucket: str) -> S3Store:
    store = open_store(f"s3://{s3_bucket}/p")
    assert isinstance(store, S3Store) and store.conditional_writes() == "ignored"
    return store


def replace(store: S3Store, seen: str | None, data: bytes) -> bool:
    """Replaces the manifest as a process of its own would."""
    return ObjectLock(secrets.token_hex(8)).replace(store, "d/manifest.json", seen, lambda: store.write("d/manifest.json", data))


def test_of_many_who_replace_one_version_one_does_however_late_its_write_comes(store: S3Store, proxy: FaultProxy) -> None:
    seen, rounds = None, 2
    proxy.choose = lambda method, path: "delayed" if method == "PUT" and path.endswith("manifest.json") else None
    for number in range(rounds):
        texts = [f"{number} {writer}".encode() for writer in range(3)]
        with ThreadPoolExecutor(3) as pool:
            won = list(pool.map(partial(replace, store, seen), texts))
        assert won.count(True) == 1 and store.read("d/manifest.json") == texts[won.index(True)]
        seen = store.version("d/manifest.json")
    assert proxy.met["delayed"] == rounds, "no write was overwritten"
    assert list(store.keys("")) == ["d/manifest.json"]


def test_a_writer_waits_for_another_s_lease_and_says_so(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(s3_lock, "SAID_AFTER", 0.0)
    store.write(f"{LEASE}other", b"")
    pauses: list[float] = []

    def other_ends(pause: float) -> None:
        pauses.append(pause)
        store.delete(f"{LEASE}other")

    monkeypatch.setattr("dreamsweep.store.s3_lock.time.sleep", other_ends)
    with caplog.at_level(logging.WARNING, "dreamsweep.progress"):
        assert store.replace("d/manifest.json", b"new", None)
    assert len(pauses) == 1 and caplog.messages == [
        "Another run publishes d/manifest.json, or was killed while it did. Waiting up to 120 s for it."
    ]


def test_the_lease_of_a_killed_writer_expires_by_the_server_s_clock(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(f"{LEASE}killed", b"")

    def expire(pause: float) -> None:
        monkeypatch.setattr(s3_lock, "LEASE_SECONDS", -1.0)

    monkeypatch.setattr("dreamsweep.store.s3_lock.time.sleep", expire)
    assert store.replace("d/manifest.json", b"new", None)
    assert s3_lock.LEASE_SECONDS < 0 and list(store.keys("")) == ["d/manifest.json"]


def test_a_writer_whose_lease_is_old_or_gone_asks_for_a_new_one(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, leases = s3_lock._is_alone, list[str]()

    def slowly(store: S3Store, key: str, mine: str) -> bool:
        answer = alone(store, key, mine)
        leases.append(mine)
        if len(leases) == 1:
            store.delete(mine)  # another writer took it for that of a killed process
        monkeypatch.setattr(s3_lock, "WRITE_SECONDS", -1.0 if len(leases) == 2 else 60.0)
        return answer

    monkeypatch.setattr(s3_lock, "_is_alone", slowly)
    assert store.replace("d/manifest.json", b"new", None)
    assert len(leases) == 3 and list(store.keys("")) == ["d/manifest.json"]


def test_a_write_of_unknown_outcome_keeps_the_lease_for_others(store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    is_manifest = "/p/d/manifest.json"
    proxy.choose = lambda method, path: "lost" if method == "PUT" and path.endswith(is_manifest) else None
    assert not store.replace("d/manifest.json", b"new", None), "the next attempt finds its own write"
    proxy.choose = lambda method, path: None
    assert store.replace("d/manifest.json", b"newer", store.version("d/manifest.json")), "the same process does not wait"
    assert len(list(store.keys(LEASE))) == 1

    def expire(pause: float) -> None:
        monkeypatch.setattr(s3_lock, "LEASE_SECONDS", -1.0)

    monkeypatch.setattr("dreamsweep.store.s3_lock.time.sleep", expire)
    assert replace(store, store.version("d/manifest.json"), b"newest")
    assert s3_lock.LEASE_SECONDS < 0 and list(store.keys("")) == ["d/manifest.json"]


def test_a_server_whose_listing_lags_is_refused(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Entry] = []
    monkeypatch.setattr(S3Store, "entries", lambda self, prefix: iter(listed))
    with pytest.raises(StoreError, match="its listing lacks an object that was just written"):
        store.replace("d/manifest.json", b"new", None)
    assert store.get("d/manifest.json") is None


def test_leases_of_finished_writes_are_removed_by_gc(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write(f"{LEASE}killed", b"")
    assert [entry.key for entry in garbage(store, 0.0)] == []
    assert [entry.key for entry in garbage(store, float("inf"))] == [f"{LEASE}killed"]

"""What an S3 store does while its server is away, answers nonsense, or lacks a part of S3."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamsweep.cli import main as cli
from dreamsweep.errors import DamagedError, StoreUnavailableError
from dreamsweep.results.cleanup import garbage
from dreamsweep.store import open_store
from dreamsweep.store.s3 import S3Store
from tests.dreamsweep.store.test_s3 import every_operation
from tests.s3_faults import Fault, FaultProxy, fault_proxy


@pytest.fixture
def proxy(s3_bucket: str, aws_settings: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy in front of the open server, to which the environment points from now on; a request waits for 100 s, of which none pass."""
    with fault_proxy(os.environ["AWS_ENDPOINT_URL"]) as (address, proxy):
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        aws_settings.setenv("DREAMSWEEP_STORE_SECONDS", "100")
        aws_settings.setattr("dreamsweep.store.s3._PATIENT", {"retries": {"mode": "standard", "total_max_attempts": 1}})
        aws_settings.setattr("dreamsweep.retry.FIRST_PAUSE", 0.0)
        yield proxy


@pytest.fixture
def store(proxy: FaultProxy, s3_bucket: str) -> S3Store:
    """A store behind the proxy that has answered before."""
    store = open_store(f"s3://{s3_bucket}/p")
    assert isinstance(store, S3Store)
    store.write("a", b"whole" * 100)
    store.write("b/c", b"")
    assert store.conditional_writes() == "kept"
    return store


@pytest.mark.parametrize("fault", ["busy", "reset", "lost"])
def test_every_operation_waits_for_the_end_of_an_outage(store: S3Store, proxy: FaultProxy, tmp_path: Path, fault: Fault) -> None:
    (tmp_path / "file").write_bytes(b"x")
    store.write("k", b"before")
    for operation in every_operation(store, tmp_path / "file"):
        proxy.fail([fault] * 5)
        before = proxy.met[fault]
        operation()
        assert proxy.met[fault] == before + 5


def test_an_outage_longer_than_the_deadline_is_an_error(
    proxy: FaultProxy, s3_bucket: str, aws_settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    store = open_store(f"s3://{s3_bucket}/p", patience=0)
    assert isinstance(store, S3Store) and store.get("k") is None
    proxy.choose = lambda method, path: "away"
    for operation in every_operation(store, tmp_path / "file"):
        with pytest.raises(StoreUnavailableError):
            operation()


@pytest.mark.parametrize("fault", ["truncated", "flipped"])
def test_an_answer_that_came_damaged_is_asked_for_again(store: S3Store, proxy: FaultProxy, tmp_path: Path, fault: Fault) -> None:
    for faults in (1, 2):
        proxy.fail([fault] * faults, "GET")
        assert store.read("a") == b"whole" * 100
        proxy.fail([fault] * faults, "GET")
        store.read_file("a", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == b"whole" * 100
    assert proxy.met[fault] == 6


def test_an_object_that_is_damaged_each_time_is_named(store: S3Store, proxy: FaultProxy, tmp_path: Path) -> None:
    proxy.choose = lambda method, path: "flipped" if method == "GET" else None
    reads: list[Callable[[], object]] = [lambda: store.read("a"), lambda: store.get("a"), lambda: store.read_file("a", tmp_path / "file")]
    for read in reads:
        with pytest.raises(DamagedError, match="'a' came with another checksum than it was stored with, each time"):
            read()


def test_a_listing_that_an_outage_cuts_goes_on_where_it_was(store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.store.s3.PAGE", 2)
    for number in range(7):
        store.write(f"list/{number}", b"")
    faults: list[Fault | None] = [None, "reset", "busy", None, "lost", None, None, None, None]
    proxy.choose = lambda method, path: faults.pop(0)
    assert list(store.keys("list/")) == [f"list/{number}" for number in range(7)]
    proxy.choose = lambda method, path: None
    assert list(store.folders()) == ["b", "list"]


def test_one_line_says_an_outage_and_one_its_end(store: S3Store, proxy: FaultProxy, caplog: pytest.LogCaptureFixture) -> None:
    clock = iter(range(0, 1000, 2))
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING, "dreamsweep.progress"):
        patch.setattr("dreamsweep.retry.time.monotonic", lambda: next(clock))
        proxy.fail(["away"] * 8)
        store.read("a")
    first, last = caplog.messages
    assert "does not answer" in first and first.endswith("Waiting up to 1 min 40 s for it.") and last == "The store answers again."


def test_a_server_that_ignores_conditions_is_noticed_and_versions_are_compared(s3_bucket: str, aws_settings: pytest.MonkeyPatch) -> None:
    store = open_store(f"s3://{s3_bucket}/p")
    assert isinstance(store, S3Store)
    aws_settings.setattr(S3Store, "_put", without_conditions)
    assert store.conditional_writes() == "ignored"
    assert store.replace("m", b"one", None) and not store.replace("m", b"two", None)
    before = store.version("m")
    assert store.replace("m", b"two", before) and not store.replace("m", b"three", before)
    assert store.read("m") == b"two" and list(store.keys("")) == ["m"]


def without_conditions(self: S3Store, key: str, data: bytes, content_type: str, **condition: str) -> str:
    etag: str = self.client.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, ContentType=content_type)["ETag"]
    return etag


def test_a_server_without_a_list_of_uploads_is_cleaned_up_all_the_same(
    s3_bucket: str, aws_settings: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.dreamsweep.store.test_s3 import changed_answers

    def refuse(request: object, answer: object) -> tuple[int, bytes]:
        if "uploads" in getattr(request, "path"):  # noqa: B009 - of any handler
            return 501, b"<Error><Code>NotImplemented</Code></Error>"
        return getattr(answer, "status_code"), getattr(answer, "content")  # noqa: B009

    with changed_answers(os.environ["AWS_ENDPOINT_URL"], refuse) as address:
        aws_settings.setenv("AWS_ENDPOINT_URL", address)
        store = open_store(f"s3://{s3_bucket}/p")
        store.write("demo/pictures/t/final.png", b"of a trial that is in no table")
        assert [entry.kind for entry in garbage(store, float("inf"), alive_since=0.0)] == ["pictures"]
    assert "does not support this request" in caplog.text


@pytest.mark.parametrize(
    ("does", "says"), [("kept", "two runs of one sweep at a time are safe"), ("ignored", "publish in turn, by leases beside its manifest")]
)
def test_doctor_says_what_follows_from_a_server_s_conditions(
    does: str, says: str, s3_bucket: str, aws_settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if does == "ignored":
        aws_settings.setattr(S3Store, "_put", without_conditions)
    assert cli.run_command(["doctor", "--store", f"s3://{s3_bucket}/p"]) == 0
    assert says in " ".join(capsys.readouterr().out.split())

"""Downloads that are interrupted, refused, changed and mirrored."""

from pathlib import Path

import pytest

from dreamsweep.errors import WeightsError
from dreamsweep.weights.download import AccessDeniedError, PermanentDownloadError, TemporaryDownloadError, download, mirrored
from tests.dreamsweep.weights.fake_hub import Hub

BODY = bytes(range(256)) * 400
PATH = "/a/file.bin"


def fetch(hub: Hub, folder: Path, hash_is_known: bool = True) -> tuple[bool, list[tuple[int, int | None]]]:
    reports: list[tuple[int, int | None]] = []
    resumed = download(hub.address + PATH, folder / "file.partial", lambda done, total: reports.append((done, total)), hash_is_known)
    assert (folder / "file.partial").read_bytes() == hub.files[PATH]
    assert not (folder / "file.partial.validator").exists()
    return resumed, reports


def test_a_whole_file_and_its_progress(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH] = BODY
    resumed, reports = fetch(hub, tmp_path)
    assert not resumed and reports[-1] == (len(BODY), len(BODY)) and reports == sorted(reports)


def test_a_cut_connection_is_resumed_where_it_was_cut(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.cuts[PATH] = BODY, [40_000, 20_000]
    resumed, _ = fetch(hub, tmp_path, hash_is_known=False)
    assert resumed and hub.log == [f"GET {PATH}", f"GET {PATH} bytes=40000-", f"GET {PATH} bytes=60000-"]


def test_a_later_process_resumes_the_partial_file(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH] = BODY
    (tmp_path / "file.partial").write_bytes(BODY[:1000])
    assert fetch(hub, tmp_path)[0] and hub.log == [f"GET {PATH} bytes=1000-"]


def test_without_a_hash_or_a_validator_it_starts_over(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.etags = BODY, False
    (tmp_path / "file.partial").write_bytes(b"of another version")
    assert not fetch(hub, tmp_path, hash_is_known=False)[0] and hub.log == [f"GET {PATH}"]


def test_a_file_that_changed_meanwhile_starts_over(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.cuts[PATH] = BODY, [40_000]
    (tmp_path / "file.partial").write_bytes(b"x" * 100)
    (tmp_path / "file.partial.validator").write_text('"an older one"')
    assert not hub.log and fetch(hub, tmp_path, hash_is_known=False)[0]
    assert hub.log == [f"GET {PATH} bytes=100-", f"GET {PATH} bytes=40000-"]


def test_a_server_without_ranges(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.ranges = BODY, False
    (tmp_path / "file.partial").write_bytes(b"x" * 100)
    assert not fetch(hub, tmp_path)[0]


def test_a_partial_file_that_is_complete_or_too_long(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH] = BODY
    (tmp_path / "file.partial").write_bytes(BODY)
    assert fetch(hub, tmp_path)[0]
    (tmp_path / "file.partial").write_bytes(BODY + b"more")
    assert not fetch(hub, tmp_path)[0]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_fails_is_tried_four_times(status: int, hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.refusals[PATH] = BODY, [status] * 3
    fetch(hub, tmp_path)
    assert len(hub.log) == 4
    hub.refusals[PATH] = [status] * 9
    with pytest.raises(TemporaryDownloadError, match=f"the server answered {status} "):
        fetch(hub, tmp_path)
    assert len(hub.log) == 8


@pytest.mark.parametrize(("status", "kind"), [(404, PermanentDownloadError), (401, AccessDeniedError), (403, AccessDeniedError)])
def test_a_refusal_is_not_retried(status: int, kind: type[PermanentDownloadError], hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.refusals[PATH] = BODY, [status]
    with pytest.raises(kind, match=f"the server answered {status} ") as caught:
        fetch(hub, tmp_path)
    assert caught.type is kind and len(hub.log) == 1


def test_a_connection_that_is_always_cut_before_any_data_is_abandoned(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.cuts[PATH] = BODY, [0] * 9
    with pytest.raises(TemporaryDownloadError, match="complete message body"):
        fetch(hub, tmp_path)
    assert len(hub.log) == 4


def test_progress_between_cuts_starts_the_count_of_retries_again(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.cuts[PATH] = BODY, [0, 0, 0, 100, 0, 0, 100, 0, 0]
    assert fetch(hub, tmp_path)[0] and len(hub.log) == 10


def test_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://hub.invalid/a/b.bin?c=d"
    monkeypatch.delenv("DREAMSWEEP_WEIGHTS_MIRROR", raising=False)
    assert mirrored(url) == url
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS_MIRROR", "http://mirror.invalid:8080/weights/")
    assert mirrored(url) == "http://mirror.invalid:8080/weights/a/b.bin?c=d"
    for wrong in ("mirror.invalid", "ftp://mirror.invalid", "https://"):
        monkeypatch.setenv("DREAMSWEEP_WEIGHTS_MIRROR", wrong)
        with pytest.raises(WeightsError, match="DREAMSWEEP_WEIGHTS_MIRROR="):
            mirrored(url)

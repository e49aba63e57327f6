"""Downloads that are cut, refused, changed and moved."""

from pathlib import Path

import pytest

from dreamsweep.errors import WeightsError
from dreamsweep.weights.download import download, mirrored
from tests.dreamsweep.weights.made_hub import Hub

BODY = bytes(range(256)) * 400
PATH = "/a/file.bin"


def fetch(hub: Hub, folder: Path, hash_is_known: bool = True) -> tuple[bool, list[tuple[int, int | None]]]:
    told: list[tuple[int, int | None]] = []
    resumed = download(hub.address + PATH, folder / "file.partial", lambda done, total: told.append((done, total)), hash_is_known)
    assert (folder / "file.partial").read_bytes() == hub.files[PATH]
    assert not (folder / "file.partial.same-as").exists()
    return resumed, told


def test_a_whole_file_and_its_progress(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH] = BODY
    resumed, told = fetch(hub, tmp_path)
    assert not resumed and told[-1] == (len(BODY), len(BODY)) and told == sorted(told)


def test_a_cut_connection_is_taken_up_where_it_was_cut(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.cuts[PATH] = BODY, [40_000, 20_000]
    resumed, _ = fetch(hub, tmp_path, hash_is_known=False)
    assert resumed and hub.log == [f"GET {PATH}", f"GET {PATH} bytes=40000-", f"GET {PATH} bytes=60000-"]


def test_a_later_process_goes_on_from_what_is_there(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH] = BODY
    (tmp_path / "file.partial").write_bytes(BODY[:1000])
    assert fetch(hub, tmp_path)[0] and hub.log == [f"GET {PATH} bytes=1000-"]


def test_without_a_hash_or_a_voucher_it_starts_afresh(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.etags = BODY, False
    (tmp_path / "file.partial").write_bytes(b"of another version")
    assert not fetch(hub, tmp_path, hash_is_known=False)[0] and hub.log == [f"GET {PATH}"]


def test_a_file_that_changed_meanwhile_starts_afresh(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.cuts[PATH] = BODY, [40_000]
    (tmp_path / "file.partial").write_bytes(b"x" * 100)
    (tmp_path / "file.partial.same-as").write_text('"an older one"')
    assert not hub.log and fetch(hub, tmp_path, hash_is_known=False)[0]
    assert hub.log == [f"GET {PATH} bytes=100-", f"GET {PATH} bytes=40000-"]


def test_a_server_that_knows_no_ranges(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.ranges = BODY, False
    (tmp_path / "file.partial").write_bytes(b"x" * 100)
    assert not fetch(hub, tmp_path)[0]


def test_whole_already_or_too_long(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH] = BODY
    (tmp_path / "file.partial").write_bytes(BODY)
    assert fetch(hub, tmp_path)[0]
    (tmp_path / "file.partial").write_bytes(BODY + b"more")
    assert not fetch(hub, tmp_path)[0]


def test_a_server_that_is_busy_is_asked_again_and_one_that_has_nothing_is_not(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.refusals[PATH] = BODY, [503, 429]
    fetch(hub, tmp_path)
    assert len(hub.log) == 3
    hub.refusals[PATH] = [404]
    with pytest.raises(ConnectionError, match="the server answered 404 Not Found"):
        fetch(hub, tmp_path)
    assert len(hub.log) == 4
    hub.refusals[PATH] = [503] * 9
    with pytest.raises(ConnectionError, match="503"):
        fetch(hub, tmp_path)


def test_a_connection_that_is_always_cut_before_anything_came_is_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.files[PATH], hub.cuts[PATH] = BODY, [0] * 9
    with pytest.raises(ConnectionError, match="complete message body"):
        fetch(hub, tmp_path)
    assert len(hub.log) == 4


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

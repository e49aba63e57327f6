"""From a name to checked files: hashes, pins, offline, hubs, several processes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dreamsweep import weights
from dreamsweep.errors import WeightsError
from dreamsweep.starter.files import folder_sha256
from tests.dreamsweep.weights.conftest import Publish
from tests.dreamsweep.weights.made_hub import Hub

BODY = b"weights" * 5000


def test_files_come_checked_and_only_once(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"config.json": b"{}", "pytorch_model.bin": BODY})
    found = weights.paths("toy")
    assert found == {file: cache / "toy" / file for file in ("config.json", "pytorch_model.bin")}
    assert found["pytorch_model.bin"].read_bytes() == BODY
    assert weights.paths("toy") == found and len(hub.log) == 2
    assert weights.folder("toy") == cache / "toy"
    assert weights.sha256("toy")["pytorch_model.bin"] == hashlib.sha256(BODY).hexdigest()
    assert weights.digest("toy") == folder_sha256(cache / "toy")  # nothing but its files lies in a model's folder


def test_the_digest_of_a_single_file_is_its_sha256(publish: Publish) -> None:
    publish("toy", {"a.bin": BODY})
    assert weights.digest("toy") == hashlib.sha256(BODY).hexdigest()


def test_a_wrong_hash_is_refused_and_leaves_nothing(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY})
    hub.files["/toy/a.bin"] = b"something else"
    with pytest.raises(WeightsError, match=r"weights 'toy': what http.*/toy/a.bin gave .*was published, and was thrown away"):
        weights.paths("toy")
    assert not list((cache / "toy").iterdir())


def test_spoilt_earlier_bytes_are_fetched_again(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY})
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "a.bin.partial").write_bytes(b"?" * 100)
    assert weights.paths("toy")["a.bin"].read_bytes() == BODY
    assert hub.log == ["GET /toy/a.bin bytes=100-", "GET /toy/a.bin"]


def test_a_file_that_was_spoilt_on_disk_is_refused(publish: Publish) -> None:
    publish("toy", {"a.bin": BODY})
    path = weights.paths("toy")["a.bin"]
    path.write_bytes(BODY + b"?")
    with pytest.raises(WeightsError, match=r"a.bin has SHA-256 .*but .* was published; delete it to fetch it again\.$"):
        weights.paths("toy")


def test_an_unknown_hash_is_pinned_on_first_use_and_a_change_refused(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY}, known=False)
    path = weights.paths("toy")["a.bin"]
    pins = json.loads((cache / "pins.json").read_text())
    assert pins == {"toy": {"revision": None, "files": {"a.bin": hashlib.sha256(BODY).hexdigest()}}}
    path.unlink()
    hub.files["/toy/a.bin"] = b"a later version"
    with pytest.raises(WeightsError, match=r"was pinned when it was first used.*thrown away.*take its line out of .*pins.json"):
        weights.paths("toy")
    path.write_bytes(b"put here by hand")
    with pytest.raises(WeightsError, match=r"was pinned when it was first used; delete it.*pins.json"):
        weights.paths("toy")
    (cache / "pins.json").unlink()
    assert weights.digest("toy") == hashlib.sha256(b"put here by hand").hexdigest()


def test_damaged_pins(publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY}, known=False)
    cache.mkdir()
    (cache / "pins.json").write_text("{")
    with pytest.raises(WeightsError, match=r"pins.json is damaged"):
        weights.paths("toy")


def test_offline_never_asks(hub: Hub, publish: Publish, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("toy", {"a.bin": BODY})
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    with pytest.raises(
        WeightsError, match=r"a.bin is not here and DREAMSWEEP_OFFLINE is set; put http.*toy/a.bin at .*by hand, or use weights"
    ):
        weights.paths("toy")
    with pytest.raises(WeightsError, match=r"'some/thing': no file of it is in .*DREAMSWEEP_OFFLINE"):
        weights.paths("some/thing")
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "a.bin").write_bytes(BODY)
    assert weights.paths("toy") and not hub.log


def test_a_hub_that_cannot_be_reached(publish: Publish, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("toy", {"a.bin": BODY}, instead="guide: starter-guide")
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS_MIRROR", "http://127.0.0.1:9")
    place = cache / "toy" / "a.bin"
    sentence = (
        rf"weights 'toy': a.bin cannot be fetched from http://127.0.0.1:9/toy/a.bin \(connection refused\); put it at {place} by hand"
    )
    with pytest.raises(WeightsError, match=rf"{sentence}, or use guide: starter-guide, which ships with dreamsweep\.$"):
        weights.paths("toy")


def test_a_folder_that_cannot_be_written(publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY})
    cache.mkdir()
    (cache / "toy").write_text("a file where a folder should be")
    with pytest.raises(WeightsError, match=r"a.bin cannot be written \(.*\); make room there, or set DREAMSWEEP_WEIGHTS"):
        weights.paths("toy")


def test_a_hub_repository_is_pinned_to_the_commit_of_its_first_use(hub: Hub, publish: Publish, cache: Path) -> None:
    files = {"model_index.json": {}, "unet/diffusion_pytorch_model.safetensors": {"from": "unet/diffusion_pytorch_model.fp16.safetensors"}}
    publish("toy", {}, hub="owner/toy", listed=files)
    hub.headers["X-Repo-Commit"] = "abc123"
    hub.files |= {f"/owner/toy/resolve/{commit}/model_index.json": b"{}" for commit in ("main", "abc123")}
    hub.files["/owner/toy/resolve/abc123/unet/diffusion_pytorch_model.fp16.safetensors"] = BODY
    found = weights.paths("toy")
    assert found["unet/diffusion_pytorch_model.safetensors"].read_bytes() == BODY
    assert [line.split()[0] for line in hub.log] == ["HEAD", "GET", "GET"]
    assert json.loads((cache / "pins.json").read_text())["toy"]["revision"] == "abc123"
    found["model_index.json"].unlink()
    hub.headers["X-Repo-Commit"] = "def456"
    assert weights.paths("toy") == found and hub.log[-1] == "GET /owner/toy/resolve/abc123/model_index.json"


def test_a_mirror_that_knows_no_commits(hub: Hub, publish: Publish) -> None:
    publish("toy", {}, hub="owner/toy", listed={"model_index.json": {}})
    hub.files["/owner/toy/resolve/main/model_index.json"] = b"{}"
    assert weights.paths("toy")["model_index.json"].read_bytes() == b"{}"


def test_a_repository_that_the_registry_does_not_list(hub: Hub, cache: Path) -> None:
    index, unet = b"{}", BODY
    listed = [
        {"rfilename": "model_index.json"},
        {"rfilename": "unet/model.safetensors", "lfs": {"sha256": hashlib.sha256(unet).hexdigest()}},
        *({"rfilename": name} for name in ("unet/model.fp16.safetensors", "unet/model.bin", "all.safetensors", "safety_checker/a.json")),
        *({"rfilename": name} for name in ("README.md", ".gitattributes", "../../up.json", "a/../up.json")),
    ]
    hub.files["/api/models/owner/some/revision/main"] = json.dumps({"sha": "abc", "siblings": listed}).encode()
    hub.files["/owner/some/resolve/abc/model_index.json"] = index
    hub.files["/owner/some/resolve/abc/unet/model.safetensors"] = unet
    found = weights.paths("owner/some")
    assert found == {file: cache / "hub/owner/some" / file for file in ("model_index.json", "unet/model.safetensors")}
    hub.files.clear()
    assert weights.paths("owner/some") == found
    found["unet/model.safetensors"].write_bytes(b"changed")
    with pytest.raises(WeightsError, match="was pinned"):
        weights.paths("owner/some")


def test_a_repository_that_is_none(hub: Hub) -> None:
    with pytest.raises(WeightsError, match=r"'owner/none': .*404 Not Found\); give the engine the folder of a copy"):
        weights.paths("owner/none")
    hub.files["/api/models/owner/none/revision/main"] = b"<html>"
    with pytest.raises(WeightsError, match=r"not a hub's listing"):
        weights.paths("owner/none")


def test_several_processes_fetch_it_once(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY, "b.bin": BODY[::-1]}, known=False)
    hub.pause = 0.5
    command = [sys.executable, "-c", "from dreamsweep import weights; print(weights.digest('toy'))"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) for _ in range(3)]
    said = [process.communicate(timeout=60) for process in running]
    assert {out for out, _ in said} == {folder_sha256(cache / "toy") + "\n"}, said
    assert hub.log == ["GET /toy/a.bin", "GET /toy/b.bin"]

"""Published weights from a name to checked files: hashes, pins, offline mode, hubs, outages, several processes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from dreamsweep import weights
from dreamsweep.errors import DownloadError, WeightsError
from dreamsweep.weights.cache import read_pin
from dreamsweep.weights.starter import folder_sha256
from tests.dreamsweep.weights.conftest import Publish
from tests.dreamsweep.weights.fake_hub import Hub

BODY = b"weights" * 5000


def test_files_come_checked_and_only_once(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"config.json": b"{}", "pytorch_model.bin": BODY})
    files = weights.paths("toy")
    assert files == {file: cache / "toy" / file for file in ("config.json", "pytorch_model.bin")}
    assert files["pytorch_model.bin"].read_bytes() == BODY
    assert weights.paths("toy") == files and len(hub.log) == 2
    assert weights.folder("toy") == cache / "toy"
    assert weights.sha256("toy")["pytorch_model.bin"] == hashlib.sha256(BODY).hexdigest()
    assert weights.digest("toy") == folder_sha256(cache / "toy")  # nothing but its files lies in a model's folder


def test_the_digest_of_a_single_file_is_its_sha256(publish: Publish) -> None:
    publish("toy", {"a.bin": BODY})
    assert weights.digest("toy") == hashlib.sha256(BODY).hexdigest()


def test_a_wrong_hash_is_refused_and_leaves_nothing(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY})
    hub.files["/toy/a.bin"] = b"something else"
    with pytest.raises(WeightsError, match=r"weights 'toy': a.bin from http.*/toy/a.bin has .*was published, and was deleted"):
        weights.paths("toy")
    assert not list((cache / "toy").iterdir())


def test_corrupt_earlier_bytes_are_fetched_again(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY})
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "a.bin.partial").write_bytes(b"?" * 100)
    assert weights.paths("toy")["a.bin"].read_bytes() == BODY
    assert hub.log == ["GET /toy/a.bin bytes=100-", "GET /toy/a.bin"]


def test_a_file_that_was_damaged_on_disk_is_refused(publish: Publish) -> None:
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
    with pytest.raises(WeightsError, match=r"was pinned when it was first used.*was deleted.*take its line out of .*pins.json"):
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


@pytest.mark.parametrize("setting", ["DREAMSWEEP_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_makes_no_request(setting: str, hub: Hub, publish: Publish, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("toy", {"a.bin": BODY})
    monkeypatch.setenv(setting, "1")
    with pytest.raises(WeightsError, match=rf"a.bin is missing and {setting} is set; put http.*toy/a.bin at .*by hand, or use weights"):
        weights.paths("toy")
    with pytest.raises(WeightsError, match=rf"'some/thing': no file of it is in .*{setting} is set"):
        weights.paths("some/thing")
    (cache / "toy").mkdir(parents=True)
    (cache / "toy" / "a.bin").write_bytes(BODY)
    assert weights.paths("toy") and not hub.log


def test_a_server_that_fails_and_then_works(hub: Hub, publish: Publish) -> None:
    publish("toy", {"a.bin": BODY})
    hub.refusals["/toy/a.bin"] = [503] * 5
    with pytest.raises(DownloadError, match=r"weights 'toy': a.bin cannot be fetched from .* \(the server answered 503 "):
        weights.paths("toy")
    assert weights.paths("toy")["a.bin"].read_bytes() == BODY and len(hub.log) == 4 + 2


def test_a_connection_that_is_cut_and_then_works(hub: Hub, publish: Publish) -> None:
    publish("toy", {"a.bin": BODY})
    hub.cuts["/toy/a.bin"] = [1000, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"\(peer closed connection"):
        weights.paths("toy")
    assert weights.paths("toy")["a.bin"].read_bytes() == BODY and hub.log[-1] == "GET /toy/a.bin bytes=1000-"


def test_a_file_that_the_server_does_not_have(hub: Hub, publish: Publish) -> None:
    publish("toy", {"a.bin": BODY})
    hub.files.clear()
    with pytest.raises(
        WeightsError, match=r"weights 'toy': a.bin cannot be fetched from .* \(the server answered 404 Not Found\); put it at"
    ):
        weights.paths("toy")
    assert len(hub.log) == 1


@pytest.mark.parametrize("failures", [1, 3])
def test_a_hub_that_fails_and_then_lists_a_repository(failures: int, hub: Hub, cache: Path) -> None:
    page, file = "/api/models/owner/some/revision/main", "/owner/some/resolve/abc/model_index.json"
    hub.files |= {
        page: json.dumps({"id": "owner/some", "sha": "abc", "siblings": [{"rfilename": "model_index.json"}]}).encode(),
        file: b"{}",
    }
    hub.refusals[page] = [503] * failures
    assert weights.paths("owner/some") and len(hub.log) == failures + 2


def test_a_hub_that_fails_for_long(hub: Hub, publish: Publish) -> None:
    publish("toy", {}, hub="owner/toy", listed={"model_index.json": {}})
    path = "/owner/toy/resolve/main/model_index.json"
    hub.files[path] = b"{}"
    hub.refusals = {path: [503] * 5, "/api/models/owner/some/revision/main": [502] * 4}
    with pytest.raises(DownloadError, match=r"'owner/some': the hub cannot list .* \(the server answered 502 Bad Gateway\)"):
        weights.paths("owner/some")
    with pytest.raises(DownloadError, match=r"'toy': model_index.json cannot be fetched from .* \(the server answered 503 "):
        weights.paths("toy")
    assert weights.paths("toy")


def test_a_hub_that_cannot_be_reached(publish: Publish, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("toy", {"a.bin": BODY}, instead="guide: starter-guide")
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS_MIRROR", "http://127.0.0.1:9")
    place = cache / "toy" / "a.bin"
    sentence = (
        rf"weights 'toy': a.bin cannot be fetched from http://127.0.0.1:9/toy/a.bin \(connection refused\); put it at {place} by hand"
    )
    with pytest.raises(DownloadError, match=rf"{sentence}, or use guide: starter-guide, which ships with dreamsweep\.$"):
        weights.paths("toy")


def test_what_no_starter_does_names_no_other_setting(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    publish("toy", {"a.bin": BODY}, instead=None)
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"a.bin by hand; nothing that ships with dreamsweep does the same\.$"):
        weights.paths("toy")


def test_the_first_digits_of_a_hash_are_compared_and_the_rest_is_pinned(publish: Publish, hub: Hub, cache: Path) -> None:
    digest = hashlib.sha256(BODY).hexdigest()
    hub.files["/toy/b.bin"] = BODY
    address = {"url": "https://nowhere.invalid/toy/b.bin", "sha256": None}
    publish("toy", {}, listed={"b.bin": {**address, "sha256_start": "0" * 8}})
    with pytest.raises(WeightsError, match=rf"b.bin from .* has SHA-256 {digest[:12]}…, but 00000000… was published, and was deleted"):
        weights.paths("toy")
    assert not list((cache / "toy").iterdir()) and read_pin("toy").files == {}
    (cache / "toy" / "b.bin").write_bytes(BODY)  # by hand
    with pytest.raises(WeightsError, match="but 00000000… was published; delete it"):
        weights.paths("toy")
    publish("toy", {}, listed={"b.bin": {**address, "sha256_start": digest[:8]}})
    assert weights.paths("toy") and read_pin("toy").files == {"b.bin": digest}


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
    paths = weights.paths("toy")
    assert paths["unet/diffusion_pytorch_model.safetensors"].read_bytes() == BODY
    assert [line.split()[0] for line in hub.log] == ["HEAD", "GET", "GET"]
    assert json.loads((cache / "pins.json").read_text())["toy"]["revision"] == "abc123"
    paths["model_index.json"].unlink()
    hub.headers["X-Repo-Commit"] = "def456"
    assert weights.paths("toy") == paths and hub.log[-1] == "GET /owner/toy/resolve/abc123/model_index.json"


def test_a_plain_mirror_without_commits(hub: Hub, publish: Publish) -> None:
    publish("toy", {}, hub="owner/toy", listed={"model_index.json": {}})
    hub.files["/owner/toy/resolve/main/model_index.json"] = b"{}"
    assert weights.paths("toy")["model_index.json"].read_bytes() == b"{}"


def test_a_repository_that_the_registry_does_not_list(hub: Hub, cache: Path) -> None:
    index, unet = b"{}", BODY
    listed = [
        {"rfilename": "model_index.json"},
        {"rfilename": "unet/model.safetensors", "lfs": {"sha256": hashlib.sha256(unet).hexdigest(), "size": len(unet), "pointerSize": 130}},
        *({"rfilename": name} for name in ("unet/model.fp16.safetensors", "unet/model.bin", "all.safetensors", "safety_checker/a.json")),
        *({"rfilename": name} for name in ("README.md", ".gitattributes", "../../up.json", "a/../up.json")),
    ]
    hub.files["/api/models/owner/some/revision/main"] = json.dumps({"id": "owner/some", "sha": "abc", "siblings": listed}).encode()
    hub.files["/owner/some/resolve/abc/model_index.json"] = index
    hub.files["/owner/some/resolve/abc/unet/model.safetensors"] = unet
    paths = weights.paths("owner/some")
    assert paths == {file: cache / "hub/owner/some" / file for file in ("model_index.json", "unet/model.safetensors")}
    hub.files.clear()
    assert weights.paths("owner/some") == paths
    paths["unet/model.safetensors"].write_bytes(b"changed")
    with pytest.raises(WeightsError, match="was pinned"):
        weights.paths("owner/some")


def test_a_repository_that_does_not_exist(hub: Hub) -> None:
    sentence = r"'owner/none': the hub cannot list https?://.*/owner/none \(the server answered 404 Not Found\); give the engine the folder"
    with pytest.raises(WeightsError, match=sentence):
        weights.paths("owner/none")
    for answer in (b"<html>", b"[]", b'{"id": "owner/none"}', b'{"sha": "abc"}'):
        hub.files["/api/models/owner/none/revision/main"] = answer
        with pytest.raises(WeightsError, match=r"not a hub's listing"):
            weights.paths("owner/none")


def test_a_name_that_no_repository_can_have(hub: Hub) -> None:
    with pytest.raises(WeightsError, match=r"'owner/a--b': the hub cannot list .*\(Cannot have -- or \.\. in repo_id"):
        weights.paths("owner/a--b")
    assert not hub.log


def test_a_repository_with_a_licence_to_accept(hub: Hub, publish: Publish) -> None:
    publish("toy", {}, hub="owner/toy", listed={"model_index.json": {}})
    sentence = r"if it is private or has a licence to accept, accept it at https://huggingface.co/owner/{} and set HF_TOKEN; else"
    hub.refusals = {"/owner/toy/resolve/main/model_index.json": [403], "/api/models/owner/some/revision/main": [401]}
    with pytest.raises(WeightsError, match=rf"403 Forbidden\); {sentence.format('toy')} put it at .* by hand"):
        weights.paths("toy")
    with pytest.raises(WeightsError, match=rf"401 Unauthorized\); {sentence.format('some')} give the engine the folder"):
        weights.paths("owner/some")
    assert len(hub.log) == 2


def test_the_token_goes_to_the_hub_alone(hub: Hub, publish: Publish, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    publish("toy", {}, hub="owner/toy", listed={"b.json": {}})
    hub.files |= {f"/owner/toy/resolve/{commit}/b.json": b"{}" for commit in ("main", "abc123")}
    hub.headers["X-Repo-Commit"] = "abc123"
    weights.paths("toy")
    assert len(hub.log) == 2 and not hub.tokens, "a mirror is sent no token"
    monkeypatch.delenv("DREAMSWEEP_WEIGHTS_MIRROR")
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}")
    shutil.rmtree(cache)
    weights.paths("toy")
    assert len(hub.log) == 4 and hub.tokens == ["Bearer hf_secret"] * 2
    publish("plain", {}, listed={"b.bin": {"url": f"{hub.address}/plain/b.bin"}})
    with pytest.raises(WeightsError, match="404 Not Found"):
        weights.paths("plain")
    assert len(hub.log) == 5 and len(hub.tokens) == 2, "an address that is not the hub's is sent no token"


def test_several_processes_fetch_it_once(hub: Hub, publish: Publish, cache: Path) -> None:
    publish("toy", {"a.bin": BODY, "b.bin": BODY[::-1]}, known=False)
    hub.pause = 0.5
    command = [sys.executable, "-c", "from dreamsweep import weights; print(weights.digest('toy'))"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) for _ in range(3)]
    outputs = [process.communicate(timeout=600) for process in running]
    assert {out for out, _ in outputs} == {folder_sha256(cache / "toy") + "\n"}, outputs
    assert hub.log == ["GET /toy/a.bin", "GET /toy/b.bin"]


def test_a_folder_of_weights_that_is_a_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS", str(tmp_path / "file"))
    with pytest.raises(
        WeightsError, match=r"file/pins\.json cannot be read \(Not a directory\); .* set DREAMSWEEP_WEIGHTS to another folder\.$"
    ):
        read_pin("dall-e")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_mirror_on_this_machine_is_not_asked_through_a_proxy(
    hub: Hub, publish: Publish, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    publish("toy", {"config.json": b"{}"})
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert weights.paths("toy")["config.json"].read_bytes() == b"{}"

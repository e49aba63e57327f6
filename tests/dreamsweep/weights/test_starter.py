"""Starter weights: each file is listed with its hash, all fit the budget, and damaged ones are refused."""

import json
from pathlib import Path

import pytest
import torch

from dreamsweep.errors import WeightsError
from dreamsweep.weights.starter import (
    STARTER_FOLDERS,
    STARTER_NAMES,
    expected_sha256,
    file_sha256,
    folder_sha256,
    read_weights,
    thing_names,
    weights_folder,
    write_weights,
)

BUDGET = 76 * 1024**2


@pytest.mark.parametrize("name", STARTER_NAMES)
def test_a_shipped_file_has_the_listed_hash(name: str) -> None:
    path = weights_folder() / f"{name}.safetensors"
    assert file_sha256(path, name) == expected_sha256(name)
    tensors, metadata, _ = read_weights(name)
    assert tensors and metadata and all(json.loads(value) for value in metadata.values())
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


@pytest.mark.parametrize("name", STARTER_FOLDERS)
def test_a_shipped_folder_has_the_listed_hash_and_holds_no_pickles(name: str) -> None:
    folder = weights_folder() / name
    assert folder_sha256(folder) == expected_sha256(name)
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert ".safetensors" in kinds and kinds <= {".safetensors", ".json", ".txt"}


def test_all_fit_the_budget_and_have_licence_and_model_card() -> None:
    files = list(weights_folder().iterdir())
    assert sum(file.stat().st_size for file in weights_folder().rglob("*") if file.is_file()) < BUDGET
    assert {file.name for file in files if file.is_dir()} == set(STARTER_FOLDERS)
    assert {"MODEL_CARD.md", "NOTICE", "weights.json"} <= {file.name for file in files}
    assert {file.stem for file in files if file.suffix == ".safetensors"} == set(STARTER_NAMES)


def test_a_written_file_is_read_and_a_changed_one_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(tmp_path))
    write_weights(tmp_path / "tiny.safetensors", {"a": torch.arange(4)}, {"shape": "{}"})
    tensors, metadata, sha256 = read_weights("tiny")
    assert torch.equal(tensors["a"], torch.arange(4)) and metadata == {"shape": "{}"} and len(sha256) == 64
    data = bytearray((tmp_path / "tiny.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "tiny.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=r"'tiny'.*is damaged.*restore it"):
        read_weights("tiny")
    (tmp_path / "tiny.safetensors").unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        read_weights("tiny")
    (tmp_path / "another.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match="does not list it"):
        read_weights("another")


def test_there_are_names_of_about_a_thousand_things() -> None:
    names = thing_names()
    assert 900 < len(names) == len(set(names)) and "pizza" in names

"""Fixtures: a hub on this machine in place of all others, a cache of the test's own, and a registry that the test may add to."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from dreamsweep.weights import download
from tests.dreamsweep.weights.fake_hub import Hub, serving

Publish = Callable[..., None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    for name in ("DREAMSWEEP_OFFLINE", "DREAMSWEEP_WEIGHTS_MIRROR", "DREAMSWEEP_WEIGHTS_REGISTRY", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS", str(folder))
    return folder


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running hub that every address of the registry leads to; retries come without delay."""
    with serving(Hub()) as running:
        monkeypatch.setenv("DREAMSWEEP_WEIGHTS_MIRROR", running.address)
        monkeypatch.setattr(download, "RETRY_DELAYS", (0.0, 0.0, 0.0))
        yield running


@pytest.fixture
def publish(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Function that puts files on the hub and an entry for them into a registry: `publish("toy", {"a.bin": b"…"}, known=True, **entry)`."""
    entries: dict[str, Any] = {}
    numbers = count()

    def put(name: str, files: dict[str, bytes], known: bool = True, listed: dict[str, Any] | None = None, **entry: Any) -> None:
        folder, listed = entry.get("folder", name), dict(listed or {})
        for file, content in files.items():
            hub.files[f"/{folder}/{file}"] = content
            digest = hashlib.sha256(content).hexdigest() if known else None
            listed[file] = {"url": f"https://nowhere.invalid/{folder}/{file}", "sha256": digest}
        entries[name] = {"folder": folder, "files": listed, **entry}
        path = tmp_path / f"registry-{next(numbers)}.yaml"
        path.write_text(yaml.safe_dump(entries))
        monkeypatch.setenv("DREAMSWEEP_WEIGHTS_REGISTRY", str(path))

    return put

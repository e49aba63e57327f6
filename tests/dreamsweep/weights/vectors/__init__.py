"""Test vectors: every published model, built by its package's own code with random values, in its published format."""

from pathlib import Path

import pytest
import yaml

from dreamsweep.weights.cache import read_sha256
from dreamsweep.weights.registry import registry
from tests.dreamsweep.weights.vectors.biggan_files import BIGGANS
from tests.dreamsweep.weights.vectors.clip_archives import CLIPS
from tests.dreamsweep.weights.vectors.dalle_pickles import DALLE
from tests.dreamsweep.weights.vectors.head_files import HEADS
from tests.dreamsweep.weights.vectors.stable_diffusion_folders import STABLE_DIFFUSIONS
from tests.dreamsweep.weights.vectors.two_tower_folders import TWO_TOWERS
from tests.dreamsweep.weights.vectors.unclip_folders import UNCLIPS
from tests.dreamsweep.weights.vectors.vector import Outputs, Vector

VECTORS: dict[str, Vector] = {**CLIPS, **DALLE, **BIGGANS, **STABLE_DIFFUSIONS, **UNCLIPS, **TWO_TOWERS, **HEADS}
"""By the registry's names; a test holds the two together."""


def write_vector(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch, full: bool = False) -> Outputs:
    """Writes a model where the cache has it, with a registry that knows its hashes; returns what the package's network makes."""
    model = registry()[name]
    folder = cache / model.folder
    folder.mkdir(parents=True, exist_ok=True)
    outputs = VECTORS[name].write(folder, full)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert files.keys() == model.files.keys()
    entry = model.model_dump(mode="json", by_alias=True)
    for file, listed in entry["files"].items():
        listed |= {"sha256": read_sha256(files[file]), "sha256_start": None}
    (cache / f"registry-{model.folder}.yaml").write_text(yaml.safe_dump({name: entry}))
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS_REGISTRY", str(cache / f"registry-{model.folder}.yaml"))
    return outputs

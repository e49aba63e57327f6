"""Same trial, same pixels, from one version to the next: pictures of every engine, drawn once and kept.

`python -m tests.dreamsweep.generation.test_golden_pictures` draws them anew. That is right only after a change that is meant to change
pictures, and the CHANGELOG must say so.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dreamsweep.compute.images import decode_png, png_bytes
from dreamsweep.generation.shard import run_shard
from dreamsweep.planning.expand import shards
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.spec import ENGINES
from dreamsweep.store.local import LocalStore

FOLDER = Path(__file__).with_name("golden_pictures")
SETTINGS: dict[str, dict[str, object]] = {
    "dalle": {"num_iter": 4, "image_size": 64, "cutouts": 4},
    "strokes": {"num_iter": 4, "canvas": 64, "num_paths": 24},
    "big-sleep": {"num_iter": 3, "cutouts": 4},
    "guided-diffusion": {"num_iter": 4, "cutouts": 4, "guidance_scale": 3},
    "interpolation": {"num_iter": 3, "steps": 4},
    "unclip": {"num_iter": 2, "steps": 4, "prior_steps": 4},
}
MEAN, MOST = 1.0, 0.05
"""Levels of 255 by which pixels may differ on average, and the share of them that may differ by more than 3: other processors, and other
numbers of threads, sum in other orders; most so far, guided-diffusion with AVX-512 against AVX2: 0.42 and 0.021. Other random draws would
change most pixels by tens of levels."""


def pictures_of(engine: str, folder: Path) -> Tensor:
    """The last pictures of four trials, two prompts and two seeds, side by side: `3 h 4w`, 8-bit."""
    content = {
        "name": "golden",
        "prompts": [
            {"text": "a red heart", "to": ["a green apple"]},
            {"text": "a rocket", "to": ["a crescent moon"], "negatives": ["a car"]},
        ],
        "engines": [{"engine": engine, **SETTINGS[engine]}],
        "seeds": [0, 3],
        "snapshot_every": 0,
    }
    store, drawn = LocalStore(folder), []
    for shard in shards(parse_sweep(content, folder, "golden")):
        list(run_shard(shard, store, "cpu"))
        drawn += [decode_png(store.read(f"golden/pictures/{trial.id}/final.png")) for trial in shard.trials]
    return torch.cat(drawn, 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_pictures_are_those_of_earlier_versions(engine: str, tmp_path: Path) -> None:
    kept = decode_png((FOLDER / f"{engine}.png").read_bytes())
    drawn = pictures_of(engine, tmp_path)
    assert drawn.shape == kept.shape
    difference = (drawn.int() - kept.int()).abs()
    assert difference.float().mean() <= MEAN
    assert (difference > 3).float().mean() <= MOST


if __name__ == "__main__":
    import tempfile

    for name in ENGINES:
        with tempfile.TemporaryDirectory() as scratch:
            (FOLDER / f"{name}.png").write_bytes(png_bytes(pictures_of(name, Path(scratch)), "{}"))

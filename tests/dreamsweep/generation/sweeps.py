"""A small sweep of two engines and two shards, for tests that make pictures."""

from pathlib import Path
from typing import Any

from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.spec import Sweep

TWO_ENGINES = {
    "name": "t",
    "prompts": ["a red heart", "a green apple"],
    "engines": [
        {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2},
        {"engine": "dalle", "image_size": 32, "cutouts": 2},
    ],
    "iterations": 4,
    "snapshot_every": 2,
    "judge_every": 2,
}


def small_sweep(**changes: Any) -> Sweep:
    """Returns four trials of four iterations, in two shards, unless changed."""
    return parse_sweep({**TWO_ENGINES, **changes}, Path(), "test")

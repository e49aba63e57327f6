"""Nightly prompt sweeps of CLIP-guided image generation: prompts × engines × seeds in, pictures and Parquet out.

From Python and in notebooks (docs/python.md):

    import dreamsweep as ds

    results = ds.run("prompts/demo.yaml")      # a progress bar; the contact sheet where a notebook shows the result
    results.trials().to_pandas()
    ds.open("s3://bucket/night").sweeps()

Names are imported when they are used first: `import dreamsweep` alone loads neither torch nor Prefect.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamsweep.api.finding import find
    from dreamsweep.api.results import OpenStore, SweepResults, open
    from dreamsweep.api.running import load, parse, run
    from dreamsweep.errors import DreamsweepError, TransientError, UserError
    from dreamsweep.spec import Sweep


def _is_busy() -> bool:
    """Returns whether processes have kept more than half of the machine's CPUs busy in the last minute."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    except (AttributeError, OSError):  # Windows has none
        return False


if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & {*os.environ} and _is_busy():
    # torch's CPU threads sleep where they wait for each other, instead of spinning: on a busy machine that is about twice as fast, on an
    # idle one a sixth to a third slower (benchmarks/threads.py); no bit changes. OpenMP reads it when torch is imported.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

__version__ = "0.1.0"
__all__ = [
    "DreamsweepError",
    "OpenStore",
    "Sweep",
    "SweepResults",
    "TransientError",
    "UserError",
    "__version__",
    "find",
    "load",
    "open",
    "parse",
    "run",
]

_MODULES = {
    "DreamsweepError": "errors",
    "OpenStore": "api.results",
    "Sweep": "spec",
    "SweepResults": "api.results",
    "TransientError": "errors",
    "UserError": "errors",
    "find": "api.finding",
    "load": "api.running",
    "open": "api.results",
    "parse": "api.running",
    "run": "api.running",
}
"""Module of each name, imported at its first use."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'dreamsweep' has no attribute {name!r}")
    return getattr(import_module(f"dreamsweep.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

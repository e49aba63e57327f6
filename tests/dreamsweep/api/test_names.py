"""The names that `import dreamsweep` offers, and how little it loads."""

import subprocess
import sys
from pathlib import Path

import pytest

import dreamsweep

NAMES = [
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


def test_the_exported_names() -> None:
    assert dreamsweep.__all__ == NAMES
    assert set(NAMES) <= set(dir(dreamsweep))
    assert all(getattr(dreamsweep, name).__doc__ for name in NAMES)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'dreamsweep' has no attribute 'runn'"):
        dreamsweep.runn  # noqa: B018


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import dreamsweep", []),
        ("from dreamsweep import load, parse; parse(dict(name='t', prompts=['a'], engines=['dalle']))", ["pyarrow", "duckdb"]),
        ("from dreamsweep import *; open('nowhere').sweeps()", ["pyarrow", "duckdb"]),
    ],
)
def test_what_it_loads(code: str, loaded: list[str]) -> None:
    heavy = "('torch', 'prefect', 'pyarrow', 'duckdb', 'boto3', 'matplotlib', 'pandas', 'IPython')"
    code = f"{code}; import sys; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert answer.stdout == f"{loaded}\n"

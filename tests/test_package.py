"""What an installed dreamsweep holds: no file that it needs stays behind in the checkout."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_file_of_the_packages_is_installed() -> None:
    (patterns,) = PROJECT["tool"]["setuptools"]["package-data"].values()
    folders = [ROOT / name for name in ("dreamsweep", "flows", "tasks", "prompts", "infra/pools")]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert len(files) > 100
    left_behind = [file for file in files if file.suffix != ".py" and not any(file.match(pattern) for pattern in patterns)]
    assert left_behind == []

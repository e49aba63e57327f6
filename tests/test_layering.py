"""Imports point inwards: flows → tasks → dreamsweep; only flows and tasks know Prefect."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"dreamsweep": {"prefect", "tasks", "flows", "tests"}, "tasks": {"flows", "tests"}, "flows": {"tests"}}
ALLOWED = {("dreamsweep/commands/run.py", "flows"), ("dreamsweep/commands/deploy.py", "flows")}
"""These commands start or register flows, with imports in the functions that need them."""


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """The first part of every imported name, and whether the import stands at the top of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            yield name.split(".")[0], node in tree.body


@pytest.mark.parametrize("ring", FORBIDDEN)
def test_imports_point_inwards(ring: str) -> None:
    files = sorted((ROOT / ring).rglob("*.py"))
    assert files
    for path in files:
        file = path.relative_to(ROOT).as_posix()
        for name, at_top in imported(path):
            if (file, name) in ALLOWED and not at_top:
                continue
            assert name not in FORBIDDEN[ring], f"{file} imports {name}"


def test_the_command_s_help_needs_nothing_heavy() -> None:
    for path in [ROOT / "dreamsweep" / "cli.py", *(ROOT / "dreamsweep" / "commands").glob("*.py")]:
        for name, at_top in imported(path):
            assert not (at_top and name in {"torch", "prefect", "duckdb", "boto3", "pydantic"}), f"{path.name} imports {name}"

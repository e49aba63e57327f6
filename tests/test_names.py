"""Names say what they hold: a handful of words that hold anything are not names of variables, arguments, attributes or functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("dreamsweep", "flows", "tasks", "tests", "benchmarks")
VAGUE = {"told", "found", "asked", "made", "there", "one"}


def vague_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything in a module that binds or reads a vague name."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name) | ast.arg(arg=name):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case ast.alias(asname=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                pass
            case ast.ExceptHandler(name=str(name)):
                pass
            case _:
                continue
        if name.strip("_") in VAGUE:
            yield getattr(node, "lineno", 0), name


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_is_vague(folder: str) -> None:
    modules = [path for path in sorted((ROOT / folder).rglob("*.py")) if not path.is_symlink()]
    assert modules
    vague = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules
        for line, name in vague_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not vague, "name them for what they hold: " + ", ".join(vague)


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "def f(found): ...",
        "def _made(): ...",
        "class there: ...",
        "x.asked",
        "[one for one in ()]",
        "import os as told",
        "match 1:\n    case made: ...",
        "try: ...\nexcept OSError as told: ...",
    ],
)
def test_the_rule_sees(source: str) -> None:
    assert len(list(vague_names(ast.parse(source)))) == 1


def test_prose_is_free() -> None:
    assert not list(vague_names(ast.parse("'what was asked, what was found'  # told")))

"""Imports go one way: each package imports only packages below it, function-level imports included; only flows and tasks know Prefect."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dreamsweep"
FLOORS = (
    ("errors", "text", "environment", "retry"),
    ("spec",),
    ("store",),
    ("tables",),
    ("planning",),
    ("weights",),
    ("compute",),
    ("perceptors",),
    ("models",),
    ("guidance",),
    ("judges",),
    ("engines",),
    ("results",),
    ("report",),
    ("export",),
    ("generation",),
    ("testing",),
    ("review",),
    ("training",),
    ("tasks",),
    ("flows",),
    ("cli",),
    ("api",),
    ("__main__",),
)
"""Packages and modules of dreamsweep from the ground up. A new one takes its place here."""
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}
SAME_FLOOR = {("text", "errors"), ("environment", "errors"), *(("retry", other) for other in ("errors", "text", "environment"))}
WITH_PREFECT = {"tasks", "flows"}
HEAVY = {"torch", "prefect", "duckdb", "boto3", "pydantic"}


def modules() -> Iterator[tuple[str, str, Path]]:
    """Each module's package (or its own name), its path within dreamsweep, and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name != "__init__.py":
            yield name.partition("/")[0].removesuffix(".py"), name, path
    for linked in ("flows", "tasks"):  # rglob follows no links
        for path in sorted((PACKAGE / linked).glob("*.py")):
            yield linked, f"{linked}/{path.name}", path


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module, and whether the import stands at the top of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names if node.module == "dreamsweep")]
        for name in names:
            yield name, node in tree.body


def imported_packages(path: Path) -> set[str]:
    """The packages of dreamsweep that a file imports."""
    parts = (name.split(".") for name, _ in imports(path))
    return {part[1] for part in parts if part[0] == "dreamsweep" and len(part) > 1 and not part[1].startswith("__")}


def test_every_package_has_its_floor() -> None:
    packages = {package for package, _, _ in modules()}
    assert packages == set(FLOOR_OF)


@pytest.mark.parametrize("package", FLOOR_OF)
def test_imports_go_down(package: str) -> None:
    files = [(name, path) for owner, name, path in modules() if owner == package]
    assert files
    for name, path in files:
        for other in imported_packages(path) - {package}:
            allowed = FLOOR_OF[other] < FLOOR_OF[package] or (package, other) in SAME_FLOOR
            assert allowed, f"{name} imports dreamsweep.{other}, which is not below it"


def test_only_flows_and_tasks_import_prefect() -> None:
    for package, name, path in modules():
        roots = {module.partition(".")[0] for module, _ in imports(path)}
        assert package in WITH_PREFECT or "prefect" not in roots, f"{name} imports prefect"
        assert not roots & {"tests", "flows", "tasks"}, f"{name} imports a module from outside the package"


def test_planning_needs_no_torch() -> None:
    for package, name, path in modules():
        if FLOOR_OF[package] <= FLOOR_OF["planning"]:
            assert "torch" not in {module.partition(".")[0] for module, _ in imports(path)}, name


def test_the_command_s_help_needs_nothing_heavy() -> None:
    for package, name, path in modules():
        if package == "cli":
            heavy = {module.partition(".")[0] for module, at_top in imports(path) if at_top} & HEAVY
            assert not heavy, f"{name} imports {heavy}"


def test_no_engine_imports_another() -> None:
    """What engines share is a helper's; each engine stands alone beside them."""
    engines = {path.stem for path in (PACKAGE / "engines").glob("*.py")} - SHARED_BY_ENGINES
    assert engines == {"big_sleep", "dalle", "guided_diffusion", "interpolation", "strokes", "unclip"}
    for engine in engines:
        for module, _ in imports(PACKAGE / "engines" / f"{engine}.py"):
            assert not module.startswith("dreamsweep.engines.") or module.rpartition(".")[2] in SHARED_BY_ENGINES


SHARED_BY_ENGINES = {"__init__", "protocol", "descent", "optimizers", "schedules", "starts", "frames", "painting", "rasterise", "svg"}


def test_every_package_but_prefect_s_is_type_checked_in_tests() -> None:
    """Their annotations name Prefect's types, some of which no value ever has."""
    options = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    (option,) = (option for option in options if option.startswith("--jaxtyping-packages="))
    names = option.partition("=")[2].split(",")[:-1]
    assert set(names) == {f"dreamsweep.{name}" for name in FLOOR_OF if name not in WITH_PREFECT | {"__main__"}}

"""Python versions: the one that `make` takes, and a lock that serves all of them."""

import os
import re
import subprocess
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSIONS = ("3.11.9", "3.12.3", "3.13.0", "3.14.0")
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
LOCK = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]

HASHES = re.split(r"\n(?! )", (ROOT / "requirements.hashes").read_text().strip())[1:]
"""A locked package each, with its hashes in further lines."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder of interpreters that stands before everything on PATH; each of them cannot make an environment yet."""
    for name in NAMES:
        interpreter(tmp_path / name, exit_code=127)
    return tmp_path


def interpreter(file: Path, exit_code: int) -> None:
    file.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    file.chmod(0o755)


def make(path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "ENV", "MAKEFLAGS")}
    environment = {**plain, "PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_make_takes_the_newest_python_that_makes_environments(path: Path) -> None:
    for name in ("python3.13", "python3.11", "python3"):
        interpreter(path / name, exit_code=0)
    taken = make(path, "--silent", "--eval", "taken: ; @echo $(PYTHON)", "taken")
    assert taken.stdout.strip() == str(path / "python3.13"), taken.stderr


@pytest.mark.parametrize("chosen", [(), ("PYTHON=python3.12",)])
def test_make_says_which_python_it_needs(path: Path, chosen: tuple[str, ...]) -> None:
    done = make(path, "env", f"ENV={path}/env", *chosen)
    sentence, *rest = done.stderr.splitlines()
    assert done.returncode == 2
    assert sentence.startswith("dreamsweep needs Python 3.11 to 3.14 with venv and pip, and ")
    assert ("python3.12 is no such Python" if chosen else f"found none (looked for {' '.join(NAMES)})") in sentence
    assert all(line.startswith("make") for line in rest), done.stderr
    assert not (path / "env").exists()


def is_narrow(requirement: Requirement) -> bool:
    """Whether a requirement stops before the next major version, or, of versions 0.x, before the minor version after its first one."""
    parts = {part.operator: [*map(int, part.version.split("."))] for part in requirement.specifier}
    first, bound = parts.get(">=", []), [number for number in parts.get("<", []) if number]
    if first[:1] == [0] and parts["<"][0] == 0:
        return parts["<"] != [0, first[1] + 1]
    return "==" in parts or len(bound) > 1


def test_no_package_is_held_back_without_a_reason() -> None:
    """A fault of another package's new version is held off here by a bound, which stays for years unless somebody asks why.

    So a narrow bound needs its name in this list, and a test below that fails once its reason is gone. DALL-E and
    pytorch-pretrained-biggan are archived, and duckdb has to match its extension, as the tests of queries show.
    """
    held = {requirement.name for text in PYPROJECT["project"]["dependencies"] if is_narrow(requirement := Requirement(text))}
    archived, matching = {"DALL-E", "pytorch-pretrained-biggan"}, {"duckdb", "duckdb-extension-httpfs"}
    assert held == {*archived, *matching, "prefect", "fastapi", "sqlalchemy"}


def test_prefect_is_held_while_the_lock_has_a_certifi_too_old_for_the_next() -> None:
    """Prefect 3.9.1 asks for a certifi of 2026-10-19, which the registry lacked. It runs with SQLAlchemy 2.1, and bounds fastapi itself.

    On Python 3.11 and 3.12 its scheduler fails with whenever 0.10, without a word on its pages: no schedule ever starts anything.
    """
    (certifi,) = (Version(part.version) for line in LOCK if line.name == "certifi" for part in line.specifier)
    assert certifi < Version("2026.10.19"), (
        f"certifi {certifi} is new enough for Prefect 3.9: in pyproject.toml take prefect>=3.9.1,<4, whenever>=0.11, no bound of fastapi "
        "below 1, and no sqlalchemy; then `make lock`, and see a schedule start something: dreamsweep up FILE."
    )


def test_fastapi_is_held_while_prefect_does_not_hold_it() -> None:
    """With fastapi 0.151 Prefect 3.8's server refuses the nulls that its own client sends."""
    (bound,) = (Requirement(text).specifier for text in requires("prefect") or () if Requirement(text).name == "fastapi")
    assert "0.151.0" in bound, f"Prefect itself asks for fastapi{bound}: take our bound of fastapi out of pyproject.toml."


def test_sqlalchemy_is_held_for_prefect_before_3_9() -> None:
    """With SQLAlchemy 2.1 the scheduler of Prefect 3.8 fails, and no schedule ever starts anything."""
    prefect = Version(version("prefect"))
    assert prefect < Version("3.9"), f"Prefect {prefect} works with SQLAlchemy 2.1: take sqlalchemy out of pyproject.toml."


@pytest.mark.parametrize(
    ("requirement", "narrow"),
    [("a>=2.1,<3", False), ("a>=0.3,<0.4", False), ("a>=2,<2.1", True), ("a>=0.139,<0.151", True), ("a>=0.139,<1", False), ("a==1", True)],
)
def test_narrow_bounds(requirement: str, narrow: bool) -> None:
    assert is_narrow(Requirement(requirement)) is narrow


def test_the_supported_versions_are_those_of_the_package() -> None:
    supported = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert all(version in supported for version in VERSIONS)
    assert not any(version in supported for version in ("3.10.14", "3.15.0"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_lock_holds_every_requirement_once(version: str, system: str) -> None:
    platform = {"sys_platform": system, "platform_system": system.title(), "platform_machine": "aarch64"}
    environment: dict[str, str] = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": version.rpartition(".")[0],
        "python_full_version": version,
        **platform,
    }
    locked = [line for line in LOCK if line.marker is None or line.marker.evaluate(environment)]
    pins = {canonical(line.name): line.specifier for line in locked}
    assert len(pins) == len(locked)
    for text in PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["dev"]:
        requirement = Requirement(text)
        (pin,) = pins[canonical(requirement.name)]
        assert pin.operator == "==" and pin.version in requirement.specifier, f"{requirement}: the lock has {pin}"


def test_everything_in_the_lock_but_torch_has_hashes() -> None:
    hashed = dict(entry.replace("\\\n", "").split("--hash=", 1) for entry in HASHES)
    locked, known = (
        {(canonical(each.name), str(each.specifier), str(each.marker)) for each in lines} for lines in (LOCK, map(Requirement, hashed))
    )
    assert {name for name, _, _ in locked - known} == {"torch"} and known <= locked, "run: make hashes"
    digests = [digest for some in hashed.values() for digest in re.split(r"\s+--hash=", some)]
    assert len(digests) > len(hashed) and all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in digests)

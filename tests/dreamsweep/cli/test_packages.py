"""What the package's metadata asks for, looked up: what is there, what is not, and what has the wrong version."""

from importlib import metadata
from pathlib import Path

import pytest

from dreamsweep.cli.installation import findings
from dreamsweep.cli.packages import packages, requirements

METADATA = """Metadata-Version: 2.4
Name: sleeper
Version: 1
Requires-Python: >=3.99
Provides-Extra: fast
Requires-Dist: numpy>=1
Requires-Dist: Py.YAML-is-not-this>=2
Requires-Dist: pillow<2
Requires-Dist: hollow
Requires-Dist: only-on-windows; sys_platform == "win32"
Requires-Dist: faster-than-light; extra == "fast"
"""


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an installed distribution that asks for what is there, and for what is not."""
    for name, text, modules in (("sleeper", METADATA, ""), ("hollow", "Metadata-Version: 2.4\nName: hollow\nVersion: 3\n", "hollow_words")):
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(text)
        (folder / "top_level.txt").write_text(modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "sleeper"


def test_everything_that_is_asked_for_is_looked_up(sleeper: str) -> None:
    assert {(package.name, package.extra, package.fault.partition(";")[0]) for package in packages(sleeper)} == {
        ("numpy", "", ""),
        ("Py.YAML-is-not-this", "", "not installed"),
        ("pillow", "", f"version {metadata.version('pillow')}, but <2 is needed"),
        ("hollow", "", "version 3, but its module 'hollow_words' is gone"),
        ("faster-than-light", "fast", "not installed"),
    }


def test_every_fault_says_what_to_install(sleeper: str) -> None:
    cures = {package.name: package.fault.partition("; ")[2] for package in packages(sleeper) if package.fault}
    assert cures == {
        "Py.YAML-is-not-this": "pip install 'Py.YAML-is-not-this>=2'",
        "pillow": "pip install 'pillow<2'",
        "hollow": "pip install --force-reinstall 'hollow==3'",
        "faster-than-light": "pip install 'sleeper[fast]'",
    }


def test_ours_are_all_there() -> None:
    listed = {package.name: package for package in packages("dreamsweep")}
    assert {
        "diffusers",
        "transformers",
        "safetensors",
        "pytorch-pretrained-biggan",
        "duckdb-extension-httpfs",
        "av",
        "fastapi",
    } <= listed.keys()
    assert len(listed) == len(list(requirements("dreamsweep"))) > 30
    assert [package.fault for package in listed.values() if not package.extra and package.fault] == []


def test_the_doctor_tells_of_each_fault(sleeper: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dreamsweep.cli.packages.US", sleeper)
    lines = {finding.what: finding for finding in findings(str(tmp_path / "runs"))}
    assert not lines["python"].ok and lines["python"].detail.endswith(", but >=3.99 is needed")
    assert lines["packages"].ok and lines["packages"].detail == f"numpy {metadata.version('numpy')}"
    assert not lines["package pillow"].ok and lines["package pillow"].needed
    assert not lines["extra fast"].ok and not lines["extra fast"].needed
    assert lines["duckdb httpfs"].ok and lines["duckdb httpfs"].detail.startswith("loads into DuckDB 1.")


def test_a_source_tree_that_is_not_installed_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("dreamsweep.cli.packages.US", "nothing-of-this-name")
    lines = {finding.what: finding for finding in findings(str(tmp_path / "runs"))}
    assert not lines["packages"].ok and "pip install -e ." in lines["packages"].detail

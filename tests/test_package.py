"""What an installed dreamsweep holds: every file that it needs, and no module beside other people's."""

import os
import subprocess
import sys
import tomllib
import zipfile
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


def test_a_wheel_puts_nothing_but_dreamsweep_into_an_environment(tmp_path: Path) -> None:
    """`flows`, `tasks`, `prompts` and the pools' templates are links in the package: whole in the wheel, and under its name alone."""
    build = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
    for name in ("pyproject.toml", "README.md", "LICENSE", "dreamsweep", "flows", "tasks", "prompts", "infra"):
        os.symlink(ROOT / name, tmp_path / name)
    command = [sys.executable, "-W", "ignore", "-c", build, str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"dreamsweep"}
    for folder, pattern in (("flows", "*.py"), ("tasks", "*.py"), ("prompts", "*.yaml"), ("prompts", "*.png"), ("infra/pools", "*.json")):
        files = {f"dreamsweep/{Path(folder).name}/{file.relative_to(ROOT / folder).as_posix()}" for file in (ROOT / folder).rglob(pattern)}
        assert files and files <= set(names)

"""Place where Prefect's settings name an API, read without Prefect, whose import takes seconds."""

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "PREFECT_API_URL"


@dataclass(frozen=True)
class ApiSetting:
    """Setting that names an API: the place, and what a person does to take it back."""

    place: str
    removal: str


def api_setting() -> ApiSetting | None:
    """Returns the setting that names an API, the one that Prefect prefers if there are several; None if there is none."""
    return next(_settings(), None)


def _settings() -> Iterator[ApiSetting]:
    """Yields the settings in Prefect's own order."""
    if os.environ.get(VARIABLE):
        yield ApiSetting(f"the environment variable {VARIABLE}", f"take it out with `unset {VARIABLE}`")
    if re.search(rf"^\s*(export\s+)?{VARIABLE}\s*=\s*\S", _read(Path(".env")), re.MULTILINE):
        yield _in_file(Path(".env"))
    if _url(_table(Path("prefect.toml"))):
        yield _in_file(Path("prefect.toml"))
    if _url(_inner(_table(Path("pyproject.toml")), "tool", "prefect")):
        yield _in_file(Path("pyproject.toml"))
    file = profiles_file()
    profiles = _table(file)
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    if _inner(profiles, "profiles", str(active)).get(VARIABLE):
        yield ApiSetting(f"profile {active!r} in {file}", f"take it out with `prefect config unset {VARIABLE}`")


def profiles_file() -> Path:
    """Returns the file that holds Prefect's profiles."""
    folder = os.environ.get("PREFECT_HOME") or "~/.prefect"
    return Path(os.path.expanduser(os.environ.get("PREFECT_PROFILES_PATH") or os.path.join(folder, "profiles.toml")))


def _in_file(file: Path) -> ApiSetting:
    return ApiSetting(f"the file {file.resolve()}", "take it out there")


def _url(table: dict[str, Any]) -> object:
    return _inner(table, "api").get("url")


def _inner(table: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns the table within a table; an empty one where there is none."""
    for name in names:
        inner = table.get(name)
        table = inner if isinstance(inner, dict) else {}
    return table


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError:  # Prefect says so itself
        return {}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""

"""Where `dreamsweep run` looks for a configured Prefect server, without importing Prefect."""

from pathlib import Path

import pytest

from dreamsweep.cli.prefect_runs import api_is_configured
from dreamsweep.errors import ApiError
from dreamsweep.flows.api_setting import api_setting
from dreamsweep.flows.local_server import check_api
from tests.conftest import free_socket

ADDRESS = "http://127.0.0.1:4200/api"
PROFILE = f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{ADDRESS}"\n'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and working folder, and no settings of Prefect's."""
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_by_default_none_is_configured() -> None:
    assert not api_is_configured()


def test_an_unrelated_project_file_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n')
    assert not api_is_configured()


def test_the_environment_comes_before_a_profile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "profiles.toml").write_text(PROFILE)
    monkeypatch.setenv("PREFECT_API_URL", ADDRESS)
    setting = api_setting()
    assert setting and setting.place == "the environment variable PREFECT_API_URL"


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("home/profiles.toml", PROFILE, "profile 'mine' in {file}"),
        ("home/profiles.toml", PROFILE.replace('active = "mine"', 'active = "ephemeral"'), None),
        ("home/profiles.toml", PROFILE + "[", None),
        ("home/profiles.toml", 'active = "local"\n[profiles]\n', None),
        (".env", f"PREFECT_API_URL={ADDRESS}\n", "the file {file}"),
        ("prefect.toml", f'[api]\nurl = "{ADDRESS}"\n', "the file {file}"),
        ("pyproject.toml", f'[tool.prefect]\napi.url = "{ADDRESS}"\n', "the file {file}"),
    ],
)
def test_files_that_prefect_reads(file: str, text: str, place: str | None, tmp_path: Path) -> None:
    (tmp_path / file).write_text(text)
    setting = api_setting()
    assert (setting and setting.place) == (place and place.format(file=tmp_path / file))


def test_a_profile_that_a_command_line_names(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "profiles.toml").write_text(PROFILE + "[profiles.other]\n")
    monkeypatch.setenv("PREFECT_PROFILE", "other")
    assert not api_is_configured()


def test_a_profile_whose_server_is_gone(home: Path) -> None:
    (home / "profiles.toml").write_text(PROFILE)
    with free_socket() as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ApiError) as caught:
        check_api(f"http://127.0.0.1:{port}/api")
    assert str(caught.value) == (
        f"Prefect's API at http://127.0.0.1:{port}/api does not answer (ConnectError); profile 'mine' in {home}/profiles.toml names it: "
        f"start it with `PREFECT_SERVER_API_PORT={port} prefect server start`, take it out with `prefect config unset PREFECT_API_URL`, "
        "or make sweeps without it (`dreamsweep run --no-prefect`)."
    )

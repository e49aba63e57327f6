"""A bar where somebody looks, and nothing elsewhere."""

import logging

import pytest
from rich.console import Console

from dreamsweep.display import Display
from dreamsweep.weights.progress import showing


def drawn(capsys: pytest.CaptureFixture[str]) -> str:
    with showing("ViT-B/32") as report:
        report(1_000_000, None)
        report(2_000_000, 4_000_000)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_on_a_terminal_and_off_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert drawn(capsys) == ""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "ViT-B/32" in drawn(capsys)


def test_not_over_a_sweeps_display(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    display = Display(Console(quiet=True), "night")
    logging.getLogger("dreamsweep.progress").addHandler(display)
    try:
        assert drawn(capsys) == ""
    finally:
        logging.getLogger("dreamsweep.progress").removeHandler(display)

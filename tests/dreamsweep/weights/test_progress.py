"""A bar where somebody looks, and nothing elsewhere."""

import io
import time

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


def test_a_sweeps_display_is_told_instead(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    shown = io.StringIO()
    with Display(Console(file=shown, force_terminal=True, width=100, color_system=None), "night"):
        assert drawn(capsys) == ""
        time.sleep(0.3)  # the display draws ten times a second
    assert "fetching ViT-B/32, 1 MB" in shown.getvalue()


def test_the_last_word_is_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    shown = io.StringIO()
    with Display(Console(file=shown, force_terminal=True, width=100, color_system=None), "night"):
        with showing("RN50") as report:
            report(2_000_000, 4_000_000)
            report(4_000_000, 4_000_000)
        time.sleep(0.3)
    assert "fetching RN50, 100% of 4 MB" in shown.getvalue()
    assert capsys.readouterr().err == ""

"""Progress of downloads: to a watcher, or a bar on a terminal, or nowhere."""

import pytest

from dreamsweep.weights.progress import report_downloads_to, show_progress


def drawn(capsys: pytest.CaptureFixture[str]) -> str:
    with show_progress("ViT-B/32") as report:
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


def test_a_watcher_is_told_instead(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    reports: list[tuple[str, int, int | None]] = []
    with report_downloads_to(lambda *report: reports.append(report)):
        assert drawn(capsys) == ""
        with report_downloads_to(None), show_progress("RN50") as on_progress:
            on_progress(2_000_000, 4_000_000)
            on_progress(3_000_000, 4_000_000)  # within the same second
            on_progress(4_000_000, 4_000_000)  # the last one always comes
    assert reports == [("ViT-B/32", 1_000_000, None), ("RN50", 2_000_000, 4_000_000), ("RN50", 4_000_000, 4_000_000)]
    assert "ViT-B/32" in drawn(capsys)

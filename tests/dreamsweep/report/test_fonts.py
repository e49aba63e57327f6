"""Every text is drawn or spelled, whatever its alphabet and whichever fonts a machine has."""

import pytest

from dreamsweep.report import fonts
from dreamsweep.report.fonts import legible, legible_by_families


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without fonts of its own."""
    monkeypatch.setattr(fonts, "_installed", tuple)


def test_ascii_is_drawn_as_it_is_on_one_line() -> None:
    lines, font = legible(["a red\theart\nand more"], 16)
    assert lines == ["a red heart and more"] and font.getlength(lines[0]) > 100


@pytest.mark.usefixtures("bare")
def test_what_dejavu_has_is_drawn_by_it() -> None:
    lines, font = legible(["ein schöner Tag", "красное сердце"], 16)
    assert lines == ["ein schöner Tag", "красное сердце"] and font.fonts[0].getname()[0] == "DejaVu Sans"
    assert legible_by_families(lines) == (lines, ["DejaVu Sans"])


@pytest.mark.usefixtures("bare")
def test_what_no_font_has_is_spelled_so_that_no_two_prompts_look_alike() -> None:
    lines, _ = legible(["日本", "日光 park", "❤️ 🦊"], 16)
    assert lines == ["⟨65E5⟩⟨672C⟩", "⟨65E5⟩⟨5149⟩ park", "❤ ⟨1F98A⟩"]
    assert legible_by_families(["日本", "a park"]) == (["⟨65E5⟩⟨672C⟩", "a park"], ["DejaVu Sans"])


@pytest.mark.parametrize("letter", "éфل→×−")
def test_letters_beyond_ascii_have_glyphs(letter: str) -> None:
    ((line,), font), (_, plain) = legible([letter], 16), legible(["a"], 16)
    assert line == letter and bytes(font.fonts[0].getmask(letter)) != bytes(font.fonts[0].getmask("\uffff"))
    assert bytes(plain.fonts[0].getmask(letter)) == bytes(plain.fonts[0].getmask("\uffff"))  # the plain font has none, hence the other


def test_an_installed_font_draws_what_dejavu_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    dejavu = fonts._dejavu()
    mono = dejavu.replace("DejaVuSans", "DejaVuSansMono")
    glyphs = {dejavu: frozenset("a "), mono: frozenset("日本")}
    monkeypatch.setattr(fonts, "_installed", lambda: (mono,))
    monkeypatch.setattr(fonts, "characters", glyphs.__getitem__)
    lines, face = legible(["日本 a", "b"], 16)
    assert lines == ["日本 a", "⟨62⟩"]
    assert [(font.getname()[0], run) for font, run in face._runs(lines[0])] == [("DejaVu Sans Mono", "日本"), ("DejaVu Sans", " a")]
    assert face.getlength("日本") > 10
    assert legible_by_families(["日本 a"]) == (["日本 a"], ["DejaVu Sans", "DejaVu Sans Mono"])


def test_fonts_of_this_machine_can_be_opened() -> None:
    assert all(fonts.characters(file) for file in fonts._installed())

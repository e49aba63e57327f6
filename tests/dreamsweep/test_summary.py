"""The contact sheet and the curves: drawn from what is published, at any size."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dreamsweep.contact_sheet import MAX_TILES, _font, _font_for
from dreamsweep.errors import StoreError
from dreamsweep.store import Store, open_store
from dreamsweep.summary import write_summary
from tests.dreamsweep.made_up import make_up

GRID: dict[str, Any] = {
    "engines": [{"engine": "dalle", "optimizer": [{"name": "adam", "learning_rate": [0.05, 0.1]}, "sgd"]}, "strokes"],
    "seeds": [0, 1],
    "prompts": ["a red heart", "a prompt that goes on and on " * 20],
}
MANY: dict[str, Any] = {
    "prompts": [{"template": "thing {n}", "n": [str(n) for n in range(60)]}],
    "engines": ["dalle"],
    "seeds": {"count": 5},
    "iterations": 10,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def opened(store: Store, key: str) -> Image.Image:
    return Image.open(io.BytesIO(store.read(key)))


@pytest.mark.parametrize("changes", [{}, {"prompts": ["a red heart"], "engines": ["dalle"]}, GRID], ids=["demo", "one trial", "grid"])
def test_both_pictures_are_drawn(store: Store, changes: dict[str, Any]) -> None:
    make_up(store, **changes)
    assert write_summary(store, "made-up") == ("made-up/summary/contact-sheet.png", "made-up/summary/curves.png")
    for key in write_summary(store, "made-up"):
        pixels = np.asarray(opened(store, key).convert("RGB"))
        assert 0.02 < (pixels != 255).mean() < 0.9  # neither empty nor full


def test_a_large_sweep_shows_its_best(store: Store) -> None:
    make_up(store, **MANY)
    sheet, _ = write_summary(store, "made-up")
    width, height = opened(store, sheet).size
    assert width * height < MAX_TILES * 300 * 300
    assert max(width, height) < 5000


def test_it_shows_each_trial_s_own_picture(store: Store) -> None:
    manifest = make_up(store, prompts=["a red heart"], engines=["dalle"])
    (key,) = [key for key in store.keys("made-up/pictures/") if key.endswith("best.png")]
    Image.new("RGB", (64, 64), (10, 200, 30)).save(out := io.BytesIO(), "PNG")
    store.write(key, out.getvalue())
    sheet, _ = write_summary(store, "made-up")
    pixels = np.asarray(opened(store, sheet).convert("RGB")).reshape(-1, 3)
    assert manifest.trials == 1
    assert ((pixels == (10, 200, 30)).all(1)).sum() > 200 * 200


def test_trials_that_diverged_or_lost_their_picture_do_not_spoil_it(store: Store) -> None:
    make_up(store, diverged=1)
    for key in [key for key in store.keys("made-up/pictures/") if key.endswith("best.png")][:2]:
        store.delete(key)
    write_summary(store, "made-up")


def test_prompts_in_any_script_and_with_odd_signs(store: Store) -> None:
    make_up(store, prompts=["قلب أحمر", "$x^2$ and 100 % {braces} _under_", "a\u200dz 😀"], engines=["dalle"])
    write_summary(store, "made-up")


def test_letters_beyond_ascii_have_glyphs() -> None:
    boxes = {bytes(_font(16).getmask("\uffff"))}
    for text in ("é", "ф", "ل", "ל"):
        assert bytes(_font_for(text, 16).getmask(text)) not in boxes | {bytes(_font_for(text, 16).getmask("\uffff"))}


def test_a_sweep_that_is_not_there_names_the_nearest(store: Store) -> None:
    with pytest.raises(StoreError, match=r"no published sweep 'made-up'; it has none yet"):
        write_summary(store, "made-up")
    make_up(store)
    with pytest.raises(StoreError, match=r"no published sweep 'mad-up'; did you mean 'made-up'\?"):
        write_summary(store, "mad-up")

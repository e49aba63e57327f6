"""The summary: the contact sheet and the curves, drawn from what is published, at any size."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dreamsweep.errors import StoreError
from dreamsweep.report.contact_sheet import pages, rows_of
from dreamsweep.report.query import query
from dreamsweep.report.sheet_drawing import PAPER, _font, _wrapped_words
from dreamsweep.report.summary import ensure_summary, write_summary
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample

GRID: dict[str, Any] = {
    "engines": [{"engine": "dalle", "optimizer": [{"name": "adam", "learning_rate": [0.05, 0.1]}, "sgd"]}, "strokes"],
    "seeds": [0, 1],
    "prompts": ["a red heart", "a prompt that goes on and on " * 20],
}
MANY: dict[str, Any] = {
    "prompts": [{"template": "thing {n}", "n": [str(n) for n in range(30)]}],
    "engines": ["dalle"],
    "seeds": {"count": 5},
    "iterations": 10,
}
WALKS: dict[str, Any] = {
    "prompts": [{"text": "a cat", "to": "a dog"}, {"text": "a cat", "to": "a bird"}],
    "engines": ["interpolation", "dalle"],
    "iterations": 10,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "runs"))


def pixels(store: Store, key: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(store.read(key))).convert("RGB"))


def paint(store: Store) -> dict[str, int]:
    """Gives every trial a picture of a colour of its own; returns the colour of each trial's id, as one number."""
    ids = sorted(key.split("/")[2] for key in store.keys("made-up/pictures/") if key.endswith("/best.png"))
    colours = {trial: (40 + 20 * (number % 10)) << 16 | (40 + 20 * (number // 10)) << 8 | 90 for number, trial in enumerate(ids)}
    for trial, colour in colours.items():
        Image.new("RGB", (64, 64), f"#{colour:06x}").save(out := io.BytesIO(), "PNG")
        store.write(f"made-up/pictures/{trial}/best.png", out.getvalue())
    return colours


def areas(store: Store, key: str) -> dict[int, int]:
    """How many pixels of a picture have each colour, where they are as many as of a small tile."""
    red, green, blue = np.moveaxis(pixels(store, key).astype(np.int64), -1, 0)
    colours, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    return {int(colour): int(count) for colour, count in zip(colours, counts, strict=True) if count > 100 * 100}


@pytest.mark.parametrize("changes", [{}, {"prompts": ["a red heart"], "engines": ["dalle"]}, GRID], ids=["demo", "one trial", "grid"])
def test_both_pictures_are_drawn(store: Store, changes: dict[str, Any]) -> None:
    publish_sample(store, **changes)
    summary = write_summary(store, "made-up")
    assert (*summary,) == (*summary.sheets, summary.curves) == ("made-up/summary/contact-sheet.png", "made-up/summary/curves.png")
    for key in summary:
        assert 0.02 < (pixels(store, key) != 255).mean() < 0.9  # neither empty nor full


def test_a_large_sweep_has_pages_with_every_trial_and_its_best_on_the_first(store: Store) -> None:
    publish_sample(store, **MANY)
    colours = paint(store)
    first, *others = write_summary(store, "made-up").sheets
    assert others == [f"made-up/summary/contact-sheet-{page}.png" for page in range(2, 2 + len(others))] and len(others) > 1
    for key in (first, *others):
        height, width, _ = pixels(store, key).shape
        assert width <= 2_000 and height <= 1_500, key
    shown = [colour for key in others for colour in areas(store, key) if colour in colours.values()]
    assert sorted(shown) == sorted(colours.values())  # each on one page
    by_prompt = "SELECT first(trial_id ORDER BY rank) AS trial_id FROM ranks JOIN trials USING (sweep, trial_id) GROUP BY prompt"
    best_first = query(store, f"{by_prompt} ORDER BY max(z_score) DESC", "made-up")["trial_id"].to_pylist()
    best, worst = best_first[:5], best_first[-10:]
    on_first = set(areas(store, first))
    assert {colours[trial] for trial in best} <= on_first
    assert on_first.isdisjoint(colours[trial] for trial in worst)


def test_many_settings_of_one_prompt_stand_below_each_other(store: Store) -> None:
    publish_sample(store, prompts=["a red heart"], engines=["dalle"], seeds={"count": 40}, iterations=10)
    colours = paint(store)
    (only,) = write_summary(store, "made-up").sheets
    assert set(colours.values()) <= set(areas(store, only))
    assert pixels(store, only).shape[1] <= 2_000


def test_a_summary_with_fewer_pages_leaves_none_of_the_one_before(store: Store) -> None:
    publish_sample(store, **MANY)
    assert len(write_summary(store, "made-up").sheets) > 2
    publish_sample(store, **{**MANY, "seeds": [0]})
    summary = write_summary(store, "made-up")
    assert [*store.keys("made-up/summary/")] == sorted(summary) and len(summary.sheets) == 1


ONE: dict[str, Any] = {"prompts": ["a red heart"], "engines": ["dalle"], "iterations": 10}


def copied_ids(store: Store) -> list[str]:
    """Returns the trials of the copy whose path stays the same."""
    ids: list[str] = pq.read_table(io.BytesIO(store.read("made-up/summary/trials.parquet")))["trial_id"].to_pylist()
    return sorted(ids)


def published_ids(store: Store) -> list[str]:
    return sorted(query(store, "SELECT trial_id FROM trials", "made-up")["trial_id"].to_pylist())


def test_the_trials_are_copied_to_one_path_in_the_form_that_a_store_holds(store: Store) -> None:
    manifest = publish_sample(store, **ONE)
    ensure_summary(store, manifest)
    (key,) = manifest.tables["trials"]
    copy, original = (pq.read_table(io.BytesIO(store.read(name))) for name in ("made-up/summary/trials.parquet", key))
    assert copy.equals(original) and copy["best_uri"].to_pylist() == [f"pictures/{copied_ids(store)[0]}/best.png"]
    manifest = publish_sample(store, **{**ONE, "seeds": [0, 1]})
    assert len(copied_ids(store)) == 1, "it is that of the last run's end, and whole"
    ensure_summary(store, manifest)
    assert copied_ids(store) == published_ids(store) and len(copied_ids(store)) == 2


def test_a_bucket_has_the_copy_as_well(s3_bucket: str) -> None:
    store = open_store(f"s3://{s3_bucket}/night")
    manifest = publish_sample(store, **ONE)
    ensure_summary(store, manifest)
    assert [entry.key for entry in store.entries("made-up/summary/trials")] == ["made-up/summary/trials.parquet"]
    assert len(copied_ids(store)) == manifest.trials == 1


def test_of_several_files_of_trials_the_copy_is_one(store: Store) -> None:
    manifest = publish_sample(store, **{**ONE, "seeds": [0, 1], "shard_size": 1})
    staged = [entry.key for entry in store.entries("made-up/staging/") if entry.key.endswith("trials.parquet")]
    ensure_summary(store, manifest.model_copy(update={"tables": {**manifest.tables, "trials": tuple(staged)}}))
    assert len(staged) == 2 and copied_ids(store) == published_ids(store)


def test_a_store_of_an_earlier_version_gets_the_copy_and_keeps_its_drawings(store: Store) -> None:
    manifest = publish_sample(store, **ONE)
    summary = ensure_summary(store, manifest)
    record = json.loads(store.read("made-up/summary/drawn.json"))
    assert record.pop("trials") == "made-up/summary/trials.parquet"
    store.write("made-up/summary/drawn.json", json.dumps(record).encode())
    store.delete("made-up/summary/trials.parquet")
    store.write(summary.curves, b"as it was")
    assert ensure_summary(store, manifest) == summary
    assert copied_ids(store) == published_ids(store) and store.read(summary.curves) == b"as it was"


def test_of_two_runs_that_publish_the_later_one_copies(store: Store) -> None:
    manifest = publish_sample(store, **ONE)
    later = publish_sample(store, **{**ONE, "seeds": [0, 1]})
    ensure_summary(store, manifest)  # its tables are gone by now
    assert not store.exists("made-up/summary/trials.parquet")
    ensure_summary(store, later)
    assert copied_ids(store) == published_ids(store)


def test_a_damaged_table_is_an_error_and_leaves_the_copy_as_it_was(store: Store) -> None:
    manifest = publish_sample(store, **ONE)
    ensure_summary(store, manifest)
    record = json.loads(store.read("made-up/summary/drawn.json"))
    del record["trials"]
    store.write("made-up/summary/drawn.json", json.dumps(record).encode())
    ids = published_ids(store)
    store.write(manifest.tables["trials"][0], b"damaged")
    with pytest.raises(StoreError, match="cannot be read"):
        ensure_summary(store, manifest)
    assert copied_ids(store) == ids


def test_prompts_that_share_their_text_have_a_tile_each(store: Store) -> None:
    alike = [
        {"text": "a cat"},
        {"text": "a cat", "weight": 2},
        {"text": "a cat", "negatives": ["a dog"]},
        {"text": "a cat", "also": ["ink"]},
    ]
    publish_sample(store, prompts=alike, engines=["dalle"], iterations=10)
    colours = paint(store)
    assert len(colours) == 4
    (sheet,) = write_summary(store, "made-up").sheets
    assert set(colours.values()) <= set(areas(store, sheet))


def test_walks_from_one_text_have_a_row_each_beside_what_others_draw_of_it(store: Store) -> None:
    publish_sample(store, **WALKS)
    colours = paint(store)
    (sheet,) = write_summary(store, "made-up").sheets
    sizes = areas(store, sheet)
    walks = query(store, "SELECT trial_id FROM trials WHERE engine = 'interpolation'", "made-up")["trial_id"].to_pylist()
    (plain,) = colours.keys() - set(walks)
    walked = [sizes[colours[trial]] for trial in walks]
    assert len(walked) == 2 and sizes[colours[plain]] == sum(walked)  # in both rows: it is what dalle draws of either


def test_trials_that_diverged_or_lost_their_picture_do_not_spoil_it(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    publish_sample(store, diverged=1)
    colours = paint(store)
    removed, damaged, *whole = colours
    store.delete(f"made-up/pictures/{removed}/best.png")
    store.write(f"made-up/pictures/{damaged}/best.png", store.read(f"made-up/pictures/{damaged}/best.png")[:60])
    (sheet,) = write_summary(store, "made-up").sheets
    sizes = areas(store, sheet)
    assert len(whole) == 10 and {colours[trial] for trial in whole} <= sizes.keys()
    assert colours[removed] not in sizes and colours[damaged] not in sizes
    assert re.search(r"2 pictures missing or damaged, such as made-up/pictures/.*dreamsweep verify made-up names all", caplog.text)
    assert sizes[0xF6F8FA] > 1.9 * sizes[colours[whole[0]]]  # two grey squares with a word in each


@pytest.mark.parametrize("prompt", ["قلب أحمر", "$x^2$ and 100 % {braces} _under_", "a\u200dz 😀"])
def test_prompts_in_any_script_and_with_odd_signs(store: Store, prompt: str) -> None:
    publish_sample(store, prompts=[prompt, "a plain one"], engines=["dalle"], iterations=10)
    (sheet,) = write_summary(store, "made-up").sheets
    names = (pixels(store, sheet)[98:123] < 128).all(-1)  # the line of the prompts' names, which are ink on paper
    assert PAPER == "#ffffff" and min(half.sum() for half in np.array_split(names, 2, axis=1)) > 50


def test_a_long_name_keeps_its_start_and_its_end() -> None:
    names = [f"a portrait of an old woman with a pearl earring in the style of {who}" for who in ("Vermeer", "Picasso")]
    lines = [_wrapped_words(name, _font(16), 208) for name in names]
    assert [line[0] for line in lines] == ["a portrait of an old woman"] * 2
    assert [line[1] for line in lines] == ["… in the style of Vermeer", "… in the style of Picasso"]
    assert _wrapped_words("a cat", _font(16), 208) == ["a cat"]
    assert all(_font(16).getlength(line) <= 100 for line in _wrapped_words("x" * 400, _font(16), 100))


def test_a_sweep_that_is_not_there_names_the_nearest(store: Store) -> None:
    with pytest.raises(StoreError, match=r"no published sweep 'made-up'; it has none yet"):
        write_summary(store, "made-up")
    publish_sample(store)
    with pytest.raises(StoreError, match=r"no published sweep 'mad-up'; did you mean 'made-up'\?"):
        write_summary(store, "mad-up")


@pytest.mark.parametrize(
    ("prompts", "seeds", "words"),
    [(64, [0], r"the first \d+ of 64 prompts"), (32, [0, 1], r"the best \d+ of 32 prompts, by their standing within each prompt")],
)
def test_a_prompt_with_one_trial_is_no_better_than_another(store: Store, prompts: int, seeds: list[int], words: str) -> None:
    things = [{"template": "thing {n}", "n": [str(n) for n in range(prompts)]}]
    publish_sample(store, prompts=things, engines=["dalle"], seeds=seeds, iterations=10)
    overview, *_ = pages("made-up", rows_of(store, "made-up"))
    assert re.search(words, overview.note)

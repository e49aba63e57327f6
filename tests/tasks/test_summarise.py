"""The one page that Prefect shows of a sweep: its words, its pictures, its size, and what it must not hold."""

import base64
import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image

from dreamsweep.planning.pictures import decode_picture
from dreamsweep.report.best import best_trials
from dreamsweep.report.summary import Summary
from dreamsweep.review.address import ADDRESS
from dreamsweep.store import Store, keys, open_store
from dreamsweep.tasks.summarise import ROWS, data_uri, escaped, summary_page
from tests.dreamsweep.sample_sweep import publish_sample

SHEETS = tuple(keys.contact_sheet("made-up", number) for number in (1, 2, 3))
CURVES = keys.curves("made-up")


def noise(side: int) -> bytes:
    """A picture that no format makes small."""
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(out, "PNG")
    return out.getvalue()


def picture_of(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path))
    publish_sample(store, prompts=["a red heart", "a | <b>rocket</b>"])
    for key in (SHEETS[0], CURVES):
        store.write(key, noise(300), "image/png")
    return store


@pytest.mark.parametrize("pages", [1, 3])
def test_it_names_the_first_page_and_says_how_many_there_are(store: Store, pages: int) -> None:
    text, best = summary_page(store, "made-up", Summary(SHEETS[:pages], CURVES))
    assert best is not None and f"4 trials, 4 of them done; the judge's best mark is {best:.3f}." in text
    ending = ", the first of 3 pages; the others lie beside it, up to `contact-sheet-3.png`" if pages > 1 else ""
    assert text.splitlines()[-1] == f"Contact sheet: `{store.uri_of(SHEETS[0])}`{ending}. Curves: `{store.uri_of(CURVES)}`."


def test_sheet_curves_and_a_thumbnail_of_each_prompt_and_engine_lie_in_it(store: Store) -> None:
    text, _ = summary_page(store, "made-up", Summary(SHEETS[:1], CURVES))
    pictures = [picture_of(uri) for uri in re.findall(r"\]\((data:image/webp;base64,[^)]*)\)", text)]
    assert [picture.size for picture in pictures] == [(300, 300)] * 2 + [(112, 112)] * 4
    rows = [line.split(" | ")[1:3] for line in text.splitlines() if line.startswith("| ![")]
    assert sorted(rows) == [[prompt, engine] for prompt in (r"a \| \<b\>rocket\<\/b\>", "a red heart") for engine in ("dalle", "strokes")]


def test_a_picture_that_is_gone_leaves_its_row(store: Store) -> None:
    for key in store.keys(keys.pictures("made-up")):
        store.delete(key)
    text, _ = summary_page(store, "made-up", Summary(SHEETS[:1], CURVES))
    assert len([line for line in text.splitlines() if line.startswith("| – | ")]) == 4


def test_of_many_only_the_best_are_shown(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    publish_sample(store, prompts=[f"thing {number}" for number in range(ROWS + 3)], engines=["dalle"])
    text, best = summary_page(store, "made-up", Summary(SHEETS[:1], CURVES))
    assert f"## The best of each prompt and engine: {ROWS} of {ROWS + 3}" in text
    marks = [float(mark) for mark in re.findall(r"\| (\d\.\d{3}) \|", text)]
    shown = best_trials(store, "made-up")[:ROWS]
    assert len(marks) == ROWS and marks == [round(trial.judge, 3) for trial in shown] and max(marks) <= round(best or 0, 3)


def test_the_review_page_is_a_link_and_without_one_a_command(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = Summary(SHEETS[:1], CURVES)
    assert f"on the review page: `dreamsweep review made-up --store {store.uri}`" in summary_page(store, "made-up", summary)[0]
    monkeypatch.setenv(ADDRESS, "http://me:secret@127.0.0.1:4300/")
    text, _ = summary_page(store, "made-up", summary)
    address = "http://127.0.0.1:4300/sweeps/made-up"
    assert f"on the review page: [{address}]({address})" in text and "secret" not in text


@pytest.mark.parametrize(("side", "size"), [(112, 5_000), (400, 20_000)])
def test_a_picture_is_shrunk_until_it_is_small_enough(side: int, size: int) -> None:
    uri = data_uri(decode_picture(noise(500)), side, size)
    assert uri and len(base64.b64decode(uri.partition("base64,")[2])) <= size
    assert max(picture_of(uri).size) <= side
    assert data_uri(decode_picture(noise(500)), side, 20) is None
    assert data_uri(None, side, size) is None


def test_no_text_becomes_mark_up() -> None:
    assert escaped("a *b*\n| [c](d) `e` <f> \\") == r"a \*b\* \| \[c\]\(d\) \`e\` \<f\> \\"
    assert escaped("x" * 300) == "x" * 199 + "…"

"""Search from Python: tables, the sheet, and what a notebook shows."""

from pathlib import Path

import pytest
from PIL import Image

import dreamsweep as ds
from dreamsweep.store import open_store
from tests.dreamsweep.report.test_search import JUDGE, near, publish_embedded
from tests.dreamsweep.sample_rows import sample_trial


@pytest.fixture
def runs(tmp_path: Path) -> str:
    """A store with two trials."""
    trials = {sample_trial(seed=seed): [(6, JUDGE, near("a red heart", 0.5 + 0.1 * seed))] for seed in range(2)}
    publish_embedded(open_store(str(tmp_path)), "hearts", trials)
    return str(tmp_path)


def test_a_search(runs: str) -> None:
    results = ds.find("a red heart", store=runs)
    assert results.table()["seed"].to_pylist() == [1, 0]
    assert len(results) == 2 and len(ds.find("a red heart", store=runs, limit=1)) == 1
    assert repr(results) == "<2 pictures of 2, nearest to 'a red heart' by starter-judge>"
    assert results.sheet().size[0] > 400
    assert results._repr_html_().startswith('<img alt="a red heart" src="data:image/jpeg;base64,')


def test_like_a_file_or_a_picture(runs: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 32), "red")
    picture.save(tmp_path / "red.png")
    from_file, from_memory = (ds.find(like=like, store=runs) for like in (tmp_path / "red.png", picture))
    assert from_file.table() == from_memory.table() and len(from_file) == 2
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ds.UserError, match="it cannot be read as a picture"):
        ds.find(like=tmp_path / "text.png", store=runs)
    with pytest.raises(ds.UserError, match="the file cannot be read"):
        ds.find(like=tmp_path / "none.png", store=runs)

"""Results from Python: tables in several libraries, pictures, and what a notebook shows of them."""

import base64
import builtins
import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pyarrow as pa
import pytest
from PIL import Image

import dreamsweep as ds
from dreamsweep.api.conversion import convert
from dreamsweep.store import open_store
from tests.dreamsweep.sample_sweep import publish_sample

Patch = pytest.MonkeyPatch


@pytest.fixture
def runs(tmp_path: Path) -> str:
    """A store with a sweep of twelve trials, one of which diverged in each shard."""
    publish_sample(open_store(str(tmp_path)), diverged=1, snapshots=(20,))
    return str(tmp_path)


def test_a_store_lists_its_sweeps(runs: str) -> None:
    store = ds.open(runs)
    assert store.sweeps() == ["made-up"] and "made-up" in store and "other" not in store
    assert [sweep.name for sweep in store] == ["made-up"]
    assert store.query("SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 12}]
    assert "<td>made-up</td><td>12</td><td>10</td>" in store._repr_html_()
    with pytest.raises(ds.UserError, match="did you mean 'made-up'"):
        store["made-upp"]


def test_an_empty_store(tmp_path: Path) -> None:
    store = ds.open(str(tmp_path))
    assert store.sweeps() == []
    assert "nothing is published yet" in store._repr_html_()
    with pytest.raises(ds.DreamsweepError):
        store["demo"]
    with pytest.raises(ds.UserError, match="no store speaks 'ftp'"):
        ds.open("ftp://x")


def test_tables(runs: str) -> None:
    sweep = ds.open(runs)["made-up"]
    assert isinstance(sweep.trials(), pa.Table)
    assert (sweep.trials().num_rows, sweep.scores().num_rows) == (12, 10 * 60 + 2 * 20)
    assert sweep.query("SELECT DISTINCT status FROM trials ORDER BY 1")["status"].to_pylist() == ["diverged", "done"]
    assert sweep.manifest.trials == 12


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_not_installed_is_one_sentence(library: Literal["pandas", "polars"], runs: str, monkeypatch: Patch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ds.UserError, match=f"^to='{library}' needs a package that is not installed: pip install {library}$"):
        ds.open(runs)["made-up"].trials(to=library)


def test_polars_reads_arrow(runs: str, monkeypatch: Patch) -> None:
    monkeypatch.setitem(sys.modules, "polars", SimpleNamespace(from_arrow=lambda table: table.num_rows))
    assert ds.open(runs)["made-up"].trials(to="polars") == 12


def test_pandas_reads_arrow(runs: str) -> None:
    pytest.importorskip("pandas", reason="pandas is no dependency, and is not installed")
    assert len(ds.open(runs)["made-up"].trials(to="pandas")) == 12


def test_another_kind_of_table_is_refused() -> None:
    with pytest.raises(ds.UserError, match="to='excel': no such kind of table; use 'arrow', 'pandas' or 'polars'"):
        convert(pa.table({"n": [1]}), "excel")


def test_pictures(runs: str) -> None:
    sweep = ds.open(runs)["made-up"]
    trial_id = sweep.trials()["trial_id"][0].as_py()
    best, snapshot = sweep.picture(trial_id), sweep.picture(trial_id, iteration=20)
    assert best.size == snapshot.size == (128, 128) and best.mode == "RGB"
    assert best.tobytes() != snapshot.tobytes()
    for wrong in ({"name": "sheet"}, {"iteration": 21}):
        with pytest.raises(ds.UserError, match=f"trial '{trial_id}'.* holds no"):
            sweep.picture(trial_id, **wrong)
    with pytest.raises(ds.UserError, match=r"holds no best\.png"):
        sweep.picture("../../secrets")


def test_a_notebook_shows_the_contact_sheet(runs: str) -> None:
    sweep = ds.open(runs)["made-up"]
    before = sorted(open_store(runs).keys(""))
    html = sweep._repr_html_()
    assert "10 of 12 trials done" in html
    encoded = re.search(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert encoded
    shown, sheet = Image.open(io.BytesIO(base64.b64decode(encoded[1]))), sweep.contact_sheet()
    assert shown.width <= 1000 and abs(shown.width / shown.height - sheet.width / sheet.height) < 0.01
    assert sorted(open_store(runs).keys("")) == before, "looking writes nothing"


@pytest.mark.parametrize("page", [0, 2])
def test_a_page_that_is_not_there(page: int, runs: str) -> None:
    with pytest.raises(ds.UserError, match=f"page={page}: the contact sheet of sweep 'made-up' has no such page"):
        ds.open(runs)["made-up"].contact_sheet(page)


def test_open_is_not_python_s_open() -> None:
    import dreamsweep

    assert "open" not in vars(dreamsweep) or vars(dreamsweep)["open"] is not builtins.open
    assert repr(ds.open("runs")).startswith("dreamsweep.open('file:///")


class Shell(SimpleNamespace):
    """A stand-in for a notebook's shell, and for what its outputs show."""

    def shown(self) -> list[str]:
        """Returns what was shown, first to last."""
        return [str(value) for value in self.values]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shell:
    values: list[Any] = []

    def display(value: Any, display_id: bool) -> SimpleNamespace:
        values.append(value)
        return SimpleNamespace(update=values.append)

    shell = Shell(kernel=None, values=values)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, version_info=(9, 0)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return shell


@pytest.mark.usefixtures("tiny_weights")
def test_progress_in_a_notebook_is_one_output_that_is_replaced(notebook: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.api.progress.REFRESH_SECONDS", 0)
    from tests.dreamsweep.generation.sweeps import small_sweep

    ds.run(small_sweep(), str(tmp_path))
    shown = notebook.shown()
    assert shown[0] == "t starting…" and "loading networks" in shown[1]
    assert shown[2] == "t 0/4 trials · strokes: 'a red heart', 'a green apple'"
    assert shown[-1].startswith("t 4 trials done in ")
    assert '<progress max="4" value="4.00"' in notebook.values[-1]._repr_html_()

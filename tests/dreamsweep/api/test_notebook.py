"""The notebook of the docs: its cells run, and what it shows was made by them."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[3] / "docs" / "notebook.ipynb"
CELLS: list[dict[str, Any]] = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_it_was_executed_from_top_to_bottom() -> None:
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    shown = json.dumps(outputs)
    assert "data:image/jpeg;base64," in shown and '"image/png"' in shown and "trials done in" in shown
    assert NOTEBOOK.stat().st_size < 1_000_000


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_weights")
@pytest.mark.filterwarnings("ignore:starter-.* never learned:UserWarning")  # the tiny weights know three prompts
def test_its_cells_run_as_plain_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in CELLS:
        source = "".join(cell["source"]).replace('"iterations": 60', '"iterations": 2')
        tree = ast.parse(source)
        *_, last = tree.body
        exec(compile(tree, "notebook", "exec"), names)
        value = eval(ast.unparse(last), names) if isinstance(last, ast.Expr) and "ds.run" not in source else None
        if html := getattr(value, "_repr_html_", None):
            assert "<" in html()
    assert "no engine 'dallee'; did you mean 'dalle'" in capsys.readouterr().out
    assert names["results"].manifest.trials == 8, "the last run added a prompt"

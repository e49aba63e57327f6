"""Keys: written as they always were, and spelled in one file only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamsweep.store import is_key, keys

PACKAGE = Path(__file__).parents[3] / "dreamsweep"
FILES = sorted({*PACKAGE.rglob("*.py"), *(PACKAGE / "flows").glob("*.py"), *(PACKAGE / "tasks").glob("*.py")} - {PACKAGE / "store/keys.py"})
SPELLED = re.compile(
    r"(^|/)(staging|states|pictures|tables|planned|summary|concepts)/|(^|/)(manifest\.json|sweep\.yaml|progress\.json|checkpoint\.safetensors)$"
    r"|(contact-sheet|curves|best|final|sheet)\.png$|(trials|scores|embeddings)\.parquet$|^film\.$|\.image$"
)
"""What no string outside keys.py may hold."""
ROUTES = {("review/app.py", "/pictures/{sweep}/{trial}/{file}"), ("review/protection.py", "/pictures/")}
"""Addresses of the review page, which look like keys."""
EXPORTED = {("export/chosen.py", "trials.parquet"), ("export/pictures.py", "trials.parquet"), ("export/gallery.py", "pictures/")}
"""Names of files that leave a store, likewise."""


def strings(path: Path) -> Iterator[str]:
    """Every string of a file that is no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # bare strings, also those of fields
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.value


def test_every_key_is_as_it_always_was() -> None:
    assert keys.manifest("demo") == "demo/manifest.json"
    assert keys.lease(keys.manifest("demo"), "w1") == "demo/manifest.json.lease-w1"
    assert keys.sweep_file("demo") == "demo/sweep.yaml"
    assert keys.table("demo", "0f", "trials") == "demo/tables/0f/trials.parquet"
    assert keys.picture("demo", "t1", keys.BEST) == "demo/pictures/t1/best.png"
    assert keys.picture("demo", "t1", keys.FINAL) == "demo/pictures/t1/final.png"
    assert keys.picture("demo", "t1", keys.SHEET) == "demo/pictures/t1/sheet.png"
    assert keys.picture("demo", "t1", keys.film_name("webp")) == "demo/pictures/t1/film.webp"
    assert keys.picture("demo", "t1", keys.film_name("gif", "strokes")) == "demo/pictures/t1/strokes.gif"
    assert keys.picture("demo", "t1", keys.snapshot_name(20)) == "demo/pictures/t1/000020.png"
    assert keys.staged_manifest("demo", "s1") == "demo/staging/s1/manifest.json"
    assert keys.staged_table("demo", "s1", "scores") == "demo/staging/s1/scores.parquet"
    assert keys.checkpoint("demo", "s1") == "demo/staging/s1/checkpoint.safetensors"
    assert keys.progress("demo", "s1") == "demo/staging/s1/progress.json"
    assert keys.state("demo", "l1", 200, "s1") == "demo/states/l1/000200-s1.safetensors"
    assert keys.planned_shard("demo", "s1") == "demo/planned/s1.json"
    assert keys.planned_picture("demo", "ab") == "demo/planned/ab.image"
    assert keys.concept("demo", "ab") == "demo/concepts/ab.safetensors"
    assert keys.contact_sheet("demo") == "demo/summary/contact-sheet.png"
    assert keys.contact_sheet("demo", 2) == "demo/summary/contact-sheet-2.png"
    assert keys.contact_sheet("demo", 2).startswith(keys.further_sheets("demo"))
    assert keys.curves("demo") == "demo/summary/curves.png"
    assert keys.summary_trials("demo") == "demo/summary/trials.parquet"
    assert keys.summary_catalogue("demo", "0f") == "demo/summary/catalogue-0f.npz"


def test_keys_lie_below_their_folders_and_say_what_they_belong_to() -> None:
    assert all(is_key(key) for key in (keys.manifest("demo"), keys.planned_picture("demo", "ab")))
    assert keys.table("demo", "0f", "trials").startswith(keys.tables("demo"))
    assert keys.picture("demo", "t1", "x.svg").startswith(keys.pictures("demo"))
    assert keys.checkpoint("demo", "s1").startswith(keys.staged("demo", "s1"))
    assert keys.staged("demo", "s1").startswith(keys.staging("demo"))
    assert keys.state("demo", "l1", 200, "s1").startswith(keys.states("demo", "l1"))
    assert keys.states("demo", "l1").startswith(keys.states("demo"))
    assert keys.state_of(keys.state("demo", "l1", 1_000_000, "s1")) == ("l1", 1_000_000, "s1")
    assert keys.staging("demo").startswith(keys.folder("demo"))
    assert keys.summary_catalogue("demo", "0f").startswith(keys.summary_catalogues("demo"))
    assert keys.lease("demo/a", "w1").startswith(keys.leases("demo/a"))
    assert keys.planned_shard("demo", "s1").startswith(keys.planned("demo"))
    assert keys.generation_of(keys.table("demo", "0f", "trials")) == "0f"
    assert keys.trial_of(keys.picture("demo", "t1", "x.svg")) == "t1"
    assert keys.shard_of(keys.progress("demo", "s1")) == "s1"
    assert keys.planned_shard_of(keys.planned_shard("demo", "s1")) == "s1"
    assert keys.planned_shard_of(keys.planned_picture("demo", "ab")) is None


def test_no_other_file_spells_a_key() -> None:
    assert len(FILES) > 100
    spelled = {(path.relative_to(PACKAGE).as_posix(), text) for path in FILES for text in strings(path) if SPELLED.search(text)}
    assert spelled == ROUTES | EXPORTED


@pytest.mark.parametrize("code", ['f"{sweep}/manifest.json"', 'key.startswith("demo/staging/")', 'f"{a}/pictures/{b}/best.png"'])
def test_a_key_that_is_spelled_is_seen(tmp_path: Path, code: str) -> None:
    file = tmp_path / "x.py"
    file.write_text(f'"""Not this: a/manifest.json."""\nx = {code}\n')
    assert any(SPELLED.search(text) for text in strings(file))
    file.write_text('"""Not this: a/manifest.json."""\n')
    assert not any(SPELLED.search(text) for text in strings(file))

"""Preference pairs: what one person picked beside what the same person rejected of the same prompt."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dreamsweep.errors import UserError
from dreamsweep.export.formats import export
from dreamsweep.export.selection import Selection
from dreamsweep.results.appended import append
from dreamsweep.store import Store
from tests.dreamsweep.export.conftest import PROMPTS, ids, rate


def test_pairs_of_picks_and_rejections(store: Store, tmp_path: Path) -> None:
    rate(store, ids(store, PROMPTS[0])[3], "pick", -1, "ben")  # who picked nothing of it
    *_, last = export(store, Selection(), "pairs", tmp_path / "pairs.parquet")
    assert last.done == 6
    table = pq.read_table(tmp_path / "pairs.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["chosen"] == features["rejected"] == {"_type": "Image"} and [*features] == table.column_names
    rows = table.to_pylist()
    expected = {(prompt, ids(store, prompt)[place], ids(store, prompt)[2]) for prompt in PROMPTS for place in (0, 1)}
    assert {(row["prompt"], row["chosen_trial"], row["rejected_trial"]) for row in rows} == expected
    first = rows[0]
    assert first["chosen"]["bytes"] == store.read(f"made-up/pictures/{first['chosen_trial']}/best.png")
    assert {(row["reviewer"], row["source"]) for row in rows} == {("anna", "pick")}


def test_pairs_of_duels(store: Store, tmp_path: Path) -> None:
    left, right, third = ids(store, PROMPTS[1])[3:6]
    for winner, other, person in (("right", right, "anna"), ("tie", third, "anna"), ("left", third, "ben"), ("none", third, "ben")):
        append(store, "made-up", "duels", {"left_trial_id": left, "right_trial_id": other, "winner": winner, "rated_by": person})
    *_, last = export(store, Selection(trials=(left, right, third)), "pairs", tmp_path / "pairs.parquet")
    (row,) = pq.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert last.done == 1 and (row["chosen_trial"], row["rejected_trial"], row["reviewer"], row["source"]) == (right, left, "anna", "duel")


def test_the_columns_of_pick_a_pic(store: Store, tmp_path: Path) -> None:
    list(export(store, Selection(), "pickapic", tmp_path / "pairs.parquet"))
    for row in pq.read_table(tmp_path / "pairs.parquet").to_pylist():
        better = 0 if row["label_0"] == 1 else 1
        assert row["label_0"] + row["label_1"] == 1 and row["best_image_uid"] == row[f"image_{better}_uid"]
        assert row[f"jpg_{better}"] == store.read(f"made-up/pictures/{row['best_image_uid']}/best.png")
        assert row["image_0_uid"] < row["image_1_uid"] and row["num_example_per_prompt"] == 2 and row["has_label"]


def test_a_selection_without_pairs_says_how_to_get_some(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the selection holds no pair: a pair is a decided duel, or a picture that somebody picked"):
        list(export(store, Selection(marks="picked"), "pairs", tmp_path / "pairs.parquet"))
    assert not (tmp_path / "pairs.parquet").exists()

"""Judging after the fact: rows, what goes wrong with one picture, and a run that is cut off."""

import io
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dreamsweep.compute.images import decode_png
from dreamsweep.errors import PluginError, StoreError
from dreamsweep.generation import judging
from dreamsweep.generation.judging import Judged, PictureKind, judge_sweep
from dreamsweep.guidance.targets import shrink
from dreamsweep.guidance.wording import things_in
from dreamsweep.judges.auditor import load_auditor
from dreamsweep.perceptors import load_perceptor
from dreamsweep.report.query import query
from dreamsweep.store import Store, keys, open_store
from tests.dreamsweep.sample_sweep import publish_sample

COLUMNS = "trial_id, picture, iteration, judge, version, prompt, round(score, 6) AS score, reason, error"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A folder with a sweep of six trials, three prompts by two engines."""
    opened = open_store(str(tmp_path))
    publish_sample(opened, prompts=["a red heart", "a rocket", "a green apple"], snapshots=(30,))
    return opened


def run(store: Store, *judges: str, pictures: tuple[PictureKind, ...] = ("best",)) -> list[Judged]:
    return list(judge_sweep(store, "made-up", judges, pictures, "cpu"))


def rows(store: Store, columns: str = COLUMNS) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = query(store, f"SELECT {columns} FROM judgements ORDER BY ALL").to_pylist()
    return table


def test_a_score_is_what_the_perceptor_says(store: Store) -> None:
    assert run(store, "starter-guide")[-1] == Judged("starter-guide", 6, 6, 0)
    perceptor = load_perceptor("starter-guide", "cpu")
    for row in rows(store):
        pixels = decode_png(store.read(keys.picture("made-up", row["trial_id"], "best.png")))[None].float().div(255)
        near = perceptor.embed_pictures(shrink(pixels, perceptor.resolution)) @ perceptor.embed_texts([row["prompt"]]).T
        assert row["score"] == pytest.approx(float(near), abs=1e-4) and row["error"] is None
        assert row["version"] == perceptor.sha256 and row["picture"] == "best.png"


def test_several_judges_and_pictures(store: Store) -> None:
    run(store, "starter-guide", "labels:things", pictures=("best", "final", "snapshots"))
    names = [(row["judge"], row["picture"]) for row in rows(store)]
    for judge in ("starter-guide", "labels:things"):
        assert {picture for name, picture in names if name == judge} == {"best.png", "final.png", "000030.png"}
    assert len(names) == len({*names}) * 6
    ranked = query(store, "SELECT DISTINCT judge, chose_best, trials FROM ranks ORDER BY ALL").to_pylist()
    assert [row["judge"] for row in ranked] == ["labels:things", "starter-guide", "starter-judge"]
    assert [row["chose_best"] for row in ranked] == [False, False, True]


def test_the_auditor_scores_what_is_kept_and_ranks_go_by_it(store: Store) -> None:
    assert run(store, "starter-auditor")[-1] == Judged("starter-auditor", 6, 6, 0)
    auditor = load_auditor("cpu")
    for row in rows(store):
        pixels = decode_png(store.read(keys.picture("made-up", row["trial_id"], "best.png")))[None].float().div(255)
        shares = auditor.shares(pixels)[0][0]
        assert row["score"] == pytest.approx(auditor.calibration(float(shares[[*things_in(row["prompt"], auditor.names)]].sum())), abs=1e-4)
        assert row["version"] == auditor.sha256 and row["reason"].count("%") == 6
    ranked = query(store, "SELECT DISTINCT chose_best FROM ranks WHERE judge = 'starter-auditor'").to_pylist()
    assert ranked == [{"chose_best": False}]


def test_the_same_judge_again_does_nothing(store: Store) -> None:
    run(store, "starter-guide")
    before = {key: store.version(key) for key in store.keys("made-up/")}
    assert run(store, "starter-guide") == [Judged("starter-guide", 6, 6, 0)]
    assert {key: store.version(key) for key in store.keys("made-up/")} == before


def test_nothing_that_was_generated_changes(store: Store) -> None:
    before = {key: store.version(key) for key in store.keys("made-up/")}
    run(store, "starter-guide")
    after = {key: store.version(key) for key in store.keys("made-up/")}
    assert {key: after[key] for key in before} == before
    assert all(key.startswith("made-up/judged/judgements/") for key in after.keys() - before.keys())


def test_a_run_that_is_cut_off_goes_on_where_it_was(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "TRIALS_A_CHUNK", 2)
    other = open_store(str(tmp_path / "other"))
    publish_sample(other, prompts=["a red heart", "a rocket", "a green apple"], snapshots=(30,))
    list(judge_sweep(other, "made-up", ["starter-guide"], ("best",), "cpu"))
    steps = judge_sweep(store, "made-up", ["starter-guide"], ("best",), "cpu")
    assert [next(steps).done for _ in range(2)] == [0, 2]
    steps.close()
    assert [step.done for step in run(store, "starter-guide")] == [2, 4, 6]
    assert rows(store) == rows(other)
    assert [*store.keys("made-up/judged/")] == [*other.keys("made-up/judged/")]


def test_memory_holds_one_chunk_however_many_pictures_there_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "TRIALS_A_CHUNK", 2)
    opened, held, opening = list[weakref.ref[object]](), list[int](), judging._open

    def open_counted(*picture: Any) -> object:
        result = opening(*picture)
        opened.append(weakref.ref(result))
        held.append(sum(other() is not None for other in opened))
        return result

    monkeypatch.setattr(judging, "_open", open_counted)
    assert run(store, "starter-guide")[-1] == Judged("starter-guide", 6, 6, 0)
    assert len(held) == 6 and max(held) == 2


def test_a_picture_that_fails_is_a_row_with_its_reason_and_is_tried_again(store: Store) -> None:
    damaged, missing, foreign, *_ = (row["trial_id"] for row in query(store, "SELECT trial_id FROM trials ORDER BY ALL").to_pylist())
    whole = store.read(keys.picture("made-up", damaged, "best.png"))
    store.write(keys.picture("made-up", damaged, "best.png"), whole[:200])
    store.delete(keys.picture("made-up", missing, "best.png"))
    copied = io.BytesIO()
    Image.open(io.BytesIO(whole)).convert("RGB").save(copied, "PNG")
    store.write(keys.picture("made-up", foreign, "best.png"), copied.getvalue())
    assert run(store, "starter-guide")[-1] == Judged("starter-guide", 6, 6, 3)
    errors = {row["trial_id"]: row["error"] for row in rows(store) if row["error"]}
    assert errors.keys() == {damaged, missing, foreign}
    assert "cannot be read" in errors[damaged] and "best.png" in errors[missing]
    assert {row["score"] for row in rows(store) if row["error"]} == {None}
    store.write(keys.picture("made-up", damaged, "best.png"), whole)
    assert run(store, "starter-guide")[-1] == Judged("starter-guide", 6, 6, 2)
    assert {row["trial_id"] for row in rows(store) if row["error"]} == {missing, foreign}


def test_a_judge_that_breaks_on_one_picture_scores_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Moody:
        def __init__(self, trials: Any, device: str) -> None:
            self.trials = trials

        def score(self, pictures: torch.Tensor, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
            if any(trial.prompt.text == "a rocket" for trial in self.trials):
                raise ZeroDivisionError("no rockets")
            return torch.ones(len(pictures)), torch.zeros(len(pictures), 0)

    monkeypatch.setattr(judging, "make_judge", lambda name, trials, device, labels, teach: Moody(trials, device))
    monkeypatch.setattr(judging, "judge_weights", lambda name, labels: {})
    assert run(store, "moody")[-1] == Judged("moody", 6, 6, 2)
    errors = {row["prompt"]: row["error"] for row in rows(store)}
    assert errors == {"a rocket": "ZeroDivisionError: no rockets", "a red heart": None, "a green apple": None}


def test_a_wrong_judge_or_sweep_is_one_sentence(store: Store) -> None:
    with pytest.raises(PluginError, match="judge 'starter-gide': there is none of that name; did you mean 'starter-guide'"):
        run(store, "starter-guide", "starter-gide")
    assert rows(store) == []
    with pytest.raises(StoreError, match="nothing"):
        next(judge_sweep(store, "nothing", ["starter-guide"]))

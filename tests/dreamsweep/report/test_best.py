"""The best trial of each prompt and engine."""

from pathlib import Path

from dreamsweep.report.best import best_trials
from dreamsweep.report.query import query
from dreamsweep.store import open_store
from tests.dreamsweep.sample_rows import PROMPTS, publish_sample_rows, sample_trial


def test_each_prompt_and_engine_has_its_best_trial_prompt_by_prompt(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    publish_sample_rows(store)
    best = best_trials(store, "demo")
    assert {(trial.prompt, trial.engine): trial.trial_id for trial in best} == {
        (prompt, engine): sample_trial(prompt, engine, "adam", seed=1).id for prompt in PROMPTS for engine in ("strokes", "dalle")
    }
    assert {(trial.seed, round(trial.judge, 3), trial.rank, trial.judges) for trial in best} == {(1, 0.353, 1, "starter-judge")}
    assert [(trial.prompt, trial.trial_id) for trial in best] == sorted((trial.prompt, trial.trial_id) for trial in best)
    scores = query(store, "SELECT max(judge_best) AS best FROM trials", "demo").to_pylist()
    assert round(scores[0]["best"], 3) == best[0].judge

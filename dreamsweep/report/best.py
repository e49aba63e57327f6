"""The best trial of each prompt and engine, by the judge's score."""

from dataclasses import dataclass

from dreamsweep.report.query import query
from dreamsweep.store import Store

BEST = """\
SELECT sweep, prompt, engine, seed, round(judge_best::DOUBLE, 3) AS judge, trial_id, best_uri
FROM trials
WHERE judge_best IS NOT NULL
QUALIFY row_number() OVER (
    PARTITION BY sweep, prompt, weight, also, negatives, prompts_to, engine ORDER BY judge_best DESC, trial_id
) = 1
ORDER BY prompt, judge DESC, trial_id"""
"""Statement for the best trial of each prompt and engine, prompt by prompt: a judge's scores of several prompts cannot be compared."""


@dataclass(frozen=True)
class BestTrial:
    """Trial with the best score of its prompt and engine."""

    trial_id: str
    prompt: str
    engine: str
    seed: int
    judge: float
    """The judge's best score, rounded to three digits."""


def best_trials(store: Store, sweep: str) -> list[BestTrial]:
    """Returns the best trial of each prompt and engine of a published sweep, prompt by prompt; none where nothing was judged."""
    rows = query(
        store, f"SELECT trial_id, prompt, engine, seed, judge FROM ({BEST}) ORDER BY prompt, judge DESC, trial_id", sweep
    ).to_pylist()
    return [BestTrial(**row) for row in rows]

"""The best trial of each prompt and engine, by the judge that decides (see `report.ranks`)."""

from dataclasses import dataclass

from dreamsweep.report.query import query
from dreamsweep.store import Store

BEST = """\
SELECT sweep, prompt, engine, seed, rank, judge, round(score, 3) AS score, trial_id, best_uri
FROM trials JOIN (SELECT sweep, trial_id, judge, rank, score FROM ranks WHERE decides) USING (sweep, trial_id)
QUALIFY row_number() OVER (
    PARTITION BY sweep, prompt, weight, also, negatives, prompts_to, engine ORDER BY rank, judge_best DESC, trial_id
) = 1
ORDER BY prompt, rank, trial_id"""
"""Statement for the best trial of each prompt and engine, prompt by prompt: a judge's scores of several prompts cannot be compared."""


@dataclass(frozen=True)
class BestTrial:
    """Trial with the best score of its prompt and engine."""

    trial_id: str
    prompt: str
    engine: str
    seed: int
    rank: int
    """Its rank among all trials of its prompt."""
    judge: str
    """Name of the judge that decides."""
    score: float
    """That judge's score, rounded to three digits."""


def best_trials(store: Store, sweep: str) -> list[BestTrial]:
    """Returns the best trial of each prompt and engine of a published sweep, prompt by prompt; none where nothing was judged."""
    rows = query(
        store, f"SELECT trial_id, prompt, engine, seed, rank, judge, score FROM ({BEST}) ORDER BY prompt, rank, trial_id", sweep
    ).to_pylist()
    return [BestTrial(**row) for row in rows]

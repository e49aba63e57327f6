"""The best trial of each prompt and engine, by its standing (see `report.ranks`)."""

from dataclasses import dataclass

from dreamsweep.report.query import query
from dreamsweep.store import Store

BEST = """\
SELECT sweep, prompt, engine, seed, rank, round(judge_best::DOUBLE, 3) AS judge, judges, trial_id, best_uri
FROM trials JOIN standings USING (sweep, trial_id)
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
    judge: float
    """The judge's best score, rounded to three digits."""
    judges: str
    """Names of the judges that its rank comes from."""


def best_trials(store: Store, sweep: str) -> list[BestTrial]:
    """Returns the best trial of each prompt and engine of a published sweep, prompt by prompt; none where nothing was judged."""
    rows = query(
        store, f"SELECT trial_id, prompt, engine, seed, rank, judge, judges FROM ({BEST}) ORDER BY prompt, rank, trial_id", sweep
    ).to_pylist()
    return [BestTrial(**row) for row in rows]

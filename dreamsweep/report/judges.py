"""What further judges say of a sweep at a glance: how many best pictures each scored, and how often it has the same first."""

from dataclasses import dataclass

from dreamsweep.report.query import query
from dreamsweep.store import Store, keys

_VERDICTS = f"""
WITH verdicts AS (
    SELECT judge, trial_id, bool_or(score IS NOT NULL) AS scored, bool_and(judgements.error IS NOT NULL) AS failed
    FROM judgements JOIN trials USING (sweep, trial_id) WHERE picture = '{keys.BEST}' GROUP BY ALL
), first AS (
    SELECT looking.judge, prompt, weight, also, negatives, prompts_to, bool_or(chosen.rank = 1 AND looking.rank = 1) AS same
    FROM ranks AS chosen JOIN ranks AS looking USING (sweep, trial_id) JOIN trials USING (sweep, trial_id)
    WHERE chosen.chose_best AND NOT looking.chose_best AND looking.picture = '{keys.BEST}' AND chosen.trials > 1 AND looking.trials > 1
    GROUP BY ALL
), agreed AS (
    SELECT judge, count(*) AS prompts, count(*) FILTER (same) AS same_first FROM first GROUP BY judge
)
SELECT judge, count(*) AS pictures, count(*) FILTER (scored) AS scored, count(*) FILTER (failed) AS failed,
       coalesce(any_value(prompts), 0) AS prompts, coalesce(any_value(same_first), 0) AS same_first
FROM verdicts LEFT JOIN agreed USING (judge) GROUP BY judge ORDER BY judge
"""


@dataclass(frozen=True)
class Verdicts:
    """Counts of what one further judge said of a sweep's best pictures."""

    judge: str
    pictures: int
    """Best pictures that it looked at."""
    scored: int
    """Those that have a score; the others' prompts name none of its labels, or they failed."""
    failed: int
    """Those that could not be scored."""
    prompts: int
    """Prompts of which it scored several trials."""
    same_first: int
    """Prompts whose first trial is also first by the judge that chose the best pictures."""

    @property
    def text(self) -> str:
        """Returns `11 of 12 best pictures scored; the same first as the judge for 3 of 4 prompts`."""
        parts = [f"{self.scored:,} of {self.pictures:,} best pictures scored"]
        parts += [f"{self.failed:,} failed"] * bool(self.failed)
        if self.prompts:
            parts.append(f"the same first as the judge for {self.same_first:,} of {self.prompts:,} prompts")
        return "; ".join(parts)


def verdicts(store: Store, sweep: str) -> list[Verdicts]:
    """Returns the counts of each further judge of a published sweep, by name; none where nobody judged."""
    return [Verdicts(**row) for row in query(store, _VERDICTS, sweep).to_pylist()]

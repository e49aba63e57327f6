"""Ranks within the prompt: how each trial's score stands among those of the same prompt, judge by judge.

The makers of judges forbid comparing scores across prompts (HPSv2, arXiv:2306.09341: a score means something for one prompt only), so
whatever compares or sorts trials of several prompts does it by these.

Of several judges one decides, prompt by prompt: the auditor where it has scored as many trials as the judge that chose the pictures. That
judge's own score is the highest of many looks, and a guide of its kind may have learned to please it (docs/naming.md).
"""

from dreamsweep.spec.judges import AUDITOR
from dreamsweep.store import keys

RANKS = f"""
WITH generated AS (
    SELECT sweep, trial_id, judge_name AS judge, weights_sha256[judge_name] AS version, true AS chose_best,
           '{keys.BEST}' AS picture, judge_best::DOUBLE AS score
    FROM trials
), afterwards AS (
    SELECT sweep, trial_id, judge, version, false AS chose_best, picture, score
    FROM judgements
    WHERE picture IN ('{keys.BEST}', '{keys.FINAL}')
    QUALIFY row_number() OVER (PARTITION BY sweep, trial_id, judge, version ORDER BY picture = '{keys.BEST}' DESC, scored_at DESC) = 1
), scored AS (
    SELECT * FROM (FROM generated UNION ALL BY NAME FROM afterwards) WHERE score IS NOT NULL AND NOT isnan(score)
), of_prompts AS (
    SELECT scored.*, prompt, weight, also, negatives, prompts_to, concat_ws(' ', judge, coalesce(version, ''), chose_best) AS who,
           judge = '{AUDITOR}' AND NOT chose_best AND picture = '{keys.BEST}' AS audits
    FROM scored JOIN trials USING (sweep, trial_id)
), counted AS (
    SELECT of_prompts.*, count(*) OVER (PARTITION BY who, prompt, weight, also, negatives, prompts_to) AS judged FROM of_prompts
)
SELECT sweep, trial_id, judge, version, chose_best, picture, score,
       rank() OVER (alike ORDER BY score DESC) AS rank,
       count(*) OVER alike AS trials,
       CASE WHEN count(*) OVER alike > 1 THEN percent_rank() OVER (alike ORDER BY score) END AS percentile,
       (score - avg(score) OVER alike) / nullif(stddev_pop(score) OVER alike, 0) AS z_score,
       (chose_best OR audits) AND who = first(who) OVER (
           PARTITION BY prompt, weight, also, negatives, prompts_to
           ORDER BY chose_best OR audits DESC, judged DESC, audits DESC, chose_best DESC, who
       ) AS decides
FROM counted
WINDOW alike AS (PARTITION BY judge, version, chose_best, prompt, weight, also, negatives, prompts_to)
"""

RANKED_TRIALS = (
    "trials LEFT JOIN (SELECT sweep, trial_id, judge AS ranked_by, rank, trials AS rivals, z_score FROM ranks WHERE decides) "
    "USING (sweep, trial_id)"
)
"""Trials with their ranks by the judge that decides; `rivals` are the trials of a prompt, each itself included."""

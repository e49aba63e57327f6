"""Ranks within the prompt: how each trial's score stands among those of the same prompt, judge by judge, and how trials are sorted by them.

The makers of judges forbid comparing scores across prompts (HPSv2, arXiv:2306.09341: a score means something for one prompt only), so
whatever compares or sorts trials of several prompts does it by standings.
"""

from dreamsweep.spec.judges import AUDITOR
from dreamsweep.store import keys

OF_PROMPT = "hash(prompt, weight, also, negatives, prompts_to)"
"""Number of a whole prompt: windows over it take half the time of those over its five columns."""

_RANKED = f"""
WITH generated AS (
    SELECT sweep, trial_id, judge_name AS judge, weights_sha256[judge_name] AS version, true AS chose_best,
           '{keys.BEST}' AS picture, judge_best::DOUBLE AS score, {OF_PROMPT} AS of_prompt
    FROM trials
), afterwards AS (
    SELECT sweep, trial_id, judge, version, false AS chose_best, scored_at, picture, score
    FROM judgements
    WHERE picture IN ('{keys.BEST}', '{keys.FINAL}')
    QUALIFY row_number() OVER (PARTITION BY sweep, trial_id, judge, version ORDER BY picture = '{keys.BEST}' DESC, scored_at DESC) = 1
), of_prompts AS (
    SELECT afterwards.*, count(*) OVER alike AS of_version, max(scored_at) OVER alike AS last_scored_at
    FROM (SELECT afterwards.*, {OF_PROMPT} AS of_prompt FROM afterwards JOIN trials USING (sweep, trial_id)) AS afterwards
    WHERE score IS NOT NULL AND NOT isnan(score)
    WINDOW alike AS (PARTITION BY judge, version, of_prompt)
), current AS (
    SELECT * EXCLUDE (scored_at, of_version, last_scored_at)
    FROM of_prompts
    QUALIFY row_number() OVER (PARTITION BY sweep, trial_id, judge ORDER BY of_version DESC, last_scored_at DESC, version) = 1
), scored AS (
    SELECT * FROM (FROM generated UNION ALL BY NAME FROM current) WHERE score IS NOT NULL AND NOT isnan(score)
)
SELECT sweep, trial_id, judge, version, chose_best, picture, score,
       rank() OVER (alike ORDER BY score DESC) AS rank,
       count(*) OVER alike AS trials,
       CASE WHEN count(*) OVER alike > 1 THEN percent_rank() OVER (alike ORDER BY score) END AS percentile,
       (score - avg(score) OVER alike) / nullif(stddev_pop(score) OVER alike, 0) AS z_score,
       of_prompt
FROM scored
WINDOW alike AS (PARTITION BY judge, version, chose_best, of_prompt)
"""
RANKS = f"SELECT * EXCLUDE (of_prompt) FROM ({_RANKED})"
"""One row a judge and trial. Where several versions of a judge have scored a trial afterwards, the version that has scored most trials
of its prompt stands here; of equals, the one that scored last."""

AUDITOR_WEIGHT = 3
"""How often the auditor's z-score counts in a standing, for once the judge's (docs/naming.md)."""

STANDINGS = f"""
WITH votes AS (
    SELECT sweep, trial_id, judge, coalesce(z_score, 0) AS z_score, chose_best, if(chose_best, 1, {AUDITOR_WEIGHT}) AS times,
           trials AS rivals, of_prompt
    FROM ({_RANKED})
    WHERE chose_best OR (judge = '{AUDITOR}' AND picture = '{keys.BEST}')
), counted AS (
    FROM votes QUALIFY chose_best OR rivals >= max(rivals) FILTER (chose_best) OVER (PARTITION BY of_prompt)
), means AS (
    SELECT sweep, trial_id, of_prompt, round(sum(times * z_score) / sum(times), 9) AS z_score,
           concat_ws(' + ', max(judge), nullif(min(judge), max(judge))) AS judges
    FROM counted GROUP BY sweep, trial_id, of_prompt
)
SELECT sweep, trial_id, judges,
       rank() OVER (alike ORDER BY z_score DESC) AS rank,
       count(*) OVER alike AS trials,
       CASE WHEN count(*) OVER alike > 1 THEN percent_rank() OVER (alike ORDER BY z_score) END AS percentile,
       CASE WHEN count(*) OVER alike > 1 THEN z_score END AS z_score
FROM means
WINDOW alike AS (PARTITION BY of_prompt)
"""
"""The weighted mean of two z-scores: of the judge that chose the pictures, and of the auditor where it has scored as many of the prompt.

Either alone is fooled: the judge by what pleases its kind, the auditor by blurs that people still name (docs/naming.md).
"""

GAPS = """
WITH judged AS (
    SELECT sweep, trial_id, engine, guide_name AS guides, guide_best, judge, version, score, prompt, weight, also, negatives, prompts_to
    FROM ranks JOIN trials USING (sweep, trial_id)
    WHERE guide_best IS NOT NULL AND NOT isnan(guide_best) AND NOT list_contains(
        [regexp_replace(guide, '^[0-9.e+-]+ ', '') FOR guide IN string_split(guide_name, ' + ')], judge
    )
), standard AS (
    SELECT sweep, trial_id, guides, count(*) OVER alike AS trials,
           (guide_best - avg(guide_best) OVER alike) / nullif(stddev_pop(guide_best) OVER alike, 0) AS guide_z,
           (score - avg(score) OVER alike) / nullif(stddev_pop(score) OVER alike, 0) AS judge_z
    FROM judged
    WINDOW alike AS (PARTITION BY judge, version, engine, guides, prompt, weight, also, negatives, prompts_to)
)
SELECT sweep, trial_id, guides, round(avg(guide_z), 9) AS guide_z, round(avg(judge_z), 9) AS judges_z, count(judge_z) AS judges,
       max(trials) AS trials, round(avg(guide_z) - avg(judge_z), 9) AS gap
FROM standard WHERE guide_z IS NOT NULL AND judge_z IS NOT NULL
GROUP BY sweep, trial_id, guides
"""
"""How much more the guide thinks of a picture than the judges do, among trials of one prompt by one engine: engines' guides look at
different views of a picture, so that their similarities have nothing in common.
"""

RANKED_TRIALS = (
    "trials LEFT JOIN (SELECT sweep, trial_id, judges AS ranked_by, rank, trials AS rivals, z_score FROM standings) USING (sweep, trial_id)"
)
"""Trials with their standings; `rivals` are the trials of a prompt, each itself included."""
FOREMOST = "rank NULLS LAST, z_score DESC NULLS LAST, judge_best DESC NULLS LAST, trial_id"
"""Order of `RANKED_TRIALS`: the best of each prompt first, and of those the ones that stand out the most."""

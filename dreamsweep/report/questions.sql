-- The best picture of each prompt
SELECT prompt, engine, seed, round(judge_best, 3) AS judge, rank, standings.trials AS of, best_uri
FROM trials JOIN standings USING (sweep, trial_id)
WHERE rank = 1
ORDER BY prompt;

-- Which engine wins, whatever the prompt
SELECT engine, judge, count(*) AS trials, round(avg(percentile), 2) AS percentile, round(avg((rank = 1)::INTEGER), 2) AS first
FROM trials JOIN ranks USING (sweep, trial_id)
GROUP BY ALL ORDER BY judge, percentile DESC;

-- Which optimizer wins, prompt by prompt
PIVOT (SELECT prompt, optimizer, judge_best FROM trials WHERE engine = 'strokes')
ON optimizer USING round(max(judge_best), 3) GROUP BY prompt
ORDER BY prompt;

-- The curve of the best trial
SELECT iteration, loss, guide, judge, snapshot_uri
FROM scores
WHERE trial_id = (SELECT trial_id FROM trials ORDER BY judge_best DESC NULLS LAST, trial_id LIMIT 1)
ORDER BY iteration;

-- Where the curve fell: the iterations that the judge liked least, compared with its score before
SELECT trial_id, iteration, round(judge - before, 3) AS fell, round(judge, 3) AS judge
FROM (
    SELECT trial_id, iteration, judge, lag(judge) OVER (PARTITION BY trial_id ORDER BY iteration) AS before
    FROM scores WHERE judge IS NOT NULL
)
WHERE before IS NOT NULL
ORDER BY judge - before, trial_id LIMIT 10;

-- Where the judge's curve peaks, and how far it falls afterwards
SELECT engine, optimizer, count(*) AS trials, round(avg(best_iteration / iterations_done), 2) AS peaks_at,
       round(avg(judge_best - judge_last), 3) AS falls, round(max(judge_best - judge_last), 3) AS falls_most
FROM trials WHERE judge_last IS NOT NULL
GROUP BY ALL ORDER BY falls DESC;

-- How far two judges agree within each prompt
SELECT a.judge AS first, b.judge AS second, count(*) AS trials, round(corr(a.z_score, b.z_score), 2) AS agreement
FROM ranks a JOIN ranks b USING (sweep, trial_id)
WHERE a.judge < b.judge
GROUP BY ALL ORDER BY agreement;

-- Where the guide may be fooled: it thinks more of the picture than the judges do
SELECT prompt, engine, seed, round(gap, 2) AS gap, round(guide_z, 2) AS guide, round(judges_z, 2) AS judges, gaps.trials AS of, best_uri
FROM gaps JOIN trials USING (sweep, trial_id)
ORDER BY gap DESC, trial_id LIMIT 20;

-- A row for every iteration of every trial
SELECT trial_id, count(*) AS iterations, max(judge) AS best
FROM scores GROUP BY trial_id ORDER BY best DESC NULLS LAST;

-- Is everything there: trials × iterations of each sweep
SELECT sweep, count(*) AS trials, sum(iterations_done) AS iterations, any_value(rows) AS score_rows
FROM trials JOIN (SELECT sweep, count(*) AS rows FROM scores GROUP BY sweep) USING (sweep)
GROUP BY sweep;

-- The slowest trials
SELECT trial_id, engine, prompt, round(seconds, 1) AS seconds, round(iterations_per_second, 1) AS per_second, device
FROM trials ORDER BY trials.seconds DESC LIMIT 10;

-- What a night costs, at so much an hour of a machine
SELECT finished_at::DATE AS night, sweep, count(*) AS trials, round(sum(seconds) / 3600, 2) AS hours,
       round(sum(seconds) / 3600 * 2.50, 2) AS cost, round(sum(seconds) / 3600 * 2.50 / count(*), 4) AS a_trial
FROM trials GROUP BY ALL ORDER BY night, sweep;

-- What failed, and why
SELECT trial_id, engine, optimizer, learning_rate, iterations_done, status, error
FROM trials WHERE status <> 'done';

-- What a prompt's words were lost on
SELECT DISTINCT prompt, unnest(warnings) AS warning FROM trials;

-- Which settings pay
SELECT strokes.num_paths AS paths, optimizer, learning_rate, count(*) AS trials,
       round(avg(percentile), 2) AS percentile, round(avg(iterations_per_second), 1) AS per_second
FROM trials JOIN standings USING (sweep, trial_id) WHERE engine = 'strokes'
GROUP BY ALL ORDER BY percentile DESC;

-- How many iterations were worth their time: the first score within 2 % of the best
SELECT engine, optimizer, round(avg(enough)) AS enough, round(avg(iterations)) AS of
FROM (
    SELECT trial_id, min(iteration) AS enough
    FROM scores JOIN trials USING (trial_id)
    WHERE judge >= 0.98 * judge_best
    GROUP BY trial_id
) JOIN trials USING (trial_id)
GROUP BY engine, optimizer ORDER BY enough;

-- Where the guide was pleased and the judge was not
SELECT prompt, engine, seed, round(guide_z - z_score, 2) AS fooled, best_uri
FROM ranks JOIN (
    SELECT *, (guide_best - avg(guide_best) OVER alike) / nullif(stddev_pop(guide_best) OVER alike, 0) AS guide_z
    FROM trials WINDOW alike AS (PARTITION BY prompt, guide_name)
) USING (sweep, trial_id)
WHERE chose_best AND z_score IS NOT NULL
ORDER BY fooled DESC NULLS LAST, trial_id LIMIT 10;

-- The pictures nearest to a text, whatever they were made for
SELECT prompt, engine, round(list_cosine_similarity(vector, embed('something to eat', perceptor)), 3) AS near, best_uri
FROM trials JOIN embeddings USING (sweep, trial_id)
ORDER BY near DESC LIMIT 10;

-- Which pictures of other prompts look most like a prompt's best one
WITH pictures AS (SELECT * FROM trials JOIN embeddings USING (sweep, trial_id)),
     best AS (SELECT prompt, perceptor, vector FROM pictures ORDER BY judge_best DESC NULLS LAST LIMIT 1)
SELECT pictures.prompt, round(list_cosine_similarity(pictures.vector, best.vector), 3) AS alike, best_uri
FROM pictures JOIN best USING (perceptor) WHERE pictures.prompt <> best.prompt
ORDER BY alike DESC LIMIT 5;

-- Pictures that two reviewers picked
WITH picks AS (
    SELECT * FROM ratings WHERE kind = 'pick'
    QUALIFY row_number() OVER (PARTITION BY sweep, trial_id, rated_by ORDER BY rated_at DESC, rating_id DESC) = 1
)
SELECT prompt, engine, seed, list(rated_by ORDER BY rated_by) AS picked_by, best_uri
FROM picks JOIN trials USING (sweep, trial_id) WHERE value = 1
GROUP BY ALL HAVING count(*) >= 2 ORDER BY prompt, engine, seed;

-- How often two reviewers agree
WITH picks AS (
    SELECT * FROM ratings WHERE kind = 'pick'
    QUALIFY row_number() OVER (PARTITION BY sweep, trial_id, rated_by ORDER BY rated_at DESC, rating_id DESC) = 1
)
SELECT one.rated_by AS one, other.rated_by AS other, count(*) AS pictures, avg((one.value = other.value)::INTEGER) AS agree
FROM picks AS one JOIN picks AS other USING (sweep, trial_id)
WHERE one.rated_by < other.rated_by AND one.value <> 0 AND other.value <> 0
GROUP BY ALL ORDER BY ALL;

-- Whether people pick what the judges rank first
WITH picks AS (
    SELECT * FROM ratings WHERE kind = 'pick'
    QUALIFY row_number() OVER (PARTITION BY sweep, trial_id, rated_by ORDER BY rated_at DESC, rating_id DESC) = 1
)
SELECT rank, count(*) FILTER (value = 1) AS picked, count(*) FILTER (value = -1) AS rejected
FROM picks JOIN standings USING (sweep, trial_id)
GROUP BY rank ORDER BY rank;

-- Pictures with four stars or more, or a tag
WITH held AS (
    SELECT * FROM ratings WHERE kind IN ('stars', 'tag')
    QUALIFY row_number() OVER (
        PARTITION BY sweep, trial_id, rated_by, kind, CASE kind WHEN 'tag' THEN text END ORDER BY rated_at DESC, rating_id DESC
    ) = 1
)
SELECT rated_by, prompt, max(value) FILTER (kind = 'stars') AS stars, list(text) FILTER (kind = 'tag' AND value = 1) AS tags, best_uri
FROM held JOIN trials USING (sweep, trial_id)
GROUP BY rated_by, prompt, trial_id, best_uri HAVING stars >= 4 OR len(tags) > 0 ORDER BY rated_by, prompt;

-- How often each judge prefers what people preferred in duels
WITH held AS (
    SELECT * FROM duels
    QUALIFY row_number() OVER (
        PARTITION BY sweep, rated_by, least(left_trial_id, right_trial_id), greatest(left_trial_id, right_trial_id)
        ORDER BY rated_at DESC, duel_id DESC
    ) = 1
), decided AS (
    SELECT sweep, rated_by, if(winner = 'left', left_trial_id, right_trial_id) AS better,
           if(winner = 'left', right_trial_id, left_trial_id) AS worse
    FROM held WHERE winner IN ('left', 'right')
)
SELECT rated_by, high.judge AS judge, count(*) AS duels,
       round(avg(if(high.score = low.score, 0.5, (high.score > low.score)::DOUBLE)), 2) AS agrees
FROM decided JOIN ranks AS high ON (high.sweep, high.trial_id) = (decided.sweep, better)
JOIN ranks AS low ON (low.sweep, low.trial_id) = (decided.sweep, worse)
    AND low.judge = high.judge AND low.version IS NOT DISTINCT FROM high.version
GROUP BY ALL ORDER BY ALL;

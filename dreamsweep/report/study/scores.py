"""Sections of scores: settings beside each other by each judge, and how far the judges agree."""

from itertools import combinations
from statistics import fmean

from dreamsweep.report.labels import natural
from dreamsweep.report.study.data import Interval, Judged, Study, mean_ranks, mean_table, rank_correlation, within_groups
from dreamsweep.report.study.parts import Part, Section, Table, Text
from dreamsweep.spec.report import Report


def scores_section(study: Study, report: Report) -> Section:
    """Returns a table of settings and prompts by each judge, and how far the judges agree."""
    parts: list[Part] = []
    if len(study.settings) == 1:
        parts += _one_setting(study)
    else:
        for judged in study.judged:
            parts += _score_tables(study, judged)
    if rows := _agreement(study):
        caption = "How far the judges agree: rank correlation of their scores within the prompt, 95 % interval."
        parts.append(Table(caption, ["judge", "judge", "trials", "ρ"], rows))
    text = "Scores are comparable within one prompt and one judge only. Ranks are within the prompt."
    return Section("Scores", [Text(text), *parts] if parts else [], "Nothing was judged.")


def _score_tables(study: Study, judged: Judged) -> list[Part]:
    table = mean_table(study, judged.scores)
    ranks = mean_ranks(table)
    prompts = [prompt for prompt in study.prompts if any(prompt in row for row in table.values())]
    order = sorted(table, key=lambda setting: (ranks[setting], natural(setting)))
    rows, marks = [], set()
    for number, setting in enumerate(order):
        cells = [f"{100 * table[setting][prompt]:.1f}" if prompt in table[setting] else "–" for prompt in prompts]
        mean = fmean(table[setting].values()) * 100
        rows.append([setting, *cells, f"{mean:.1f}", f"{ranks[setting]:.2f}"])
        for column, prompt in enumerate(prompts, 1):
            if len(table) > 1 and table[setting].get(prompt) == max(row[prompt] for row in table.values() if prompt in row):
                marks.add((number, column))
    role = "chose the best pictures: the highest of its looks" if judged.chose_best else "chose nothing: one look at each best picture"
    caption = f"{judged.judge} ({role}), score × 100, mean over the seeds; mean rank over the prompts, 1 is best."
    if len(prompts) > 14:  # too wide to read
        return [Table(caption, ["setting", "mean", "mean rank"], [[row[0], row[-2], row[-1]] for row in rows])]
    return [Table(caption, ["setting", *prompts, "mean", "mean rank"], rows, frozenset(marks))]


def _one_setting(study: Study) -> list[Table]:
    """Returns a table of prompts and judges: with one setting, there is nothing to rank."""
    tables = [mean_table(study, judged.scores) for judged in study.judged]
    (setting,) = study.settings
    rows = [
        [prompt, *(f"{100 * table[setting][prompt]:.1f}" if prompt in table.get(setting, {}) else "–" for table in tables)]
        for prompt in study.prompts
    ]
    headings = [f"{judged.judge}{' (chose the best pictures)' if judged.chose_best else ''}" for judged in study.judged]
    return (
        [
            Table(
                "Score × 100 of each prompt, mean over the seeds. Scores of different prompts cannot be compared.",
                ["prompt", *headings],
                rows,
            )
        ]
        if tables
        else []
    )


def _agreement(study: Study) -> list[list[str]]:
    """Returns a row for each two judges that have scored enough of the same trials."""
    rows, prompts = [], {trial.trial_id: trial.prompt for trial in study.trials}
    for first, second in combinations(study.judged, 2):
        ours, theirs = within_groups(first.scores, prompts), within_groups(second.scores, prompts)
        both = sorted(ours.keys() & theirs.keys())
        if agreement := rank_correlation([ours[t] for t in both], [theirs[t] for t in both]):
            rows.append([first.judge, second.judge, str(len(both)), shown(agreement)])
    return rows


def shown(interval: Interval | None, scale: float = 1) -> str:
    """Returns an estimate with its interval as a table shows it."""
    if interval is None:
        return "too few"
    return f"{interval.value * scale:+.2f} ({interval.low * scale:+.2f} to {interval.high * scale:+.2f})"

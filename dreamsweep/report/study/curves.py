"""Sections of curves over the iterations: loss and scores, whether they go together, where a curve peaks."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from dreamsweep.report.study import plots
from dreamsweep.report.study.data import Interval, Judged, Study, StudyTrial, rank_correlation, within_groups
from dreamsweep.report.study.parts import Plot, Section, Table
from dreamsweep.report.study.scores import shown
from dreamsweep.spec.report import Report


def curves_section(study: Study, report: Report) -> Section:
    """Returns the mean loss, guide's similarity and judge's score of each setting over the iterations."""
    sql = (
        "SELECT trial_id, list(iteration ORDER BY iteration) AS x, list(loss ORDER BY iteration) AS loss, "
        "list(guide ORDER BY iteration) AS guide, list(judge ORDER BY iteration) AS judge FROM scores GROUP BY trial_id ORDER BY trial_id"
    )
    names = {trial.trial_id: trial.setting for trial in study.trials}
    by_setting: dict[str, list[Mapping[str, Any]]] = {}
    for row in study.ask(sql):
        by_setting.setdefault(names[row["trial_id"]], []).append(row)
    caption = "Mean over prompts and seeds of each setting: the loss, the guide's similarity, and the judge's score."
    ordered = {setting: by_setting[setting] for setting in study.settings if setting in by_setting}
    return Section("Curves", [Plot("curves", plots.curves(ordered), caption)] if ordered else [])


def loss_section(study: Study, report: Report) -> Section:
    """Answers whether a lower final loss goes with a better score, engine by engine, as losses of engines have nothing in common.

    Once with all settings, and once without the one whose loss is the highest: a single setting that diverges may be the whole answer.
    """
    rows: list[list[str]] = []
    points: dict[str, tuple[list[float], list[float]]] = {}
    for engine in sorted({str(trial.row["engine"]) for trial in study.trials}):
        trials = [t for t in study.trials if t.row["engine"] == engine and t.row["loss_last"] is not None and t.row["status"] == "done"]
        worst = _highest_loss(trials)
        for judged in study.judged:
            for left_out in (None, worst) if worst else (None,):
                losses, scores = _ranks([trial for trial in trials if trial.setting != left_out], judged)
                correlation = rank_correlation(losses, scores)
                if correlation is not None:
                    which = f"all but {left_out}" if left_out else "all"
                    rows.append([engine, judged.judge, which, str(correlation.count), shown(correlation), _loss_answer(correlation)])
                    if judged.chose_best and not left_out:
                        points[engine] = losses, scores
    title = "Does a lower loss mean a better score?"
    if not rows:
        return Section(title, [], "Needs four trials or more of a prompt by one engine that descends a loss.")
    caption = "Rank correlation of the final loss and the score, both within prompt and engine, with its 95 % interval."
    table = Table(caption, ["engine", "judge", "settings", "trials", "ρ", "lower loss, better score?"], rows)
    caption_of_plot = "Each point a trial: ranks within its prompt, from 0 for the lowest to 1 for the highest."
    return Section(title, [table, *([Plot("loss", plots.scatter(points), caption_of_plot)] if points else [])])


def _highest_loss(trials: Sequence[StudyTrial]) -> str | None:
    """Returns the setting with the highest median final loss; None of fewer than three settings."""
    losses: dict[str, list[float]] = {}
    for trial in trials:
        losses.setdefault(trial.setting, []).append(float(trial.row["loss_last"]))
    return max(losses, key=lambda setting: median(losses[setting])) if len(losses) > 2 else None


def _ranks(trials: Sequence[StudyTrial], judged: Judged) -> tuple[list[float], list[float]]:
    """Returns final losses and scores of the trials that have both, as ranks within their prompt."""
    prompts = {trial.trial_id: trial.prompt for trial in trials}
    losses = within_groups({trial.trial_id: float(trial.row["loss_last"]) for trial in trials}, prompts)
    scores = within_groups({trial: score for trial, score in judged.scores.items() if trial in prompts}, prompts)
    both = sorted(losses.keys() & scores.keys())
    return [losses[trial] for trial in both], [scores[trial] for trial in both]


def _loss_answer(correlation: Interval) -> str:
    if not correlation.is_clear:
        return "not shown by these trials"
    return "yes" if correlation.value < 0 else "no: a higher loss goes with a better score"


def decline_section(study: Study, report: Report) -> Section:
    """Returns where the judge's curve peaks, and how far it falls afterwards, of each setting; with a single setting, of each prompt."""
    sql = (
        "SELECT trial_id, arg_max(iteration, judge) AS peak, max(judge) - arg_max(judge, iteration) AS falls, max(iteration) AS last "
        "FROM scores WHERE judge IS NOT NULL GROUP BY trial_id HAVING count(*) > 1 ORDER BY trial_id"
    )
    answers = {row["trial_id"]: row for row in study.ask(sql)}
    what, groups = ("setting", study.settings) if len(study.settings) > 1 else ("prompt", study.prompts)
    rows = []
    for name in groups:
        curves = [answers[trial.trial_id] for trial in study.trials if name == getattr(trial, what) and trial.trial_id in answers]
        if curves:
            peaks = fmean(row["peak"] for row in curves)
            at = fmean(row["peak"] / row["last"] for row in curves)
            falls = [row["falls"] for row in curves]
            rows.append([name, str(len(curves)), f"{peaks:.0f}", f"{at:.0%}", f"{100 * fmean(falls):.2f}", f"{100 * max(falls):.2f}"])
    headings = [what, "trials", "peak at iteration", "of the run", "falls by (× 100)", "at most"]
    caption = "Where the judge's curve peaks, and how far it lies below its peak at the end."
    return Section("Peak and decline", [Table(caption, headings, rows)] if rows else [], "The judge looked at each trial once or never.")

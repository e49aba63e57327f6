"""The section of phrasings: which one wins, pair by pair."""

from itertools import combinations

from dreamsweep.report.study.data import Study, paired_difference, phrasing_of
from dreamsweep.report.study.parts import Section, Table, Text
from dreamsweep.report.study.scores import shown
from dreamsweep.spec.report import Report


def phrasings_section(study: Study, report: Report) -> Section:
    """Returns which phrasing wins, in pairs of the same thing, setting and seed."""
    title = "Which phrasing wins"
    if not report.phrasings:
        return Section(title, [], 'The sweep file names no phrasings: report: {phrasings: ["a photo of {}", "{}"]}.')
    by_key: dict[tuple[str, ...], dict[str, str]] = {}
    for trial in study.trials:
        if phrased := phrasing_of(str(trial.row["prompt"]), report.phrasings):
            by_key.setdefault((phrased[1], trial.setting, str(trial.row["seed"])), {})[phrased[0]] = trial.trial_id
    rows = []
    for judged in study.judged:
        for first, second in combinations(report.phrasings, 2):
            pairs = [(pair[first], pair[second]) for pair in by_key.values() if first in pair and second in pair]
            pairs = [(a, b) for a, b in pairs if a in judged.scores and b in judged.scores]
            gap = paired_difference([judged.scores[a] for a, _ in pairs], [judged.scores[b] for _, b in pairs])
            winner = "neither" if gap is None or not gap.is_clear else f"“{first}”" if gap.value > 0 else f"“{second}”"
            rows.append([judged.judge, f"“{first}” − “{second}”", str(len(pairs)), shown(gap, 100), winner])
    caption = "Differences of scores × 100, pairs of the same thing, setting and seed; 95 % interval."
    note = Text("Each picture is compared with its own prompt, so a judge may simply like one phrasing more, whatever the picture shows.")
    return Section(title, [Table(caption, ["judge", "difference", "pairs", "mean", "wins"], rows), note] if rows else [])

"""The section of walks from one prompt to another."""

from collections.abc import Mapping, Sequence
from typing import Any

from dreamsweep.report.labels import natural
from dreamsweep.report.study import plots
from dreamsweep.report.study.data import Study, StudyTrial
from dreamsweep.report.study.details import foremost
from dreamsweep.report.study.parts import Part, Plot, Section, Table
from dreamsweep.report.study.pictures import MOST_FILMS
from dreamsweep.spec.report import Report
from dreamsweep.store import keys

SHOWN = 6
"""Frames of a walk whose nearest words are shown, besides those at which it switches."""
_CURVES = (
    "SELECT trial_id, list(iteration ORDER BY iteration) AS frames, list(guide_each ORDER BY iteration) AS similarities "
    "FROM scores WHERE guide_each IS NOT NULL GROUP BY trial_id"
)
_WORDS = (
    "SELECT judge, trial_id, iteration, map_entries(details)::STRUCT(key VARCHAR, value DOUBLE)[] AS details FROM judgements "
    f"WHERE judge LIKE 'labels:%' AND picture NOT IN ('{keys.BEST}', '{keys.FINAL}') AND details IS NOT NULL "
    "QUALIFY row_number() OVER (PARTITION BY judge, trial_id, picture ORDER BY scored_at DESC) = 1 ORDER BY judge, trial_id, iteration"
)


def between_section(study: Study, report: Report) -> Section:
    """Returns where each walk switches, its similarity to each end, the nearest words along the way, and its frames."""
    walks = [trial for trial in study.trials if trial.row["prompts_to"]]
    walks.sort(key=lambda walk: (natural(walk.prompt), natural(walk.setting), walk.row["seed"]))
    if not walks:
        return Section("In between", [], "No trial walks from one prompt to another.")
    rows = [
        [walk.prompt, walk.setting, str(walk.row["seed"]), str(walk.row["iterations_done"]), ", ".join(map(str, _switches(walk))) or "none"]
        for walk in walks
    ]
    headings = ["from → to", "setting", "seed", "frames", "switches at frame"]
    parts: list[Part] = [Table("Frames at which the guide finds the next prompt nearer than the one before.", headings, rows)]
    curves = {row["trial_id"]: row for row in study.ask(_CURVES)}
    several = len({walk.setting for walk in walks}) > 1
    titles = {walk.trial_id: f"{walk.prompt}\n{walk.setting}" if several else walk.prompt for walk in walks}
    lines = [(titles[walk.trial_id], row["frames"], row["similarities"]) for walk in walks if (row := curves.get(walk.trial_id))]
    if lines:
        caption = "The guide's similarity to each prompt that the walk passes, frame by frame: blue to the first, orange to the second."
        parts.append(Plot("between", plots.walks(lines), caption))
    parts += _words(study, walks)
    for walk in walks[:MOST_FILMS]:
        sheet = walk.row["sheet_uri"] and study.store.get(
            keys.picture(study.sweep, walk.trial_id, walk.row["sheet_uri"].rpartition("/")[2])
        )
        if sheet:
            parts.append(Plot(f"walk-{walk.trial_id}", plots.fitted(sheet), f"{walk.prompt} · {walk.setting}"))
    return Section("In between", parts)


def _switches(walk: StudyTrial) -> Sequence[int]:
    return walk.row["switches"] or []


def _words(study: Study, walks: Sequence[StudyTrial]) -> list[Table]:
    """Returns the nearest words along each walk, a table for each list of labels that its frames were judged by."""
    by_judge: dict[str, dict[str, dict[int, Sequence[Mapping[str, Any]]]]] = {}
    for row in study.ask(_WORDS):
        by_judge.setdefault(row["judge"], {}).setdefault(row["trial_id"], {})[row["iteration"]] = row["details"]
    tables = []
    for judge, by_walk in by_judge.items():
        rows = []
        for walk in walks:
            frames = by_walk.get(walk.trial_id, {})
            for frame in _shown_frames(sorted(frames), _switches(walk)):
                mark = " (switches)" if frame in _switches(walk) else ""
                rows.append([walk.prompt, walk.setting, f"{frame}{mark}", foremost(frames[frame])])
        if rows:
            caption = f"The nearest words along the way, by {judge}, in per cent of all labels of the list."
            tables.append(Table(caption, ["from → to", "setting", "frame", "nearest"], rows))
    return tables


def _shown_frames(frames: Sequence[int], switches: Sequence[int]) -> list[int]:
    """Returns some frames evenly along the way, the first and the last among them, and those at which the walk switches."""
    if len(frames) <= SHOWN:
        return list(frames)
    evenly = {frames[round(at * (len(frames) - 1) / (SHOWN - 1))] for at in range(SHOWN)}
    return sorted(evenly | (set(switches) & set(frames)))

"""Sections of what judges saw in the pictures: labels, and the share that each class covers."""

from collections.abc import Mapping, Sequence
from typing import Any

from dreamsweep.report.study.data import Study
from dreamsweep.report.study.parts import Part, Section, Table
from dreamsweep.spec.report import Report
from dreamsweep.store import keys

DETAILS = 5
"""Labels or classes that are named of a picture."""


LEAST = 0.005
"""Share below which a label is not named, unless it is the first."""


def labels_section(study: Study, report: Report) -> Section:
    """Returns the likeliest labels of the best trial of each prompt and setting."""
    parts = _details(study, "labels:%", "The likeliest labels of the best trial's picture, in per cent of all labels of the list.")
    return Section("Labels", parts, f"No labels yet: dreamsweep judge {study.sweep} --with labels:cifar100")


def segments_section(study: Study, report: Report) -> Section:
    """Returns the share that each class covers of the best trial of each prompt and setting."""
    parts = _details(study, "segments%", "Share of the best trial's picture that each class covers, in per cent.")
    return Section("Segments", parts, f"No segments yet: dreamsweep judge {study.sweep} --with segments")


def _details(study: Study, pattern: str, what: str) -> list[Part]:
    sql = (
        "SELECT judge, trial_id, score, map_entries(details)::STRUCT(key VARCHAR, value DOUBLE)[] AS details "
        f"FROM judgements WHERE judge LIKE '{pattern}' AND picture = '{keys.BEST}' AND details IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY judge, trial_id ORDER BY scored_at DESC) = 1 ORDER BY judge, trial_id"
    )
    by_judge: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in study.ask(sql):
        by_judge.setdefault(row["judge"], {})[row["trial_id"]] = row
    parts: list[Part] = []
    for judge, rows in by_judge.items():
        table = []
        for prompt in study.prompts:
            for setting in study.settings:
                best = study.best_of(setting, prompt)
                said = rows.get(best.trial_id) if best else None
                if said:
                    score = "–" if said["score"] is None else f"{said['score']:.0%}"
                    table.append([prompt, setting, score, foremost(said["details"])])
        if table:
            parts.append(Table(f"{judge}. {what}", ["prompt", "setting", "the prompt's own", "likeliest"], table))
    return parts


def foremost(details: Sequence[Mapping[str, Any]]) -> str:
    """Returns the largest shares, largest first: the first one, and no other that would be shown as 0 %."""
    ordered = sorted(details, key=lambda entry: (-entry["value"], entry["key"]))[:DETAILS]
    return ", ".join(
        f"{entry['key']} {entry['value']:.0%}" for entry in ordered[:1] + [entry for entry in ordered[1:] if entry["value"] >= LEAST]
    )

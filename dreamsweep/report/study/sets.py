"""The section of sets of pictures: diversity and quality, with their grids."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from dreamsweep.report.study import plots
from dreamsweep.report.study.data import Study
from dreamsweep.report.study.parts import Part, Plot, Section, Table
from dreamsweep.report.study.pictures import MOST_STRIPS
from dreamsweep.spec.judges import AUDITOR
from dreamsweep.spec.report import Report
from dreamsweep.store import keys

_SQL = (
    "SELECT judge, metric, engine, setting, prompt, value, pictures, grid_uri FROM set_scores "
    "ORDER BY judge, prompt IS NOT NULL, engine IS NOT NULL, engine, setting IS NOT NULL, setting, prompt, metric"
)


def sets_section(study: Study, report: Report) -> Section:
    """Returns statistics of sets of pictures, quality against diversity, and the grids."""
    rows = study.ask(_SQL)
    parts: list[Part] = [*_tables(rows)]
    if points := _quality_and_diversity(study, rows):
        caption = (
            "Quality against diversity, each point a setting, mean over the prompts: further up is better by a judge that chose nothing, "
            "further right are more different pictures of one prompt."
        )
        parts.append(Plot("quality-diversity", plots.trade_off(points, _quality_judge(study)), caption))
    for number, (address, caption) in enumerate(_grids(rows)[:MOST_STRIPS], 1):
        key = keys.set_grid(study.sweep, address.rpartition("/")[2].removesuffix(".png"))
        if grid := study.store.get(key):
            parts.append(Plot(f"set-{number}", plots.fitted(grid), caption))
    return Section("Sets of pictures", parts, f"No sets yet: dreamsweep judge {study.sweep} --with diversity")


def _tables(rows: list[dict[str, Any]]) -> list[Table]:
    by_judge: dict[str, dict[tuple[str, str, str], dict[str, float | None]]] = {}
    for row in rows:
        of_set = row["setting"] or row["engine"] or "all engines", row["prompt"] or "all prompts", str(row["pictures"])
        by_judge.setdefault(row["judge"], {}).setdefault(of_set, {})[row["metric"]] = row["value"]
    tables = []
    for judge, sets in by_judge.items():
        metrics = sorted({metric for values in sets.values() for metric in values})
        cells = [[*of_set, *map(_value, (values.get(metric) for metric in metrics))] for of_set, values in sets.items()]
        tables.append(Table(f"{judge}: statistics of sets of pictures.", ["setting", "prompt", "pictures", *metrics], cells))
    return tables


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _grids(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Returns address and caption of each grid, prompt by prompt; of an engine with several settings, those of its settings alone."""
    varied = {row["engine"] for row in rows if row["setting"]}
    wanted = [row for row in rows if row["grid_uri"] and (row["setting"] or row["engine"] not in varied)]
    captions = {row["grid_uri"]: f"{row['prompt']} · {row['setting'] or row['engine']}" for row in wanted}
    return sorted(captions.items(), key=lambda grid: grid[1])


def _quality_judge(study: Study) -> str:
    """Returns the judge that quality is told by: the auditor, else another that chose nothing, else the one that chose."""
    order = sorted(study.judged, key=lambda judged: (judged.judge != AUDITOR, judged.chose_best, judged.judge))
    return order[0].judge if order else ""


def _quality_and_diversity(study: Study, rows: list[dict[str, Any]]) -> Mapping[str, tuple[float, float]]:
    """Returns each setting's Vendi score and judge's score, means over the prompts that have both; nothing for fewer than two settings."""
    scores = next((judged.scores for judged in study.judged if judged.judge == _quality_judge(study)), {})
    vendi: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["metric"] == "vendi_score" and row["prompt"] and row["value"] is not None:
            vendi.setdefault(row["setting"] or row["engine"], {})[row["prompt"]] = row["value"]
    points = {}
    for setting in study.settings:
        pairs = []
        for prompt, value in vendi.get(setting, {}).items():
            judged = [scores[trial.trial_id] for trial in study.cell(setting, prompt) if trial.trial_id in scores]
            if judged:
                pairs.append((value, fmean(judged)))
        if pairs:
            points[setting] = (fmean(value for value, _ in pairs), fmean(score for _, score in pairs))
    return points if len(points) > 1 else {}

"""Sections of a study's report: tables, plots and pictures, each with what it does and does not show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from dreamsweep.report import study_plots as plots
from dreamsweep.report.contact_sheet import contact_sheet
from dreamsweep.report.labels import natural
from dreamsweep.report.study_data import (
    Interval,
    Judged,
    Study,
    StudyTrial,
    mean_ranks,
    mean_table,
    paired_difference,
    phrasing_of,
    rank_correlation,
    within_groups,
)
from dreamsweep.spec.report import Report, SectionName
from dreamsweep.store import keys
from dreamsweep.text import counted, format_seconds

MOST_FILMS, MOST_STRIPS = 8, 12
LARGEST_FILM = 2_000_000
"""Bytes of a film that a page can hold; a larger one is left out, and the page says so."""
DETAILS = 5
"""Labels or classes that are named of a picture."""


@dataclass(frozen=True)
class Table:
    """A table of a section; the best cell of each column is marked where `marks` says so."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: frozenset[tuple[int, int]] = frozenset()
    """Row and column of the cells that stand out."""


@dataclass(frozen=True)
class Plot:
    """A picture of a section, also kept as a file of that name."""

    name: str
    png: bytes
    caption: str


@dataclass(frozen=True)
class Film:
    """An animated picture of a trial."""

    webp: bytes
    caption: str


@dataclass(frozen=True)
class Text:
    """A paragraph of a section."""

    text: str


Part = Table | Plot | Film | Text


@dataclass(frozen=True)
class Section:
    """A section of a report; without parts where the sweep has nothing for it, and `instead` says what to do about that."""

    title: str
    parts: Sequence[Part]
    instead: str = ""


def sections(study: Study, report: Report) -> list[Section]:
    """Returns the sections that were asked for, in that order; without any, all that the sweep has something for."""
    if report.sections:
        return [SECTIONS[name](study, report) for name in report.sections]
    return [section for make in SECTIONS.values() if (section := make(study, report)).parts]


def _pictures(study: Study, report: Report) -> Section:
    sheet = next(iter(contact_sheet(study.store, study.sweep)))
    chosen = f"chosen by {study.judged[0].judge}" if study.judged else "nothing was judged"
    return Section("Pictures", [Plot("pictures", sheet, f"The best picture of each trial, {chosen}.")])


def _films(study: Study, report: Report) -> Section:
    parts: list[Part] = []
    strips: list[tuple[str, Sequence[tuple[str, bytes]]]] = []
    for prompt in study.prompts:
        for setting in study.settings:
            if (best := study.best_of(setting, prompt)) and len(strips) < MOST_STRIPS and (frames := _snapshots(study, best)):
                strips.append((f"{prompt} · {setting}", frames))
    if strips:
        cut = "" if len(strips) < MOST_STRIPS else f" The first {MOST_STRIPS} of them."
        caption = f"Snapshots of the best trial of each prompt and setting, with their iterations.{cut}"
        parts.append(Plot("strips", plots.strips(strips), caption))
    foremost = (study.foremost(trial for trial in study.trials if trial.prompt == prompt) for prompt in study.prompts)
    with_film = [trial for trial in foremost if trial and trial.row["film_uri"]]
    left_out = max(0, len(with_film) - MOST_FILMS)
    for trial in with_film[:MOST_FILMS]:
        name = str(trial.row["film_uri"]).rpartition("/")[2]
        film = study.store.get(keys.picture(study.sweep, trial.trial_id, name)) if name.endswith((".webp", ".gif")) else None
        if film is not None and len(film) <= LARGEST_FILM:
            parts.append(Film(film, f"{trial.prompt} · {trial.setting}"))
        else:
            left_out += 1
    if left_out:
        parts.append(
            Text(f"{counted(left_out, 'film')} not shown here: beyond the first {MOST_FILMS}, too large, or no format that pages play.")
        )
    return Section("Films", parts, "The sweep kept no snapshots: set snapshot_every, and run it again.")


def _snapshots(study: Study, trial: StudyTrial) -> list[tuple[str, bytes]]:
    """Returns at most eight snapshots of a trial, evenly spaced, with their iterations."""
    folder = keys.picture(study.sweep, trial.trial_id, "")
    names = sorted(name for key in study.store.keys(folder) if (name := key.removeprefix(folder))[:6].isdigit() and name.endswith(".png"))
    chosen = [names[round(i * (len(names) - 1) / 7)] for i in range(8)] if len(names) > 8 else names
    read = ((name, study.store.get(folder + name)) for name in chosen)
    return [(f"{int(name[:6]):,}", data) for name, data in read if data is not None]


def _scores(study: Study, report: Report) -> Section:
    parts: list[Part] = []
    for judged in study.judged:
        parts += _score_tables(study, judged)
    if len(study.judged) > 1:
        parts.append(_agreement(study))
    text = "Scores are comparable within one prompt and one judge only. Ranks and z-scores are within the prompt."
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


def _agreement(study: Study) -> Table:
    rows, prompts = [], {trial.trial_id: trial.prompt for trial in study.trials}
    for first, second in combinations(study.judged, 2):
        ours, theirs = within_groups(first.scores, prompts), within_groups(second.scores, prompts)
        both = sorted(ours.keys() & theirs.keys())
        agreement = rank_correlation([ours[t] for t in both], [theirs[t] for t in both])
        rows.append([first.judge, second.judge, str(len(both)), _shown(agreement)])
    caption = "How far the judges agree: rank correlation of their scores within the prompt, 95 % interval."
    return Table(caption, ["judge", "judge", "trials", "ρ"], rows)


def _shown(interval: Interval | None, scale: float = 1) -> str:
    if interval is None:
        return "too few"
    return f"{interval.value * scale:+.2f} ({interval.low * scale:+.2f} to {interval.high * scale:+.2f})"


def _curves(study: Study, report: Report) -> Section:
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


def _loss(study: Study, report: Report) -> Section:
    """Answers whether a lower final loss goes with a better score, engine by engine, as losses of engines have nothing in common."""
    rows = []
    points: dict[str, tuple[list[float], list[float]]] = {}
    for engine in sorted({str(trial.row["engine"]) for trial in study.trials}):
        of_engine = [t for t in study.trials if t.row["engine"] == engine and t.row["loss_last"] is not None and t.row["status"] == "done"]
        losses = within_groups({t.trial_id: float(t.row["loss_last"]) for t in of_engine}, {t.trial_id: t.prompt for t in of_engine})
        for judged in study.judged:
            scores = within_groups(
                {t.trial_id: judged.scores[t.trial_id] for t in of_engine if t.trial_id in judged.scores},
                {t.trial_id: t.prompt for t in of_engine},
            )
            both = sorted(losses.keys() & scores.keys())
            correlation = rank_correlation([losses[t] for t in both], [scores[t] for t in both])
            if correlation is not None:
                rows.append([engine, judged.judge, str(correlation.count), _shown(correlation), _loss_answer(correlation)])
                if judged.chose_best:
                    points[engine] = ([losses[t] for t in both], [scores[t] for t in both])
    if not rows:
        return Section(
            "Does a lower loss mean a better score?", [], "Needs four trials or more of a prompt by one engine that descends a loss."
        )
    caption = "Rank correlation of the final loss and the score, both within prompt and engine, with its 95 % interval."
    table = Table(caption, ["engine", "judge", "trials", "ρ", "lower loss, better score?"], rows)
    plot = Plot("loss", plots.scatter(points), "Each point a trial, in standard deviations of its prompt.") if points else None
    return Section("Does a lower loss mean a better score?", [table, *([plot] if plot else [])])


def _loss_answer(correlation: Interval) -> str:
    if not correlation.is_clear:
        return "not shown by these trials"
    return "yes" if correlation.value < 0 else "no: a higher loss goes with a better score"


def _decline(study: Study, report: Report) -> Section:
    sql = (
        "SELECT trial_id, arg_max(iteration, judge) AS peak, max(judge) - arg_max(judge, iteration) AS falls, max(iteration) AS last "
        "FROM scores WHERE judge IS NOT NULL GROUP BY trial_id HAVING count(*) > 1 ORDER BY trial_id"
    )
    answers = {row["trial_id"]: row for row in study.ask(sql)}
    rows = []
    for setting in study.settings:
        of_setting = [answers[trial.trial_id] for trial in study.trials if trial.setting == setting and trial.trial_id in answers]
        if of_setting:
            peaks = fmean(row["peak"] for row in of_setting)
            at = fmean(row["peak"] / row["last"] for row in of_setting)
            falls = [row["falls"] for row in of_setting]
            rows.append(
                [setting, str(len(of_setting)), f"{peaks:.0f}", f"{at:.0%}", f"{100 * fmean(falls):.2f}", f"{100 * max(falls):.2f}"]
            )
    headings = ["setting", "trials", "peak at iteration", "of the run", "falls by (× 100)", "at most"]
    caption = "Where the judge's curve peaks, and how far it lies below its peak at the end."
    return Section("Peak and decline", [Table(caption, headings, rows)] if rows else [], "The judge looked at each trial once or never.")


def _labels(study: Study, report: Report) -> Section:
    parts = _details(study, "labels:%", "The likeliest labels of the best trial's picture, in per cent of all labels of the list.")
    return Section("Labels", parts, f"No labels yet: dreamsweep judge {study.sweep} --with labels:cifar100")


def _segments(study: Study, report: Report) -> Section:
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
                    entries = sorted(said["details"], key=lambda entry: (-entry["value"], entry["key"]))[:DETAILS]
                    score = "–" if said["score"] is None else f"{said['score']:.0%}"
                    table.append([prompt, setting, score, ", ".join(f"{entry['key']} {entry['value']:.0%}" for entry in entries)])
        if table:
            parts.append(Table(f"{judge}. {what}", ["prompt", "setting", "the prompt's own", "likeliest"], table))
    return parts


def _phrasings(study: Study, report: Report) -> Section:
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
            rows.append([judged.judge, f"“{first}” − “{second}”", str(len(pairs)), _shown(gap, 100), winner])
    caption = "Differences of scores × 100, pairs of the same thing, setting and seed; 95 % interval."
    note = Text("Each picture is compared with its own prompt, so a judge may simply like one phrasing more, whatever the picture shows.")
    return Section(title, [Table(caption, ["judge", "difference", "pairs", "mean", "wins"], rows), note] if rows else [])


def _between(study: Study, report: Report) -> Section:
    walks = [trial for trial in study.trials if trial.row["prompts_to"]]
    rows, lines = [], []
    for trial in walks:
        switches = trial.row["switches"] or []
        at = ", ".join(map(str, switches)) or "none"
        rows.append([trial.prompt, trial.setting, str(trial.row["seed"]), str(trial.row["iterations_done"]), at])
        curves = study.ask(
            f"SELECT iteration, guide_each FROM scores WHERE trial_id = '{trial.trial_id}' AND guide_each IS NOT NULL ORDER BY iteration"
        )
        if curves:
            lines.append((trial.prompt, [row["iteration"] for row in curves], [row["guide_each"] for row in curves]))
    parts: list[Part] = []
    if rows:
        headings = ["from → to", "setting", "seed", "frames", "switches at frame"]
        parts.append(Table("Frames at which the guide finds the next prompt nearer than the one before.", headings, rows))
    if lines:
        parts.append(Plot("between", plots.walks(lines), "The guide's similarity to each prompt that the walk passes, frame by frame."))
    for trial in walks[:MOST_FILMS]:
        sheet = trial.row["sheet_uri"] and study.store.get(
            keys.picture(study.sweep, trial.trial_id, trial.row["sheet_uri"].rpartition("/")[2])
        )
        if sheet:
            parts.append(Plot(f"walk-{trial.trial_id}", plots.fitted(sheet), f"{trial.prompt} · {trial.setting}"))
    return Section("In between", parts, "No trial walks from one prompt to another.")


def _sets(study: Study, report: Report) -> Section:
    sql = (
        "SELECT judge, metric, engine, prompt, value, pictures, grid_uri FROM set_scores "
        "ORDER BY judge, prompt IS NOT NULL, engine IS NOT NULL, engine, prompt, metric"
    )
    by_judge: dict[str, dict[tuple[str, str, str], dict[str, float | None]]] = {}
    grids: dict[str, str] = {}
    for row in study.ask(sql):
        engine, prompt = row["engine"] or "all engines", row["prompt"] or "all prompts"
        values = by_judge.setdefault(row["judge"], {}).setdefault((engine, prompt, str(row["pictures"])), {})
        values[row["metric"]] = row["value"]
        if row["grid_uri"]:
            grids[row["grid_uri"]] = f"{prompt} · {engine}"
    parts: list[Part] = []
    for judge, sets in by_judge.items():
        metrics = sorted({metric for values in sets.values() for metric in values})
        rows = [
            [*of_set, *("–" if (value := values.get(metric)) is None else f"{value:.3g}" for metric in metrics)]
            for of_set, values in sets.items()
        ]
        parts.append(Table(f"{judge}: statistics of sets of pictures.", ["engine", "prompt", "pictures", *metrics], rows))
    for number, (address, caption) in enumerate(list(grids.items())[:MOST_STRIPS], 1):
        key = keys.set_grid(study.sweep, address.rpartition("/")[2].removesuffix(".png"))
        if grid := study.store.get(key):
            parts.append(Plot(f"set-{number}", plots.fitted(grid), caption))
    return Section("Sets of pictures", parts, f"No sets yet: dreamsweep judge {study.sweep} --with diversity")


def _settings(study: Study, report: Report) -> Section:
    first = study.trials[0].row
    seconds = sum(trial.row["seconds"] or 0 for trial in study.trials)
    seeds = sorted({trial.row["seed"] for trial in study.trials})
    failed = [trial for trial in study.trials if trial.row["status"] != "done"]
    devices = ", ".join(sorted({str(trial.row["device"]) for trial in study.trials}))
    versions = ", ".join(f"{name} {version}" for name, version in (first["versions"] or {}).items() if version)
    rows = [
        ["trials", f"{len(study.trials):,}: {counted(len(study.prompts), 'prompt')} × {counted(len(study.settings), 'setting')} × "
         f"{counted(len(seeds), 'seed')}" + (f"; {len(failed)} did not end well" if failed else "")],
        ["iterations", ", ".join(sorted({f"{trial.row['iterations']:,}" for trial in study.trials}, key=natural))],
        ["weights", ", ".join(sorted({str(trial.row["weights"]) for trial in study.trials}))],
        ["guide", ", ".join(sorted({str(trial.row["guide_name"]) for trial in study.trials}))],
        ["judges", ", ".join(judged.judge for judged in study.judged) or "none"],
        ["time", f"{format_seconds(seconds)} of {devices}"],
        ["made by", versions],
    ]  # fmt: skip
    return Section("Settings and versions", [Table("", ["", ""], rows), *(Text(text) for text in _limits(study))])


def _limits(study: Study) -> list[str]:
    texts = []
    if study.judged and not any(not judged.chose_best for judged in study.judged):
        texts.append(
            "Only the judge that chose the pictures has scored them. The highest of many looks flatters: ask a judge that chose nothing "
            f"(dreamsweep judge {study.sweep} --with NAME)."
        )
    if any(trial.row["weights"] == "starter" for trial in study.trials):
        texts.append(
            "Starter weights draw and read some thousand plain things and colours. They show how settings compare here, and say little "
            "about what the published networks would do with the same prompts."
        )
    seeds = {trial.row["seed"] for trial in study.trials}
    if len(seeds) == 1:
        texts.append("One seed: a difference between two settings may be chance. More seeds tell.")
    return texts


SECTIONS: Mapping[SectionName, Callable[[Study, Report], Section]] = {
    "pictures": _pictures,
    "scores": _scores,
    "curves": _curves,
    "loss": _loss,
    "decline": _decline,
    "phrasings": _phrasings,
    "labels": _labels,
    "segments": _segments,
    "between": _between,
    "films": _films,
    "sets": _sets,
    "settings": _settings,
}
"""Each section by its name, in the order of a report that asks for none."""

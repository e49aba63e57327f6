"""Sections of pictures: the contact sheet, snapshots side by side, films."""

from collections.abc import Sequence

from dreamsweep.report.contact_sheet import contact_sheet
from dreamsweep.report.study import plots
from dreamsweep.report.study.data import Study, StudyTrial
from dreamsweep.report.study.parts import Film, Part, Plot, Section, Text
from dreamsweep.spec.report import Report
from dreamsweep.store import keys
from dreamsweep.text import counted

MOST_FILMS, MOST_STRIPS = 8, 12
LARGEST_FILM = 2_000_000
"""Bytes of a film that a page can hold; a larger one is left out, and the page says so."""


def pictures_section(study: Study, report: Report) -> Section:
    """Returns the contact sheet."""
    sheet = next(iter(contact_sheet(study.store, study.sweep)))
    chosen = f"chosen by {study.judged[0].judge}" if study.judged else "nothing was judged"
    return Section("Pictures", [Plot("pictures", sheet, f"The best picture of each trial, {chosen}.")])


def films_section(study: Study, report: Report) -> Section:
    """Returns snapshots of the best trial of each prompt and setting side by side, and the films of the first of each prompt."""
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

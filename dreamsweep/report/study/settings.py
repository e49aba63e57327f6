"""The section of settings, versions and what the numbers do not show."""

from dreamsweep.report.labels import natural
from dreamsweep.report.study.data import Study
from dreamsweep.report.study.parts import Section, Table, Text
from dreamsweep.spec.report import Report
from dreamsweep.text import counted, format_seconds


def settings_section(study: Study, report: Report) -> Section:
    """Returns settings, versions, time, and what the numbers do not show."""
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

"""Each mistake in a sweep file gets one sentence: the field as the YAML spells it, what was found, what to do."""

from pathlib import Path

import pytest
import yaml

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.sweep_file import load_sweep, parse_sweep, sweep_text

GOOD: dict[str, object] = {"name": "t", "prompts": ["a heart"], "engines": ["dalle"]}
BAD: dict[str, tuple[dict[str, object], str]] = {
    "unknown engine": ({"engines": ["dallee"]}, "engines[0]: no engine 'dallee'; did you mean 'dalle'?"),
    "misspelt key": ({"prompt": ["x"]}, "prompt: no such word; did you mean 'prompts'?"),
    "misspelt setting": ({"engines": [{"engine": "dalle", "cutout": 3}]}, "engines[0].cutout: no such word; did you mean 'cutouts'?"),
    "misspelt rate": (
        {"engines": [{"engine": "dalle", "optimizer": {"name": "sgd", "learning_rat": 1}}]},
        "engines[0].optimizer.learning_rat: no such word; did you mean 'learning_rate'?",
    ),
    "empty prompts": ({"prompts": []}, "prompts: empty; name at least one."),
    "empty prompt": ({"prompts": ["a", " "]}, "prompts[1]: the text is empty"),
    "negative iterations": ({"iterations": -5}, "iterations: -5 will not do: input should be greater than 0"),
    "long prompt": ({"prompts": ["x" * 10_000]}, "prompts[0]: the text has 10,000 characters; at most 2,000"),
    "unknown optimizer": (
        {"engines": [{"engine": "dalle", "optimizer": "adamm"}]},
        "engines[0].optimizer: no 'adamm'; did you mean 'adam'?",
    ),
    "no engines": ({"engines": []}, "engines: empty"),
    "unnamed engine": ({"engines": [{"cutouts": 3}]}, "names no engine; add 'engine:'"),
    "name with a slash": ({"name": "a/b"}, "name: 'a/b' cannot be part of a path"),
    "negative seed": ({"seeds": -1}, "seeds: -1 is no seed; seeds go from 0 to 9223372036854775807"),
    "unknown guide": ({"guide": "vit-b/32"}, "guide: no 'vit-b/32'; did you mean 'ViT-B/32'?"),
    "template without its list": ({"prompts": [{"template": "a {b}", "c": ["x"]}]}, "'{b}' at character 3 names none of the lists ('c')"),
    "four fields of cron": ({"schedule": "0 2 * *"}, "schedule: '0 2 * *' will not do: it takes five fields, such as '0 2 * * *'"),
    "an hour that no day has": ({"schedule": "0 25 * * *"}, "schedule: '0 25 * * *' will not do: bad hour; every night at two is"),
    "a day that no month has": ({"schedule": "0 2 31 2 *"}, "schedule: '0 2 31 2 *' will not do: bad day-of-month;"),
    "unknown timezone": (
        {"schedule": {"cron": "0 2 * * *", "timezone": "Europe/Berln"}},
        "schedule.timezone: 'Europe/Berln' will not do: no such timezone; did you mean 'Europe/Berlin'",
    ),
    "misspelt schedule": (
        {"schedule": {"cron": "0 2 * * *", "timezon": "UTC"}},
        "schedule.timezon: no such word; did you mean 'timezone'?",
    ),
    "misspelt judge": (
        {"judges": ["starter-gide"]},
        "judges[0]: 'starter-gide' will not do: there is none of that name; did you mean 'starter-guide'?",
    ),
    "misspelt perceptor of a judge": (
        {"judges": ["labels:things", "labels:cifar100@RN51"]},
        "judges[1]: 'labels:cifar100@RN51' will not do: there is no perceptor 'RN51'; did you mean 'RN50'?",
    ),
    "misspelt list of labels": ({"judges": "labels:cifar10"}, "judges[0]: there is no list 'cifar10'; did you mean 'cifar100'?"),
    "missing list of labels": ({"judges": ["labels:no.txt"]}, "judges[0]: the file '/no.txt' cannot be read (No such file or directory);"),
    "a judge that is a number": ({"judges": 3}, "judges: 3 is no list; write one"),
    "labels of no list": (
        {"judges": [{"name": "starter-guide", "labels": ["a", "b"]}]},
        "labels belong to a list of your own, such as {name: labels:mine, labels: [cat, dog]}",
    ),
    "one label": ({"judges": [{"name": "labels:mine", "labels": ["a"]}]}, "a single label has nothing to be told from; write two or more"),
    "missing initial picture": ({"engines": [{"engine": "dalle", "init_image": "no.png"}]}, "init_image: '/no.png' cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_sentence_names_the_field_and_the_cure(case: str) -> None:
    from dreamsweep.planning.expand import plan

    changes, sentence = BAD[case]
    with pytest.raises(SweepFileError) as caught:
        plan(parse_sweep({**GOOD, **changes}, Path("/"), "sweep.yaml"))
    text = str(caught.value)
    assert sentence in text
    assert "\n" not in text and "Grid" not in text and "pydantic" not in text


def test_a_right_to_left_prompt_is_a_prompt_like_any_other() -> None:
    sweep = parse_sweep({**GOOD, "prompts": ["قلب أحمر", "‏לב אדום"]}, Path("/"), "sweep.yaml")
    assert sweep.prompts[0].text == "قلب أحمر"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds nothing"),
        ("- a", "holds a list"),
        ("name: [", r"sweep.yaml:1:8: not YAML: a quote or a bracket is opened and never closed; close it"),
        ("prompts: ['a']\nengines: [dalle]", "name: missing"),
    ],
)
def test_files_that_are_no_sweep(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(SweepFileError, match=sentence):
        load_sweep(path)


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text("name: demo\nengines: [dalle]\n")
    (tmp_path / "mo.yaml").write_text("name: no sweep")
    with pytest.raises(SweepFileError, match=r"is not there; did you mean '.*demo\.yaml'"):
        load_sweep(tmp_path / "dmo.yaml")


def test_paths_are_taken_from_the_sweep_file_s_folder(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a heart\n")
    path = tmp_path / "sweep.yaml"
    path.write_text("name: t\nprompts: p.txt\nengines: dalle\n")
    assert load_sweep(path).prompts[0].file == str(tmp_path / "p.txt")  # type: ignore[union-attr]


def test_a_schedule_may_be_plain_cron_and_is_no_part_of_what_is_made() -> None:
    from dreamsweep.planning.expand import trials
    from dreamsweep.spec import Schedule

    plain, scheduled = (parse_sweep({**GOOD, **more}, Path("/"), "sweep.yaml") for more in ({}, {"schedule": "30 1 * * mon-fri"}))
    assert plain.schedule is None
    assert scheduled.schedule == Schedule(cron="30 1 * * mon-fri", timezone="UTC", active=True)
    assert [trial.id for trial in trials(scheduled)] == [trial.id for trial in trials(plain)]


def test_judges_are_beside_the_trials_and_a_list_of_labels_is_read_with_the_file(tmp_path: Path) -> None:
    from dreamsweep.planning.expand import shards

    (tmp_path / "animals.txt").write_text("# mine\ncat\ndog\ncat\n")
    path = tmp_path / "sweep.yaml"
    path.write_text("name: t\nprompts: [a cat]\nengines: dalle\njudges: [views:starter-guide, labels:animals.txt, labels:animals.txt]\n")
    sweep, plain = load_sweep(path), parse_sweep({"name": "t", "prompts": ["a cat"], "engines": "dalle"}, tmp_path, "t")
    (shard,), (same,) = shards(sweep), shards(plain)
    assert (shard.shard_id, shard.trials) == (same.shard_id, same.trials)
    assert [(judge.name, judge.labels) for judge in shard.judges] == [("views:starter-guide", ()), ("labels:animals.txt", ("cat", "dog"))]
    (tmp_path / "animals.txt").unlink()  # the sweep as it was run is whole without it
    assert parse_sweep(yaml.safe_load(sweep_text(sweep)), tmp_path / "elsewhere", "sweep.yaml") == sweep


def test_a_single_judge_needs_no_list_and_none_is_an_empty_one() -> None:
    assert [judge.name for judge in parse_sweep({**GOOD, "judges": "labels:things"}, Path("/"), "t").further_judges] == ["labels:things"]
    assert parse_sweep({**GOOD, "judges": [], "judge": "RN50"}, Path("/"), "t").further_judges == ()
    assert [judge.name for judge in parse_sweep({**GOOD, "judge": "RN50"}, Path("/"), "t").further_judges] == ["starter-auditor"]
    assert [judge.name for judge in parse_sweep(GOOD, Path("/"), "t").further_judges] == ["starter-auditor"]

"""Concepts of a sweep file: folders of pictures, identity by content, and what is refused."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from dreamsweep.errors import SweepFileError
from dreamsweep.planning.concepts import MOST_PICTURES, concept_pictures, learners, pictures_sha256
from dreamsweep.planning.expand import trials
from dreamsweep.planning.json_schema import sweep_schema
from dreamsweep.planning.prompt_notes import prompt_notes
from dreamsweep.planning.sweep_file import parse_sweep, parse_text, sweep_text
from dreamsweep.spec import Sweep

COLOURS = ("red", "green", "blue")


def write_pictures(folder: Path, colours: tuple[str, ...] = COLOURS, ending: str = "png") -> None:
    folder.mkdir(parents=True)
    for number, colour in enumerate(colours):
        Image.new("RGB", (12, 10), colour).save(folder / f"{number}.{ending}")


def parsed(folder: Path, **changes: Any) -> Sweep:
    words = {"name": "t", "prompts": ["<zibble> in the forest", "a red heart"], "engines": ["dalle"], "concepts": {"zibble": "pictures"}}
    return parse_sweep({**words, **changes}, folder, "t")


def refusal(folder: Path, **changes: Any) -> list[str]:
    with pytest.raises(SweepFileError) as raised:
        parsed(folder, **changes)
    return str(raised.value).replace(f"{folder}/", "").splitlines()


def ids(sweep: Sweep) -> list[str]:
    return [trial.id for trial in trials(sweep)]


def test_ids_depend_on_the_pictures_and_on_no_name(tmp_path: Path) -> None:
    for name, colours in (("a", COLOURS), ("b", COLOURS[::-1]), ("c", ("red", "green")), ("d", (*COLOURS, "red"))):
        write_pictures(tmp_path / name / "pictures", colours)
    first, renamed, fewer, twice = (ids(parsed(tmp_path / name)) for name in "abcd")
    assert first == renamed == twice
    assert fewer[0] != first[0] and fewer[1] == first[1]
    (tmp_path / "a" / "elsewhere").mkdir()
    (tmp_path / "a" / "pictures").rename(tmp_path / "a" / "elsewhere" / "zibbles")
    assert ids(parsed(tmp_path / "a", concepts={"zibble": {"folder": "elsewhere/zibbles"}})) == first


def test_a_trial_without_the_word_is_that_of_a_sweep_without_concepts(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    plain = parse_sweep({"name": "t", "prompts": ["a red heart"], "engines": ["dalle"]}, tmp_path, "t")
    assert ids(parsed(tmp_path))[1:] == ids(plain)
    with_word, without = trials(parsed(tmp_path))
    assert [concept.token for concept in with_word.concepts] == ["<zibble>"] and without.concepts == ()
    assert with_word.model_validate_json(with_word.model_dump_json()).id == with_word.id


def test_words_count_in_every_text_that_the_engine_reads(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    prompts = [{"text": "a hat", "negatives": "<Zibble>"}, {"text": "a hat", "also": ["<zibble>"]}, {"text": "a hat", "to": "<zibble>"}]
    assert [bool(trial.concepts) for trial in trials(parsed(tmp_path, prompts=prompts))] == [True, True, False]


def test_a_sweep_with_concepts_that_was_written_out_is_the_same(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    sweep = parsed(tmp_path)
    assert sweep.concepts["zibble"].pictures == 3
    assert parse_text(sweep_text(sweep), Path("/nowhere"), "again") == sweep


def test_all_kinds_of_pictures_are_read_and_other_files_passed_over(tmp_path: Path) -> None:
    write_pictures(tmp_path / "png", COLOURS)
    (tmp_path / "png" / "notes.txt").write_text("no picture")
    (tmp_path / "png" / "more.png").mkdir()
    write_pictures(tmp_path / "upper", COLOURS, "JPG")
    assert [len(concept_pictures(tmp_path / name)) for name in ("png", "upper")] == [3, 3]
    assert pictures_sha256(["b", "a"]) == pictures_sha256(["a", "b"])


def test_folders_that_cannot_be_learned_from(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    kinds = "(.png, .jpg, .jpeg, .webp)"
    holds_none = f"t: concepts.zibble: folder 'pictures' holds no pictures {kinds}; put in some that show what the word means."
    assert refusal(tmp_path) == [holds_none]
    (tmp_path / "pictures" / "a.png").write_bytes(b"no picture")
    assert refusal(tmp_path) == ["t: concepts.zibble: 'pictures/a.png' cannot be read as a picture; give it a PNG, JPEG or WebP file."]
    missing = "t: concepts.zibble: 'gone' cannot be read (No such file or directory); name a folder of pictures."
    assert refusal(tmp_path, concepts={"zibble": "gone"}) == [missing]
    assert "control character" in refusal(tmp_path, concepts={"zibble": "a\0b"})[0]
    for number in range(MOST_PICTURES + 1):
        (tmp_path / "pictures" / f"{number}.png").touch()
    (many,) = refusal(tmp_path)
    assert many == "t: concepts.zibble: folder 'pictures' holds 102 pictures; at most 100 are read, and 3 to 20 are enough."


def test_tokens_that_are_no_concepts(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    assert refusal(tmp_path, prompts=["<zible> in the forest"]) == [
        "t: prompts[0]: '<zible>' is no concept of this sweep; did you mean <zibble>?"
    ]
    assert refusal(tmp_path, prompts=["a <b>", "<zibble>"]) == [
        "t: prompts[0]: '<b>' is no concept of this sweep; the sweep has <zibble>; add it to 'concepts:', or take the brackets out."
    ]


@pytest.mark.parametrize("name", ["Zibble", "2", "a b", "<zibble>", "x" * 41])
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, concepts={name: "pictures"}, prompts=["a"])
    assert "cannot be a concept's name; use a small letter, then small letters, digits, '_' and '-', such as 'moomin'" in line


@pytest.mark.parametrize("engine", ["guided-diffusion", "unclip", "interpolation"])
def test_engines_that_read_prompts_themselves(engine: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    prompt = {"text": "<zibble>", "to": "a star"}
    assert refusal(tmp_path, prompts=[prompt], engines=["dalle", engine]) == [
        f"t: engines[1]: {engine} reads prompts by a text encoder of its own, which cannot learn <zibble>; give it a sweep of its own, "
        "without concepts."
    ]
    parsed(tmp_path, prompts=[{"text": "a heart", "to": "a star"}], engines=[engine])


def test_perceptors_that_cannot_learn(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    guide = "t: guide: siglip2-base cannot learn <zibble>; use a CLIP, such as starter-guide or ViT-B/32."
    judge = "t: judge: siglip2-large cannot learn <zibble>; use a CLIP, such as starter-judge or ViT-B/32."
    assert refusal(tmp_path, guide=["siglip2-base", "RN50"], judge="siglip2-large") == [guide, judge]
    assert refusal(tmp_path, guides=["RN50", "siglip2-base"]) == [guide.replace("guide:", "guides:")]
    sweep = parsed(tmp_path, judges=["views:RN50", "siglip2-base", "labels:things", "starter-auditor"])
    assert learners(sweep) == ["starter-guide", "starter-judge", "RN50"]
    assert learners(parsed(tmp_path, guides=["starter-guide", ["RN50", "RN101"]])) == ["starter-guide", "RN50", "RN101", "starter-judge"]


def test_notes_on_words_that_nobody_uses_and_on_tokens_without_concepts(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    assert prompt_notes(parsed(tmp_path)) == []
    unused = parsed(tmp_path, concepts={"zibble": "pictures", "other": "pictures"})
    assert prompt_notes(unused) == ["concepts.other: no prompt holds <other>, so it is not learned."]
    (note,) = prompt_notes(parsed(tmp_path, concepts={}))
    assert note == (
        "prompts[0]: '<zibble>' in '<zibble> in the forest' is read as plain text; for a word of your own, name a folder of pictures that "
        "show it (concepts: {name: folder})."
    )


def test_editors_know_concepts() -> None:
    words = {"name": "t", "prompts": ["a"], "engines": ["dalle"]}
    for concepts in ({"zibble": "pictures"}, {"zibble": {"folder": "pictures"}}):
        jsonschema.validate({**words, "concepts": concepts}, sweep_schema())
    for wrong in (["pictures"], {"zibble": 3}, {"Zibble!": "pictures"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**words, "concepts": wrong}, sweep_schema())

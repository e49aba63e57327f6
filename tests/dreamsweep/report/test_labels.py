"""Labels of prompts and variants: only what tells them apart."""

import random
from typing import Any

from dreamsweep.report.labels import COLUMNS, PromptKey, labels, natural, prompt_labels, prompt_of, settings_of, variant_of
from dreamsweep.spec import ENGINES
from dreamsweep.tables.schemas import engine_column


def row(engine: str, seed: int, **settings: Any) -> dict[str, Any]:
    """As the table of trials has it: the settings of other engines are null."""
    return {**dict.fromkeys(COLUMNS), "engine": engine, "seed": seed, engine_column(engine): settings}


ADAM, SGD = {"name": "adam", "learning_rate": 0.1, "momentum": None}, {"name": "sgd", "learning_rate": 30.0, "momentum": None}


def test_labels_tell_only_what_differs() -> None:
    rows = [
        row("dalle", 0, optimizer=ADAM, cutouts=16),
        row("dalle", 0, optimizer=SGD, cutouts=16),
        row("strokes", 0, num_paths=64, cutouts=4),
    ]
    assert list(labels(rows).values()) == ["dalle · adam 0.1", "dalle · sgd 30", "strokes"]
    seeds = labels([*rows, row("strokes", 1, num_paths=64, cutouts=4)])
    assert [seeds[variant_of(line)] for line in rows] == ["dalle · adam 0.1 · seed 0", "dalle · sgd 30 · seed 0", "strokes · seed 0"]
    assert labels([]) == {}


def test_a_guide_is_a_setting_where_guides_differ() -> None:
    rows = [{**row("strokes", 0, num_paths=64), "guide_name": guide} for guide in ("RN50", "ViT-B/32")]
    assert list(labels(rows).values()) == ["strokes · guide RN50", "strokes · guide ViT-B/32"]
    assert list(labels(rows[:1]).values()) == ["strokes"]


def test_a_picture_goes_by_its_name_and_nothing_by_no_name() -> None:
    pictures = [{"path": f"/far away/{name}.png", "sha256": digit * 64} for name, digit in (("a heart", "1"), ("b", "2"))]
    rows = [row("unclip", 0, to_image=picture, components=None) for picture in pictures] + [row("unclip", 0, to_image=None, components=4)]
    assert list(labels(rows).values()) == ["unclip · to_image a heart.png", "unclip · to_image b.png", "unclip · components 4"]
    alike = [row("unclip", 0, to_image={**pictures[0], "sha256": digit * 64}) for digit in "12"]
    assert len(labels(alike)) == 2, "two pictures of one name are two settings"


def test_settings_are_text() -> None:
    only = row("guided-diffusion", 0, cutouts=16, background="#ffffff", guide_strength=0.5)
    assert settings_of(only) == {"cutouts": "16", "background": "#ffffff", "guide_strength": "0.5"}
    assert settings_of(row("dalle", 0, optimizer=ADAM)) == {"optimizer": "adam 0.1"}


def test_every_engine_s_settings_are_among_the_columns() -> None:
    assert set(COLUMNS) == {"engine", "guide_name", "seed", *map(engine_column, ENGINES)}


def test_prompts_are_told_apart_by_all_that_they_say() -> None:
    cat, oil, blurry = PromptKey("a cat"), (("an oil painting", 0.5),), (("blurry", 1.0),)
    expected = {
        cat: "a cat",
        cat._replace(to=("a dog",)): "a cat → a dog",
        cat._replace(to=("a dog", "a bird")): "a cat → a dog → a bird",
        cat._replace(weight=2.0): "a cat ×2",
        cat._replace(also=oil): "a cat + an oil painting ×0.5",
        cat._replace(negatives=blurry): "a cat − blurry",
        cat._replace(also=oil, negatives=blurry): "a cat + an oil painting ×0.5 − blurry",
        PromptKey("a rocket", weight=3.0, negatives=blurry): "a rocket",  # no other is like it
    }
    assert prompt_labels(expected) == expected
    assert prompt_labels([]) == {}


def test_a_row_s_prompt_is_all_of_it() -> None:
    phrases = [{"text": "blurry", "weight": 0.5}]
    row = {"prompt": "a cat", "prompts_to": ["a dog"], "weight": 2.0, "also": [], "negatives": phrases}
    assert prompt_of(row) == PromptKey("a cat", ("a dog",), 2.0, (), (("blurry", 0.5),))
    assert prompt_of(dict.fromkeys(row, None) | {"prompt": "a cat"}) == PromptKey("a cat")  # of a table from before


def test_names_are_sorted_as_a_person_would() -> None:
    names = ["7 up", "10 things", "A cat", "adam 0.05", "adam 0.1", "adam 0.1 · seed 2", "adam 0.1 · seed 10", "a②", "Thing 9", "thing 10"]
    assert sorted(random.Random(0).sample(names, len(names)), key=natural) == names

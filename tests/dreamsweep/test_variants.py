"""What variants of a sweep are called: only by what tells them apart."""

from typing import Any

from dreamsweep.spec import ENGINES
from dreamsweep.tables import engine_column
from dreamsweep.variants import COLUMNS, labels, settings_of, variant_of


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
    assert [seeds[variant_of(one)] for one in rows] == ["dalle · adam 0.1 · seed 0", "dalle · sgd 30 · seed 0", "strokes · seed 0"]
    assert labels([]) == {}


def test_settings_are_text() -> None:
    one = row("guided-diffusion", 0, cutouts=16, background="#ffffff", guide_strength=0.5)
    assert settings_of(one) == {"cutouts": "16", "background": "#ffffff", "guide_strength": "0.5"}
    assert settings_of(row("dalle", 0, optimizer=ADAM)) == {"optimizer": "adam 0.1"}


def test_every_engine_s_settings_are_among_the_columns() -> None:
    assert set(COLUMNS) == {"engine", "seed", *map(engine_column, ENGINES)}

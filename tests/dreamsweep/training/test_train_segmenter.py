"""The segmenter's training: it lowers the loss, goes on where it stopped, and becomes a file that the judge opens."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dreamsweep.models.starter_segmenter import Decoder, StarterNetwork, load_frozen, load_starter_segmenter
from dreamsweep.spec import StrokesSpec
from dreamsweep.training import export, train_auditor, train_segmenter
from dreamsweep.training.scenes import Scenes
from dreamsweep.training.train_segmenter import loss_on, nothing_pictures
from dreamsweep.training.training import Run
from tests.dreamsweep.training.test_scenes import ART, CLASSES, DRAWINGS

RUN = Run(steps=4, batch=4, learning_rate=1e-2, every=2)


@pytest.fixture(autouse=True)
def _tiny(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_segmenter, "CHANNELS", (4, 8))
    monkeypatch.setattr(train_segmenter, "WIDTH", 6)
    monkeypatch.setattr(train_segmenter, "DESCENDED", (StrokesSpec(num_iter=2, num_paths=2, cutouts=1, canvas=32),))
    monkeypatch.setattr(train_auditor, "DESCENDED_NAMES", ("jar", "watch"))


def test_steps_lower_the_loss() -> None:
    frozen, scenes = load_frozen([named.spoken for named in CLASSES]), Scenes(ART, DRAWINGS, damaged=0.0)
    weights = [value.clone() for value in frozen.state_dict().values()]
    torch.manual_seed(0)
    decoder = Decoder(train_segmenter.shape_for(CLASSES)).train()
    optimizer = torch.optim.Adam(decoder.parameters(), 2e-2)
    losses = []
    for _ in range(30):
        loss = loss_on(frozen, decoder, *scenes.draw(8, torch.Generator().manual_seed(0)), torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert all(torch.equal(before, after) for before, after in zip(weights, frozen.state_dict().values(), strict=True))


def test_a_resumed_training_is_that_of_one_leg(tmp_path: Path) -> None:
    whole = torch.load(train_segmenter.train_segmenter(ART, RUN, tmp_path / "whole", classes=CLASSES), weights_only=True)
    train_segmenter.train_segmenter(ART, RUN, tmp_path / "legs", classes=CLASSES)  # for the pictures of nothing
    (tmp_path / "legs" / "segmenter.pt").unlink()
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(train_segmenter, "loss_on", _stopping_after(2))
        with pytest.raises(KeyboardInterrupt):
            train_segmenter.train_segmenter(ART, RUN, tmp_path / "legs", classes=CLASSES)
    resumed = torch.load(train_segmenter.train_segmenter(ART, RUN, tmp_path / "legs", classes=CLASSES), weights_only=True)
    assert resumed["step"] == whole["step"] == 4
    assert all(torch.equal(value, whole["average"][key]) for key, value in resumed["average"].items())


def _stopping_after(steps: int):  # type: ignore[no-untyped-def]
    taken: list[None] = []

    def stopping(*arguments: object) -> torch.Tensor:
        if len(taken) == steps:
            raise KeyboardInterrupt
        taken.append(None)
        return loss_on(*arguments)  # type: ignore[arg-type]

    return stopping


def test_what_was_trained_becomes_a_file_that_the_judge_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_weights: Path) -> None:
    checkpoint = train_segmenter.train_segmenter(ART, RUN, tmp_path, classes=CLASSES)
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in ("starter-auditor.safetensors", "weights.json"):
        (weights / name).write_bytes((tiny_weights / name).read_bytes())
    export.export_segmenter(checkpoint, weights / "starter-segmenter.safetensors", CLASSES)
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(weights))
    segmenter = load_starter_segmenter("cpu")
    assert segmenter.classes == ("__background__", "disc", "square", "unicorn", "something else")
    assert dict(segmenter.words)["circle"] == dict(segmenter.words)["green disc"] == 1
    average = torch.load(checkpoint, weights_only=True)["average"]["classify.bias"]
    assert isinstance(segmenter.network, StarterNetwork)
    assert torch.allclose(segmenter.network.decoder.state_dict()["classify.bias"], average, atol=1e-3)


def test_pictures_of_nothing_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = nothing_pictures(tmp_path)
    assert drawn.shape == (4, 3, 128, 128) and drawn.dtype == torch.uint8  # two things after one iteration and after two
    monkeypatch.setattr(train_segmenter, "descended", None)
    assert torch.equal(nothing_pictures(tmp_path), drawn)


def test_a_seed_decides(tmp_path: Path) -> None:
    paths = [
        train_segmenter.train_segmenter(ART, replace(RUN, steps=1, seed=seed), tmp_path / str(seed), classes=CLASSES) for seed in (0, 1)
    ]
    first, second = (torch.load(path, weights_only=True)["network"]["classify.weight"] for path in paths)
    assert not torch.equal(first, second)

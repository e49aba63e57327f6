"""The recipe of the BigGAN: its classes draw their pictures, in the stock class too, and a run goes on where it stopped."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_pretrained_biggan import BigGAN, BigGANConfig

from dreamsweep.compute.pool import POOL
from dreamsweep.models.biggan import load_biggan, save_biggan
from dreamsweep.training import train_biggan
from dreamsweep.training.train_biggan import ThingPictures, principal_components, trained
from dreamsweep.training.training import averaged
from dreamsweep.weights.starter import read_weights
from tests.dreamsweep.training.made_art import NAMES, made_art

ART = made_art()
STAGES = [replace(stage, run=replace(stage.run, steps=3, batch=2, every=1)) for stage in train_biggan.STAGES]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_biggan, "WIDTH", 4)
    monkeypatch.setattr(train_biggan, "Z", 8)
    monkeypatch.setattr(train_biggan, "thing_names", lambda: [name.title() for name in NAMES[:6]])


def test_each_thing_has_one_picture_on_white() -> None:
    data = ThingPictures(ART)
    assert data.names == tuple(sorted(NAMES[:6])) and data.pictures.shape == (6, 3, 128, 128)
    assert torch.equal(data.pictures[:, :, 0, 0], torch.ones(6, 3))
    flat = ART.styles.index("fluent-emoji-flat")
    (index,) = [i for i in range(len(ART.rgba)) if ART.style_of[i] == flat and ART.names[ART.name_of[i]] == data.names[0]]
    torch.testing.assert_close(data.pictures[0, :, 64, 64] * 255, torch.from_numpy(ART.rgba[index, 64, 64, :3]).float())


def test_a_training_that_was_cut_off_goes_on_in_the_stage_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = averaged(train_biggan.train_biggan(ART, STAGES, tmp_path / "whole"))
    loss_of = train_biggan._loss

    def cut(*arguments: Any) -> torch.Tensor:
        if arguments[2].block == 3 and arguments[3] == 1:
            raise KeyboardInterrupt
        return loss_of(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train_biggan, "_loss", cut)
        with pytest.raises(KeyboardInterrupt):
            train_biggan.train_biggan(ART, STAGES, tmp_path / "cut")
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["biggan-32.pt", "biggan-64.pt"]
    resumed = averaged(train_biggan.train_biggan(ART, STAGES, tmp_path / "cut"))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_pictures_grow_and_a_finished_training_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = train_biggan.train_biggan(ART, STAGES, tmp_path)
    printed = capsys.readouterr().out
    assert re.findall(r"^(\S+): fit \S+ dB", printed, re.MULTILINE) == ["biggan-32", "biggan-64", "biggan"]
    before = checkpoint.read_bytes()
    train_biggan.train_biggan(ART, STAGES, tmp_path)  # nothing is left to do
    assert checkpoint.read_bytes() == before


def test_the_stock_class_draws_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, names = trained(ART, train_biggan.train_biggan(ART, STAGES, tmp_path))
    save_biggan(tmp_path / "starter-biggan.safetensors", model, names)
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(tmp_path))
    POOL.clear()
    loaded = load_biggan("starter", 128, "cpu")
    POOL.clear()
    assert loaded.names == names and (loaded.classes, loaded.z_dim, loaded.vectors) == (6, 8, 6)
    tensors, _, sha256 = read_weights("starter-biggan")
    assert loaded.sha256 == sha256
    stock = BigGAN(BigGANConfig.from_dict(model.config.to_dict())).eval()
    stock.load_state_dict({key: value.float() for key, value in tensors.items()})
    student = train_biggan.Student(torch.zeros(6, 8))
    student.load_state_dict(averaged(tmp_path / "biggan.pt"))
    with torch.no_grad():
        drawn = student(student.codes[:, None].expand(-1, 6, -1), 4)
        shown = (stock(torch.zeros(6, 8), torch.eye(6), 1.0) + 1) / 2
    assert (drawn - shown).abs().max() < 0.02  # half precision


def test_codes_are_centred_and_tell_pictures_apart() -> None:
    codes = principal_components(ThingPictures(ART).pictures, 8)
    assert codes.shape == (6, 8)
    torch.testing.assert_close(codes.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    assert codes.std().item() == pytest.approx(1, abs=1e-4) and torch.cdist(codes, codes).fill_diagonal_(9).min() > 0.1

"""The recipe of the BigGAN: its classes draw their pictures, in the stock class too, and a run goes on where it stopped."""

from pathlib import Path

import pytest
import torch
from pytorch_pretrained_biggan import BigGAN, BigGANConfig

from dreamsweep.compute.pool import POOL
from dreamsweep.models.biggan import load_biggan, save_biggan
from dreamsweep.training import train_biggan
from dreamsweep.training.train_biggan import BigganRun, ThingPictures, principal_components, stage_at, trained
from dreamsweep.weights.starter import read_weights
from tests.dreamsweep.training.made_art import NAMES, made_art

ART = made_art()
RUN = BigganRun(steps=5, batch=2, every=2)


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


def test_a_run_that_was_cut_off_ends_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.load(train_biggan.train_biggan(ART, RUN, tmp_path / "whole"), weights_only=True)

    def cut(progress: float) -> tuple[int, float]:
        if progress > 0.5:
            raise KeyboardInterrupt
        return stage_at(progress)

    with monkeypatch.context() as patch:
        patch.setattr(train_biggan, "stage_at", cut)
        with pytest.raises(KeyboardInterrupt):
            train_biggan.train_biggan(ART, RUN, tmp_path / "cut")
    assert torch.load(tmp_path / "cut/biggan.pt", weights_only=True)["step"] == 2
    resumed = torch.load(train_biggan.train_biggan(ART, RUN, tmp_path / "cut"), weights_only=True)
    assert resumed["step"] == 5
    assert all(torch.equal(value, resumed["student"][key]) for key, value in whole["student"].items())


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = train_biggan.train_biggan(ART, RUN, tmp_path / "whole")
    assert torch.load(checkpoint, weights_only=True)["step"] == 5
    printed = capsys.readouterr().out
    assert "step 2/5" in printed and "at 32 px" in printed and "step 5/5" in printed and "at 128 px" in printed
    before = checkpoint.read_bytes()
    train_biggan.train_biggan(ART, RUN, tmp_path / "whole")  # nothing is left to do
    assert checkpoint.read_bytes() == before


def test_the_stock_class_draws_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, names = trained(ART, train_biggan.train_biggan(ART, RUN, tmp_path))
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
    record = torch.load(tmp_path / "biggan.pt", weights_only=True)["student"]
    student = train_biggan._Student(ThingPictures(ART), 0)
    student.load_state_dict(record)
    with torch.no_grad():
        drawn = student(student.codes[:, None].expand(-1, 6, -1), 4)
        shown = (stock(torch.zeros(6, 8), torch.eye(6), 1.0) + 1) / 2
    assert (drawn - shown).abs().max() < 0.02  # half precision


def test_codes_are_centred_and_tell_pictures_apart() -> None:
    codes = principal_components(ThingPictures(ART).pictures, 8)
    assert codes.shape == (6, 8)
    torch.testing.assert_close(codes.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    assert codes.std().item() == pytest.approx(1, abs=1e-4) and torch.cdist(codes, codes).fill_diagonal_(9).min() > 0.1


def test_the_generator_grows_and_the_rate_falls_at_last() -> None:
    stages = [stage_at(step / 100) for step in range(100)]
    assert [block for block, _ in stages] == sorted(block for block, _ in stages)
    assert {block for block, _ in stages} == {2, 3, 4}
    assert max(rate for _, rate in stages) <= 1 and stages[-1][1] < 0.05

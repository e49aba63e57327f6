"""The recipe of the dVAE: patches become codes and come back, and a run goes on where it stopped."""

from pathlib import Path

import pytest
import torch

from dreamsweep.models.dvae import DvaeShape
from dreamsweep.training import train_dvae
from dreamsweep.training.train_dvae import ArtOnWhite, DvaeRun, nearest_codes, patch_codebook, patches_of, psnr_through, random_crops
from tests.dreamsweep.training.made_art import made_art

ART = made_art()
RUN = DvaeRun(decoder_steps=2, encoder_steps=2, joint_steps=2, batch=2, crop=32)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_dvae, "SHAPE", DvaeShape(n_hid=8, n_init=8, codes=16))
    whole = patch_codebook

    def few(data: ArtOnWhite, seed: int) -> torch.Tensor:
        return whole(data, seed, pictures=60, samples=2_000, rounds=3)

    monkeypatch.setattr(train_dvae, "patch_codebook", few)


@pytest.mark.usefixtures("small")
def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = train_dvae.train_dvae(ART, RUN, tmp_path)
    record = torch.load(checkpoint, weights_only=True)
    assert record["step"] == 6 and "step 6/6" in capsys.readouterr().out
    before = checkpoint.read_bytes()
    train_dvae.train_dvae(ART, RUN, tmp_path)  # nothing is left to do
    assert checkpoint.read_bytes() == before


@pytest.mark.usefixtures("small")
def test_patches_find_their_own_codes() -> None:
    data = ArtOnWhite(ART, ART.of_styles("train"))
    centres = train_dvae.patch_codebook(data, 0)
    assert centres.shape == (16, 192) and torch.equal(centres[0], torch.ones(192))
    tiles = centres.reshape(4, 4, 3, 8, 8).permute(2, 0, 3, 1, 4).reshape(1, 3, 32, 32)
    assert torch.equal(nearest_codes(tiles, centres).flatten(), torch.cdist(centres, centres).argmin(1))
    assert torch.equal(patches_of(tiles).reshape(16, 192), centres)


def test_pictures_lie_on_white_and_crops_are_pieces() -> None:
    pictures = ArtOnWhite(ART, ART.of_styles("train")[:4]).pictures(None)
    assert torch.equal(pictures[:, :, 0, 0], torch.ones(4, 3))
    pieces = random_crops(pictures, 16, torch.Generator().manual_seed(0))
    assert pieces.shape == (4, 3, 16, 16)


def test_psnr_is_that_of_the_mean_squared_error() -> None:
    class Nothing(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures.new_zeros(len(pictures), train_dvae.SHAPE.codes, 2, 2)

    class Grey(torch.nn.Module):
        def forward(self, codes: torch.Tensor) -> torch.Tensor:
            return codes.new_zeros(len(codes), 6, 16, 16)  # half grey

    pictures = torch.full((3, 3, 16, 16), 0.6)
    assert psnr_through(Nothing(), Grey(), pictures) == pytest.approx(20.0, abs=0.05)

"""The dVAE in the stock classes: pictures to codes and back."""

import pytest
import torch
import torch.nn.functional as F

from dreamsweep.models.dvae import decode, encode_logits, load_dvae


@pytest.mark.usefixtures("tiny_weights")
def test_shapes_ranges_and_frozen_networks() -> None:
    dvae = load_dvae("starter", "cpu")
    pictures = torch.rand(2, 3, 32, 48)
    logits = encode_logits(dvae.encoder, pictures)
    assert logits.shape == (2, dvae.codes, 4, 6)
    codes = logits.softmax(1).requires_grad_()
    drawn = decode(dvae.decoder, codes)
    assert drawn.shape == (2, 3, 32, 48) and drawn.min() >= 0 and drawn.max() <= 1
    drawn.sum().backward()
    assert codes.grad is not None and codes.grad.abs().sum() > 0
    assert not any(p.requires_grad for network in (dvae.encoder, dvae.decoder) for p in network.parameters())


def test_the_shipped_one_gives_back_what_it_was_given() -> None:
    dvae = load_dvae("starter", "cpu")
    y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
    disc = ((x**2 + y**2) < 0.4).float()
    picture = torch.stack([torch.ones_like(disc), 1 - 0.8 * disc, 1 - 0.9 * disc])[None]  # a red disc on white
    codes = encode_logits(dvae.encoder, picture).argmax(1)
    again = decode(dvae.decoder, F.one_hot(codes, dvae.codes).permute(0, 3, 1, 2).float())
    decibels = -10 * (again - picture).pow(2).mean().log10()
    assert decibels > 20

"""Augmented pictures stay pictures, differ from each other, and come from the generator alone."""

import torch

from dreamsweep.training.augment import PAINTS, augment, on_white, paint, place_on_white, shuffle_patches, vividness


def rgba(count: int = 24) -> torch.Tensor:
    alpha = torch.zeros(count, 1, 64, 64)
    alpha[:, :, 16:48, 16:48] = 1
    return torch.cat([alpha * torch.tensor([0.8, 0.2, 0.1])[:, None, None], alpha], 1)


def test_the_generator_decides() -> None:
    first, same, other = (augment(rgba(), torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert first.shape == (24, 3, 64, 64) and first.min() >= 0 and first.max() <= 1
    assert (first[0] - first[1]).abs().mean() > 0.01


def test_what_is_drawn_stays_recognisable() -> None:
    pictures = augment(rgba(), torch.Generator().manual_seed(0))
    red, green = pictures[:, 0, 24:40, 24:40].mean(), pictures[:, 1, 24:40, 24:40].mean()
    assert red > green + 0.1


def test_shuffled_patches_are_the_same_pixels_elsewhere() -> None:
    pictures = torch.rand(5, 3, 64, 64)
    shuffled = shuffle_patches(pictures, torch.Generator().manual_seed(0))
    assert torch.allclose(shuffled.flatten(2).sort().values, pictures.flatten(2).sort().values)
    assert not torch.equal(shuffled, pictures)
    # each whole patch is found again
    places = [(y, x) for y in (0, 16, 32, 48) for x in (0, 16, 32, 48)]
    assert any(torch.equal(shuffled[0, :, :16, :16], pictures[0, :, y : y + 16, x : x + 16]) for y, x in places)


def test_a_picture_hardly_changed_is_still_itself() -> None:
    plain = torch.cat([rgba()[:, :3] + 1 - rgba()[:, 3:]])
    placed = place_on_white(rgba(), torch.Generator().manual_seed(0))
    assert placed.shape == plain.shape and torch.allclose(placed[:, :, 0, 0], torch.ones(24, 3))
    assert (placed - plain).abs().mean() < 0.1 < (augment(rgba(), torch.Generator().manual_seed(0)) - plain).abs().mean()


def test_paint_changes_saturated_pixels_and_leaves_greys() -> None:
    rgba = torch.zeros(2, 4, 2, 2)
    rgba[:, 3, :, 0] = 1
    rgba[0, 0, :, 0] = 1.0  # pure red
    rgba[1, :3, :, 0] = 0.4  # grey
    painted = paint(rgba, torch.tensor([PAINTS["blue"], PAINTS["blue"]]))
    assert torch.allclose(painted[0, :3, 0, 0], torch.tensor(PAINTS["blue"])) and torch.equal(painted[1], rgba[1])
    assert torch.equal(painted[:, 3], rgba[:, 3]) and (painted[:, :3, :, 1] == 0).all(), "what is transparent stays so"
    assert torch.equal(vividness(rgba), torch.tensor([1.0, 0.0]))
    assert (on_white(painted)[:, :, :, 1] == 1).all()

"""Pictures painted in a colour."""

import pytest
import torch
from torch import Tensor

from dreamsweep.compute.colours import PAINTS, painted


def on_white(*colours: tuple[float, float, float]) -> Tensor:
    """A square of stripes, one of each colour, in the middle of white paper."""
    picture = torch.ones(3, 16, 16)
    for at, colour in enumerate(colours):
        picture[:, 4:12, 4 + 2 * at : 6 + 2 * at] = torch.tensor(colour)[:, None, None]
    return picture


@pytest.mark.parametrize("colour", PAINTS)
def test_a_red_thing_takes_every_paint(colour: str) -> None:
    picture = painted(on_white((1.0, 0.0, 0.0), (0.8, 0.0, 0.0)), colour)
    assert torch.allclose(picture[:, 8, 4], torch.tensor(PAINTS[colour] if colour != "red" else (1.0, 0.0, 0.0)), atol=1e-6)
    assert (picture[:, :4] == 1).all(), "the paper stays white"


def test_a_dim_thing_is_lit_first() -> None:
    picture = painted(on_white((0.5, 0.2, 0.1), (0.5, 0.2, 0.1)), "yellow")
    assert torch.allclose(picture[:, 8, 4], 0.2 + 0.8 * torch.tensor(PAINTS["yellow"]), atol=1e-5), "as bright as its brightest parts allow"


def test_a_grey_thing_takes_the_paint_where_it_is_dark() -> None:
    picture = painted(on_white((0.2, 0.2, 0.2), (0.6, 0.6, 0.6)), "blue")
    assert torch.allclose(picture[:, 8, 4], torch.tensor(PAINTS["blue"]), atol=1e-5)
    assert (picture[:, 8, 6] > picture[:, 8, 4]).any() and picture[2, 8, 6] == 1, "half as dark, it is half as blue"


def test_what_has_the_colour_stays_as_it_is() -> None:
    for picture, colour in ((on_white((0.9, 0.1, 0.1), (1.0, 0.2, 0.2)), "red"), (torch.ones(3, 16, 16), "blue")):
        assert torch.equal(painted(picture, colour), picture)
    both = on_white((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    assert not torch.equal(painted(both, "yellow"), both), "red and green are no yellow, though their mean is"

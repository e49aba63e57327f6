"""SVG of strokes: another renderer draws from it what our rasteriser draws."""

import io
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from dreamsweep.compute.images import paper
from dreamsweep.engines.rasterise import Strokes, rasterise
from dreamsweep.engines.svg import read_svg, write_svg

resvg = pytest.importorskip("resvg_py", reason="resvg-py, the independent renderer, is not installed")
SIDE = 224
Picture = NDArray[np.float64]


def random_strokes(p: int, narrowest: float, widest: float, seed: int) -> Strokes:
    randomness = torch.Generator().manual_seed(seed)
    first = torch.rand(1, p, 1, 2, generator=randomness)
    steps = (torch.rand(1, p, 9, 2, generator=randomness) - 0.5) * 0.2
    points = torch.cat((first, first + steps.cumsum(2)), 2) * SIDE
    widths = narrowest + (widest - narrowest) * torch.rand(1, p, generator=randomness)
    return Strokes(points, torch.randint(1, 4, (1, p), generator=randomness), widths, torch.rand(1, p, 4, generator=randomness))


def rendered(text: str, zoom: int) -> Picture:
    """The SVG as resvg draws it, `zoom` times as large and then averaged down: `h w 3` in [0, 1]."""
    large = text.replace(f'width="{SIDE}" height="{SIDE}"', f'width="{zoom * SIDE}" height="{zoom * SIDE}"')
    pixels = np.asarray(Image.open(io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=large)))).convert("RGB")) / 255
    averaged: Picture = pixels.reshape(SIDE, zoom, SIDE, zoom, 3).mean((1, 3))
    return averaged


def psnr(first: Picture, other: Picture) -> float:
    return -10 * math.log10(float(((first - other) ** 2).mean()))


def decibels(strokes: Strokes, background: str) -> float:
    """How near our picture and resvg's are to each other."""
    ours = rasterise(strokes, SIDE, SIDE, paper(background))[0].movedim(0, -1).numpy()
    return psnr(ours, rendered(write_svg(strokes, SIDE, background)[0], zoom=6))


# at its own size resvg draws strokes of one pixel as hairlines, 29 dB from its own enlarged picture
@pytest.mark.parametrize(("p", "narrowest", "widest", "seed", "plain"), [(64, 1, 4, 0, 33), (256, 1, 10, 1, 33), (256, 1, 1, 2, 28)])
def test_an_independent_renderer_draws_the_same(p: int, narrowest: float, widest: float, seed: int, plain: float) -> None:
    strokes = random_strokes(p, narrowest, widest, seed)
    ours = rasterise(strokes, SIDE, SIDE, torch.ones(3, 1, 1))[0].movedim(0, -1).numpy()
    text = write_svg(strokes, SIDE, "#ffffff")[0]
    assert psnr(ours, rendered(text, zoom=6)) > 36
    assert psnr(ours, rendered(text, zoom=1)) > plain
    assert psnr(np.ones_like(ours), rendered(text, zoom=6)) < 20  # there is something to be drawn


PAPERS = ("#ffffff", "#000000", "#2050a0")


@pytest.mark.parametrize("background", PAPERS)
@pytest.mark.parametrize("segments", [1, 2, 3])
def test_it_draws_the_same_for_any_number_of_segments_on_any_paper(segments: int, background: str) -> None:
    strokes = replace(random_strokes(128, 1, 8, segments), segments=torch.full((1, 128), segments))
    assert decibels(strokes, background) > 40


@pytest.mark.parametrize("opacity", [0.05, 0.5, 1.0])
def test_it_draws_the_same_where_many_strokes_lie_upon_each_other(opacity: float) -> None:
    """Strokes across the middle: half of the pixels there lie under four and more."""
    strokes = random_strokes(100, 6, 20, 5)
    colors = torch.cat((strokes.colors[..., :3], torch.full((1, 100, 1), opacity)), 2)
    strokes = replace(strokes, points=(strokes.points - SIDE / 2) * 0.3 + SIDE / 2, colors=colors)
    layers = replace(strokes, colors=torch.tensor([1.0, 1.0, 1.0, 0.01]).expand(1, 100, 4))
    depth = rasterise(layers, SIDE, SIDE, torch.zeros(3, 1, 1))[0, 0, 92:132, 92:132]
    assert float(depth.median()) > 1 - 0.99**4
    assert decibels(strokes, "#2050a0") > 40


def test_the_strokes_that_a_descent_ends_with_are_drawn_the_same() -> None:
    """Widths at their bounds, colours at 0 and 1, points off the canvas: what an optimizer leaves."""
    strokes = random_strokes(96, 1, 10, 7)
    points = (strokes.points - SIDE / 2) * 1.4 + SIDE / 2
    strokes = replace(strokes, points=points, widths=strokes.widths.mul(1.5).clamp(1, 10), colors=strokes.colors.mul(3).sub(1).clamp(0, 1))
    assert decibels(strokes, "#ffe0c0") > 40


def test_names_every_stroke_in_order_and_well_formed() -> None:
    strokes = random_strokes(5, 1, 4, 3)
    text = write_svg(strokes, SIDE, "#FFEE00", pixels=64)[0]
    root = ElementTree.fromstring(text)
    assert (root.get("width"), root.get("viewBox")) == ("64", "0 0 224 224")
    name = "{http://www.w3.org/2000/svg}"
    rect, group = root.find(f"{name}rect"), root.find(f"{name}g")
    assert rect is not None
    assert rect.get("fill") == "#ffee00"
    assert group is not None
    assert (group.get("stroke-linecap"), group.get("stroke-linejoin")) == ("round", "round")
    paths = group.findall(f"{name}path")
    assert [len((path.get("d") or "").split("C")[1].split()) for path in paths] == (6 * strokes.segments[0]).tolist()


@pytest.mark.parametrize("segments", [1, 3])
def test_what_is_read_back_is_what_was_written(segments: int) -> None:
    strokes = replace(random_strokes(40, 1, 10, 4), segments=torch.full((1, 40), segments))
    (text,) = write_svg(strokes, SIDE, "#ffffff")
    again = read_svg(text)
    assert write_svg(again, SIDE, "#ffffff") == [text]
    assert again.points.shape == (1, 40, 3 * segments + 1, 2) and torch.equal(again.segments, strokes.segments)
    for name, tolerance in (("widths", 5.1e-4), ("colors", 0.5 / 255 + 1e-6)):
        assert torch.allclose(getattr(again, name), getattr(strokes, name), rtol=0, atol=tolerance), name


def test_numbers_never_vary() -> None:
    points = torch.tensor([[-0.0001, 10.0], [0.12345, 1e-7], [100.5, 2.0], [1e6, -3.25]])[None, None]
    strokes = Strokes(points, torch.ones(1, 1, dtype=torch.long), torch.tensor([[1.0]]), torch.tensor([[[0.0, 0.5, 1.0, 0.33333]]]))
    expected = '<path d="M0 10C0.123 0 100.5 2 1000000 -3.25" stroke="#0080ff" stroke-opacity="0.3333" stroke-width="1"/>'
    assert expected in write_svg(strokes, SIDE, "#ffffff")[0]


def test_a_batch_gives_one_text_a_trial() -> None:
    first, other = random_strokes(3, 1, 4, 0), random_strokes(3, 1, 4, 1)
    both = Strokes(*(torch.cat(pair) for pair in zip(vars(first).values(), vars(other).values(), strict=True)))
    assert write_svg(both, SIDE, "#ffffff") == write_svg(first, SIDE, "#ffffff") + write_svg(other, SIDE, "#ffffff")

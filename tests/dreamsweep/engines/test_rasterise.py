"""The rasteriser: what it draws, how it differentiates, and that batch-mates do not meet."""

import math

import pytest
import torch
from torch import Tensor

from dreamsweep.engines.rasterise import Strokes, rasterise

BLACK = torch.zeros(3, 1, 1)
WHITE = torch.ones(3, 1, 1)


def random_strokes(b: int, p: int, size: float, widest: float = 4.0, seed: int = 0, dtype: torch.dtype = torch.float32) -> Strokes:
    randomness = torch.Generator().manual_seed(seed)
    first = torch.rand(b, p, 1, 2, generator=randomness)
    steps = (torch.rand(b, p, 9, 2, generator=randomness) - 0.5) * 0.4
    points = torch.cat((first, first + steps.cumsum(2)), 2) * size
    segments = torch.randint(1, 4, (b, p), generator=randomness)
    widths = 1 + (widest - 1) * torch.rand(b, p, generator=randomness)
    return Strokes(points.to(dtype), segments, widths.to(dtype), torch.rand(b, p, 4, generator=randomness).to(dtype))


def line(start: tuple[float, float], end: tuple[float, float], width: float, color: tuple[float, ...] = (1, 1, 1, 1)) -> Strokes:
    ends = torch.tensor([start, end], dtype=torch.float32)
    points = torch.stack([torch.lerp(ends[0], ends[1], share) for share in (0, 1 / 3, 2 / 3, 1)])
    widths, colors = torch.tensor([[width]], dtype=torch.float32), torch.tensor([[color]], dtype=torch.float32)
    return Strokes(points[None, None], torch.ones(1, 1, dtype=torch.long), widths, colors)


def dense(strokes: Strokes, height: int, width: int, background: Tensor) -> Tensor:
    """The plain way, one stroke and 600 points a segment at a time, to compare with."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    centres = torch.stack((x, y), -1).to(strokes.points).reshape(-1, 1, 2)
    t = torch.linspace(0, 1, 600, dtype=strokes.points.dtype)[:, None]
    pictures = []
    for points, segments, widths, colors in zip(strokes.points, strokes.segments, strokes.widths, strokes.colors, strict=True):
        picture = background.expand(3, height, width).to(points)
        for place, count, stroke_width, color in zip(points, segments, widths, colors, strict=True):
            curve = torch.cat([_cubic(place[3 * s : 3 * s + 4], t) for s in range(int(count))])
            distance = (centres - curve).norm(dim=-1).amin(1).reshape(height, width)
            cover = torch.minimum(stroke_width / 2 + 0.5 - distance, stroke_width).clamp(0, 1) * color[3]
            picture = picture + cover * (color[:3, None, None] - picture)
        pictures.append(picture)
    return torch.stack(pictures)


def _cubic(p: Tensor, t: Tensor) -> Tensor:
    return (1 - t) ** 3 * p[0] + 3 * (1 - t) ** 2 * t * p[1] + 3 * (1 - t) * t**2 * p[2] + t**3 * p[3]


def test_a_line_covers_what_it_should() -> None:
    picture = rasterise(line((2.0, 4.5), (8.0, 4.5), 3.0), 9, 10, BLACK)[0, 0]
    assert torch.equal(picture[3:6, 3:7], torch.ones(3, 4))
    assert picture[2].max() == 0
    assert picture[6].max() == 0


def test_coverage_is_the_area_of_a_straight_line() -> None:
    for width in (0.25, 0.8, 1.0, 2.5, 4.0):
        for y in (5.0, 5.3, 5.5):
            column = rasterise(line((-5.0, y), (20.0, y), width), 12, 12, BLACK)[0, 0, :, 6]
            assert column.sum().item() == pytest.approx(width, abs=1e-5)


def test_a_short_stroke_is_a_disc() -> None:
    picture = rasterise(line((10.0, 10.0), (10.0, 10.0), 10.0), 20, 20, BLACK)[0, 0]
    assert picture.sum().item() == pytest.approx(math.pi * 25, rel=0.01)
    assert torch.allclose(picture, picture.T)
    assert torch.allclose(picture, picture.flip(0))


def test_later_strokes_lie_over_earlier_ones() -> None:
    under, over = line((0, 5), (10, 5), 20, (1, 0, 0, 1)), line((0, 5), (10, 5), 20, (0, 0, 1, 0.25))
    both = Strokes(*(torch.cat((getattr(under, f), getattr(over, f)), 1) for f in ("points", "segments", "widths", "colors")))
    assert torch.allclose(rasterise(both, 10, 10, WHITE)[0, :, 5, 5], torch.tensor([0.75, 0.0, 0.25]))


def test_agrees_with_the_plain_way() -> None:
    strokes = random_strokes(2, 12, 40)
    difference = rasterise(strokes, 40, 48, WHITE) - dense(strokes, 40, 48, WHITE)
    assert difference.abs().max() < 0.06
    assert difference.square().mean().sqrt() < 3e-3


def test_gradients_agree_with_the_plain_way() -> None:
    strokes = random_strokes(1, 6, 32, dtype=torch.float64)
    probe = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = []
    for draw in (rasterise, dense):
        moving = [t.detach().requires_grad_() for t in (strokes.points, strokes.widths, strokes.colors)]
        picture = draw(Strokes(moving[0], strokes.segments, *moving[1:]), 32, 32, WHITE.double())
        gradients.append(torch.autograd.grad((picture * probe).sum(), moving))
    for ours, plain in zip(*gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(ours.flatten(), plain.flatten(), dim=0) > 0.995


def test_gradcheck() -> None:
    strokes = random_strokes(2, 2, 7, widest=3.0, seed=3, dtype=torch.float64)
    background = torch.rand(3, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    moving = tuple(t.requires_grad_() for t in (strokes.points, strokes.widths, strokes.colors))

    def draw(points: Tensor, widths: Tensor, colors: Tensor, paper: Tensor) -> Tensor:
        return rasterise(Strokes(points, strokes.segments, widths, colors), 7, 6, paper)

    assert torch.autograd.gradcheck(draw, (*moving, background), eps=1e-7, atol=1e-5)


def test_gradient_is_the_slope_of_the_whole_picture() -> None:
    strokes = random_strokes(1, 20, 48, dtype=torch.float64)
    probe = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moving = [t.requires_grad_() for t in (strokes.points, strokes.widths, strokes.colors)]
    towards = [torch.randn(t.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64) for t in moving]

    def height_at(step: float) -> Tensor:
        points, widths, colors = (t + step * d for t, d in zip(moving, towards, strict=True))
        return (rasterise(Strokes(points, strokes.segments, widths, colors), 48, 48, WHITE.double()) * probe).sum()

    slopes = torch.autograd.grad(height_at(0.0), moving)
    expected = sum((g * d).sum() for g, d in zip(slopes, towards, strict=True))
    with torch.no_grad():
        measured = (height_at(1e-6) - height_at(-1e-6)) / 2e-6
    assert float(measured) == pytest.approx(float(expected), rel=1e-4)


def test_unused_control_points_get_no_gradient() -> None:
    strokes = random_strokes(1, 8, 32)
    points = strokes.points.requires_grad_()
    torch.autograd.backward(rasterise(strokes, 32, 32, WHITE).square().sum())
    assert points.grad is not None
    used = torch.arange(10) <= 3 * strokes.segments[..., None]
    assert not points.grad[~used].any()
    assert points.grad[used].any(-1).float().mean() > 0.7


def test_a_trial_alone_is_the_trial_in_a_batch_of_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    strokes = random_strokes(8, 30, 64)
    for tensor in (strokes.points, strokes.widths, strokes.colors):
        tensor.requires_grad_()
    monkeypatch.setattr("dreamsweep.engines.rasterise.CHUNK", 5_000)
    together = rasterise(strokes, 64, 64, WHITE)
    torch.autograd.backward(together.square().sum())
    monkeypatch.undo()
    for trial in range(8):
        alone = Strokes(*(getattr(strokes, f)[trial : trial + 1].detach().clone() for f in ("points", "segments", "widths", "colors")))
        picture = rasterise(Strokes(alone.points.requires_grad_(), *list(vars(alone).values())[1:]), 64, 64, WHITE)
        torch.autograd.backward(picture.square().sum())
        assert torch.equal(picture[0], together[trial])  # on a CPU, to the last bit
        assert alone.points.grad is not None
        assert strokes.points.grad is not None
        torch.testing.assert_close(alone.points.grad[0], strokes.points.grad[trial], rtol=1e-5, atol=1e-5)


def test_a_broken_stroke_leaves_the_others_alone() -> None:
    strokes = random_strokes(2, 10, 32)
    clean = rasterise(strokes, 32, 32, WHITE)
    strokes.points[1, 0] = math.nan
    strokes.points[1, 1] = math.inf
    strokes.points[1, 2] = 1e30
    strokes.widths[1, 3] = math.nan
    points = strokes.points.requires_grad_()
    broken = rasterise(strokes, 32, 32, WHITE)
    torch.autograd.backward(broken.sum())
    assert torch.equal(broken[0], clean[0])
    assert torch.isfinite(broken).all()
    assert points.grad is not None
    assert torch.isfinite(points.grad).all()


def test_nothing_on_the_canvas_is_the_background() -> None:
    strokes = random_strokes(2, 4, 16)
    points = (strokes.points + 1000).requires_grad_()
    background = torch.rand(2, 3, 16, 16)
    picture = rasterise(Strokes(points, strokes.segments, strokes.widths, strokes.colors), 16, 16, background)
    torch.autograd.backward(picture.sum())
    assert torch.equal(picture, background)


def test_strokes_that_cover_everything_hide_what_is_below() -> None:
    strokes = random_strokes(1, 8, 64, widest=2.0)
    strokes.widths[0, 5], strokes.colors[0, 5] = 400.0, torch.tensor([0.2, 0.4, 0.6, 1.0])
    above = Strokes(*(tensor[:, 6:] for tensor in vars(strokes).values()))
    expected = rasterise(above, 64, 64, torch.tensor([0.2, 0.4, 0.6])[:, None, None])
    torch.testing.assert_close(rasterise(strokes, 64, 64, WHITE), expected)

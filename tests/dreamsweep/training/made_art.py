"""Art in miniature: coloured shapes with names, in the styles that the recipe knows."""

import numpy as np
import pytest

from dreamsweep.perceptors.starter import ClipShape
from dreamsweep.training import train_clip
from dreamsweep.training.art import SIDE, SOURCES, Art

CLIP = ClipShape(
    embed=16, resolution=32, vision_layers=(1, 1, 1, 1), vision_width=8, context=16, text_width=32, text_heads=2, text_layers=1
)
NAMES = tuple(f"{color} {shape}" for color in ("red", "green", "blue", "grey") for shape in ("disc", "ring", "square"))


def made_art(names: tuple[str, ...] = NAMES) -> Art:
    """Each name once in every style; a style has its own size and softness."""
    styles = tuple(source.style for source in SOURCES if source.use != "names")
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    colors = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220), "grey": (120, 120, 120)}
    keywords = tuple(tuple(name.split()) for name in names)
    pictures, name_of, style_of = [], [], []
    for s in range(len(styles)):
        size = 0.5 + 0.04 * s
        shapes = {"disc": np.hypot(x, y) < size, "ring": abs(np.hypot(x, y) - size) < 0.15, "square": np.maximum(abs(x), abs(y)) < size}
        for n, name in enumerate(names):
            color, shape = name.split()
            rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
            rgba[shapes[shape]] = (*colors[color], 255)
            pictures.append(rgba)
            name_of.append(n)
            style_of.append(s)
    return Art(np.stack(pictures), np.array(name_of), np.array(style_of), names, keywords, (5,) * len(names), styles)


@pytest.fixture
def small_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's perceptor and batches, so small that a step takes milliseconds."""
    monkeypatch.setattr(train_clip, "SHAPE", CLIP)
    monkeypatch.setattr(train_clip, "BATCH_NAMES", 8)
    monkeypatch.setattr(train_clip, "SHUFFLED", 4)

"""How well a word that is learned from pictures fits other pictures of the same thing (docs/prompts.md).

    python benchmarks/concepts.py pictures/zibble     # draws the made-up character there, learns it, prints the table

Draws a character that no network has seen: ten pictures to learn from, ten others to measure with. Prints, for the starter guide and the
starter judge, the mean cosine of the other pictures and a text, and how many of them have that text nearest among a thousand names of
ordinary things: the learned word, the best of those names, and a description in plain words.
"""

import math
import random
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

COUNT = 10
"""Pictures to learn from, and as many others."""
SIDE, FINER = 128, 4
"""Side of a picture in pixels, and how many times finer it is drawn before it is reduced."""
BODY, BELLY, HAT, FEET, DARK = "#7a3fb5", "#b98be0", "#2fa84f", "#f08a24", "#2b1b3d"
PAPERS = ("#ffffff", "#ffffff", "#e8f3ff", "#fff3da", "#eaf7e6")
TEMPLATE = "a simple illustration of the {}"
"""A sentence that no word is learned with."""
DESCRIPTION = "purple monster with one eye and a green hat"


def character(seed: int) -> Image.Image:
    """Draws the character once: a purple blob with one large eye, a green pointed hat and orange feet, each time in another pose."""
    draw_from = random.Random(seed)
    side = SIDE * FINER
    image = Image.new("RGB", (side, side), draw_from.choice(PAPERS))
    figure = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen, tall = ImageDraw.Draw(figure), draw_from.uniform(0.9, 1.1)

    def disc(x: float, y: float, width: float, height: float, colour: str) -> None:
        pen.ellipse([side * (x - width / 2), side * (y - height / 2), side * (x + width / 2), side * (y + height / 2)], fill=colour)

    for foot in (-1, 1):
        disc(0.5 + 0.13 * foot, 0.85, 0.2, 0.1, FEET)
        lift = draw_from.uniform(-0.18, 0.12)
        pen.line([side * (0.5 + 0.22 * foot), side * 0.6, side * (0.5 + 0.38 * foot), side * (0.6 + lift)], fill=BODY, width=side // 14)
        disc(0.5 + 0.38 * foot, 0.6 + lift, 0.09, 0.09, BODY)
    disc(0.5, 0.6, 0.52, 0.52 * tall, BODY)
    disc(0.5, 0.68, 0.32, 0.28 * tall, BELLY)
    top = 0.6 - 0.24 * tall
    corners = [(0.36, top + 0.06), (0.64, top + 0.06), (0.5 + draw_from.uniform(-0.08, 0.08), top - 0.24)]
    pen.polygon([(side * x, side * y) for x, y in corners], fill=HAT)
    look = draw_from.uniform(0, 2 * math.pi)
    disc(0.5, 0.52, 0.22, 0.22, "#ffffff")
    disc(0.5 + 0.04 * math.cos(look), 0.52 + 0.04 * math.sin(look), 0.1, 0.1, DARK)
    pen.arc([side * 0.42, side * 0.6, side * 0.58, side * 0.7], 20, 160, fill=DARK, width=side // 60)
    size = round(side * draw_from.uniform(0.7, 1.0))
    turned = figure.rotate(draw_from.uniform(-14, 14), Image.Resampling.BICUBIC).resize((size, size), Image.Resampling.LANCZOS)
    place = (draw_from.randint(0, side - size), draw_from.randint(0, side - size))
    image.paste(turned, place, turned)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def pixels(images: list[Image.Image]) -> Any:
    """Returns pictures as tensors, `3 h w` each, in [0, 1]."""
    from dreamsweep.compute.images import square_pixels

    return [square_pixels(image) for image in images]


def measure(name: str, shown: list[Image.Image], others: list[Image.Image]) -> list[str]:
    """Returns the rows of a table: what a perceptor makes of the other pictures after it has seen those that are shown."""
    import torch

    from dreamsweep.guidance.targets import shrink
    from dreamsweep.perceptors import load_perceptor
    from dreamsweep.perceptors.inversion import learn_word
    from dreamsweep.perceptors.text_tower import TaughtPerceptor, tower_of
    from dreamsweep.weights.starter import thing_names

    perceptor = load_perceptor(name, "cpu")  # type: ignore[arg-type]
    started = time.monotonic()
    learning, iterations = learn_word(perceptor, tower_of(perceptor), pixels(shown)), 0
    while True:
        try:
            iterations = next(learning)
        except StopIteration as end:
            vector = end.value
            break
    print(f"{name}: {iterations} iterations in {time.monotonic() - started:.1f} s, length of the vector {vector.norm():.2f}")
    taught = TaughtPerceptor(perceptor, tower_of(perceptor), {"it": vector})
    names = thing_names()
    with torch.no_grad():
        seen = perceptor.embed_pictures(torch.cat([shrink(picture[None], perceptor.resolution) for picture in pixels(others)]))
        near = seen @ perceptor.embed_texts([TEMPLATE.format(thing) for thing in names]).T
        best = int(near.mean(0).argmax())
        texts = {"the learned word": "<it>", f"{names[best]}, the best of {len(names):,} names": names[best], DESCRIPTION: DESCRIPTION}
        rows = []
        for label, text in texts.items():
            own = (seen @ taught.embed_texts([TEMPLATE.format(text)]).T)[:, 0]
            first = sum((own[:, None] >= near - 1e-6).all(1).tolist())
            rows.append(f"| {name} | {label} | {own.mean():.3f} | {own.min():.3f} | {first} of {len(others)} |")
    return rows


def main() -> None:
    """Draws, learns and prints the table."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    shown, others = ([character(seed) for seed in range(start, start + COUNT)] for start in (0, 100))
    for number, image in enumerate(shown, start=1):
        image.save(folder / f"{number:02d}.png")
    rows = [row for name in ("starter-guide", "starter-judge") for row in measure(name, shown, others)]
    print("\n| perceptor | text | mean cosine | lowest | nearest of all names |\n|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()

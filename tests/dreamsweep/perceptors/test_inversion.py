"""Learning of a word: the loss falls, twice the same vector, and nearer to unseen pictures than any ordinary word."""

from collections.abc import Iterator

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from dreamsweep.compute.images import square_pixels
from dreamsweep.compute.pool import POOL
from dreamsweep.guidance.targets import shrink
from dreamsweep.perceptors import inversion, load_perceptor
from dreamsweep.perceptors.inversion import TEMPLATES, embed_views, inversion_loss, learn_word
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.perceptors.text_tower import TaughtPerceptor, tower_of
from dreamsweep.weights.starter import thing_names


def creature(number: int) -> Image.Image:
    """Draws a purple blob with one eye and a green hat, moved a little by the number."""
    image = Image.new("RGB", (96, 96), "white")
    pen, x, y = ImageDraw.Draw(image), number % 3 * 4, number // 3 * 4
    pen.ellipse([18 + x, 30 + y, 66 + x, 82 + y], fill="#7a3fb5")
    pen.ellipse([30 + x, 38 + y, 54 + x, 62 + y], fill="white")
    pen.ellipse([38 + x, 46 + y, 48 + x, 56 + y], fill="black")
    pen.polygon([(28 + x, 34 + y), (56 + x, 34 + y), (42 + x, 6 + y)], fill="#2fa84f")
    return image


def pictures(numbers: range) -> list[Tensor]:
    return [square_pixels(creature(number)) for number in numbers]


def learned(perceptor: Perceptor, shown: list[Tensor]) -> Tensor:
    learning = learn_word(perceptor, tower_of(perceptor), shown)
    while True:
        try:
            next(learning)
        except StopIteration as end:
            vector: Tensor = end.value
            return vector


@pytest.fixture
def tiny(tiny_weights: object, monkeypatch: pytest.MonkeyPatch) -> Perceptor:
    monkeypatch.setattr(inversion, "ITERATIONS", 12)
    return load_perceptor("starter-guide", "cpu")


def test_the_loss_falls_and_every_iteration_is_reported(tiny: Perceptor) -> None:
    tower, shown = tower_of(tiny), pictures(range(3))
    seen = embed_views(tiny, shown, torch.device("cpu"))
    assert seen.shape == (3 * 2 * (1 + len(inversion.CROPS)), 16)
    with torch.no_grad():
        others = seen @ tiny.embed_texts([f"a {name}" for name in thing_names()]).T
    start, vector = tower.vector_of(thing_names()[int(others.mean(0).argmax())]), learned(tiny, shown)

    def loss(vector: Tensor) -> float:
        return float(inversion_loss(seen @ tower.embed(TEMPLATES, {"it": vector}).T, others, tiny.scale))

    assert loss(vector) < loss(start) - 0.01
    assert [*learn_word(tiny, tower, shown)] == [*range(1, 13)]


def test_the_same_pictures_give_the_same_vector(tiny: Perceptor) -> None:
    first, second = (learned(tiny, pictures(range(2))) for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    assert not torch.equal(first, learned(tiny, pictures(range(4, 6))))


@pytest.fixture(params=["starter-guide", "starter-judge"])
def starter(request: pytest.FixtureRequest) -> Iterator[Perceptor]:
    POOL.clear()
    yield load_perceptor(request.param, "cpu")
    POOL.clear()


def test_a_starter_s_word_is_nearer_to_other_pictures_than_every_ordinary_word(starter: Perceptor) -> None:
    taught = TaughtPerceptor(starter, tower_of(starter), {"it": learned(starter, pictures(range(4)))})
    texts = [f"a simple illustration of the {name}" for name in ("<it>", *thing_names())]  # a sentence that it was not learned with
    with torch.no_grad():
        seen = starter.embed_pictures(torch.cat([shrink(picture[None], starter.resolution) for picture in pictures(range(4, 9))]))
    near = seen @ taught.embed_texts(texts).T
    assert (near.argmax(1) == 0).all()
    assert float((near[:, 0] - near[:, 1:].max(1).values).min()) > 0.02

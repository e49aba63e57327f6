"""The strokes engine: follows its guide, resumes to the bit, and keeps its trials apart."""

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.compute.images import paper
from dreamsweep.engines import make_engine, weights_used
from dreamsweep.engines.protocol import Artefact, Film, State, Step
from dreamsweep.engines.rasterise import Strokes
from dreamsweep.engines.starts import ShapeStarts
from dreamsweep.engines.strokes import StrokesEngine, begin
from dreamsweep.errors import SweepFileError
from dreamsweep.guidance.guides import make_guide
from dreamsweep.guidance.protocol import Guidance
from dreamsweep.perceptors import load_perceptor
from dreamsweep.spec import Prompt, StrokesSpec, Trial

OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta")


def make_trials(seeds: Sequence[int] = (0,), **fields: object) -> list[Trial]:
    settings = {"canvas": 48, "num_paths": 12, "num_iter": 6, **fields}
    spec = StrokesSpec.model_validate(settings)
    rest = {"engine": spec, "guide": "starter-guide", "weights": "starter"}
    return [Trial.model_validate({"prompt": Prompt(text="a disc"), "seed": seed, **rest}) for seed in seeds]


def disc(side: int) -> Tensor:
    """A red disc on white, 3 h w."""
    place = (torch.arange(side) + 0.5) / side - 0.5
    inside = (place[:, None] ** 2 + place**2 < 0.09).float()
    return torch.stack((torch.ones_like(inside), 1 - inside, 1 - inside))


class TargetGuide:
    """Wants a picture: the mean squared distance, scaled so that every optimizer's own learning rate does something."""

    def __init__(self, target: Tensor, broken: tuple[int, int] | None = None, scale: float = 1.0) -> None:
        self.target, self.broken, self.scale = target, broken, scale

    def __call__(self, pictures: Tensor, iteration: Count) -> Guidance:
        loss = (pictures - self.target).square().mean((1, 2, 3)) * self.scale
        if self.broken is not None and iteration == self.broken[1]:
            factors = torch.ones(len(loss))
            factors[self.broken[0]] = math.nan
            loss = loss * factors
        return Guidance(loss, 1 - loss.detach())


def run(trials: list[Trial], guide: TargetGuide, state: State | None = None) -> list[tuple[Step, Tensor]]:
    engine = trials[0].engine
    assert isinstance(engine, StrokesSpec)
    return [(step, step.draw()) for step in StrokesEngine(engine).generate(trials, guide, state)]


def ends(trials: list[Trial], guide: TargetGuide) -> tuple[Step, Step]:
    """The first step and the last one; nothing is drawn."""
    engine = trials[0].engine
    assert isinstance(engine, StrokesSpec)
    first, *_, last = StrokesEngine(engine).generate(trials, guide)
    return first, last


def svg_of(step: Step, index: int) -> str:
    assert step.artefacts is not None
    drawing, _ = step.artefacts(index)
    assert isinstance(drawing, Artefact) and (drawing.name, drawing.content_type) == ("strokes.svg", "image/svg+xml")
    return drawing.data.decode()


def film_of(step: Step, index: int) -> Iterable[Tensor]:
    assert step.artefacts is not None
    _, film = step.artefacts(index)
    assert isinstance(film, Film) and film.name == "strokes"
    return film.frames


LEFT = {"adam": 0.75, "adamw": 0.75, "rmsprop": 0.5, "adagrad": 0.8, "sgd": 0.8, "adadelta": 0.97}
"""The share of the first loss that at most is left after 60 iterations at the engine's own learning rates."""


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_comes_near_to_what_the_guide_wants(optimizer: str) -> None:
    trials = make_trials((0, 1), num_paths=24, num_iter=60, optimizer=optimizer)
    first, last = ends(trials, TargetGuide(disc(48), scale=100))  # SGD and Adadelta follow the loss's scale, the others hardly
    assert (last.loss < LEFT[optimizer] * first.loss).all(), f"{first.loss} -> {last.loss}"
    picture = last.draw()
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert not picture.requires_grad


def test_a_long_descent_draws_the_target() -> None:
    first, last = ends(make_trials(num_paths=48, num_iter=150), TargetGuide(disc(48)))
    assert last.loss.item() < 0.03 * first.loss.item()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumes_to_the_bit(optimizer: str) -> None:
    trials, guide = make_trials((0, 1), optimizer=optimizer), TargetGuide(disc(48))
    whole = run(trials, guide)
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    step = next(islice(StrokesEngine(spec).generate(trials, guide), 2, None))  # after iteration 3, before the rate's first drop
    state = step.state()
    kept = {key: value.clone() for key, value in state.items()}
    for _ in range(2):  # resuming leaves the state as it was, so that it can be resumed from again
        rest = run(trials, guide, state)
        assert [s.iteration for s, _ in rest] == [4, 5, 6]
        for (step, picture), (expected, expected_picture) in zip(rest, whole[3:], strict=True):
            assert torch.equal(picture, expected_picture)
            assert torch.equal(step.loss, expected.loss)
            assert step.learning_rate == expected.learning_rate
        assert all(torch.equal(state[key], kept[key]) for key in kept)
    assert all(value.is_contiguous() for value in state.values())


def test_alone_or_in_a_batch_of_eight() -> None:
    together = run(make_trials(range(8)), TargetGuide(disc(48)))[-1][1]
    for seed in (0, 3, 7):
        alone = run(make_trials((seed,)), TargetGuide(disc(48)))[-1][1]
        torch.testing.assert_close(alone[0], together[seed], rtol=0, atol=1e-5)


def test_same_seed_same_picture_and_another_seed_another() -> None:
    first, again, other = (run(make_trials((seed,), num_iter=2), TargetGuide(disc(48)))[-1][1] for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_diverged_trial_stands_still_and_its_mates_go_on(optimizer: str) -> None:
    trials = make_trials(range(3), optimizer=optimizer)
    broken, clean = run(trials, TargetGuide(disc(48), broken=(1, 3))), run(trials, TargetGuide(disc(48)))
    for (step, picture), (expected, expected_picture) in zip(broken, clean, strict=True):
        assert torch.equal(picture[[0, 2]], expected_picture[[0, 2]])
        assert torch.isnan(step.loss).tolist() == [False, step.iteration >= 3, False]
        assert torch.equal(step.loss[[0, 2]], expected.loss[[0, 2]])
    assert torch.equal(broken[-1][1][1], broken[1][1][1])  # where it stood after iteration 2
    assert all(torch.isfinite(value).all() for value in broken[-1][0].state().values())


def test_a_diverged_trial_stays_diverged_after_a_resume() -> None:
    trials, guide = make_trials(range(2), num_iter=4), TargetGuide(disc(48), broken=(0, 1))
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    state = next(iter(StrokesEngine(spec).generate(trials, guide))).state()
    assert all(torch.isnan(step.loss).tolist() == [True, False] for step, _ in run(trials, guide, state))


def test_the_canvas_changes_nothing_but_resolution() -> None:
    small, large = (run(make_trials(canvas=side), TargetGuide(disc(side)))[-1][1] for side in (112, 448))
    shrunk = torch.nn.functional.avg_pool2d(large, 4)
    assert (small - shrunk).square().mean().sqrt() < 0.04


def test_strokes_keep_their_bounds() -> None:
    state = run(make_trials(max_width=2.0, width_rate=5.0, color_rate=5.0), TargetGuide(disc(48)))[-1][0].state()
    assert state["widths"].min() >= 1
    assert state["widths"].max() <= 2
    assert state["colors"].min() >= 0
    assert state["colors"].max() <= 1
    assert (state["widths"] == 2).any()
    assert (state["colors"] == 1).any()


def test_first_strokes_are_a_random_walk() -> None:
    trials = make_trials((0,), num_paths=2000)
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    state = begin(spec, trials)
    first, steps = state["points"][:, :, 0] / 224, state["points"].diff(dim=2) / 224
    assert first.min() >= 0
    assert first.max() <= 1
    assert abs(first.mean().item() - 0.5) < 0.02
    assert 0.049 < steps.abs().max() <= 0.0501
    assert set(state["segments"].flatten().tolist()) == {1, 2, 3}
    assert (state["widths"] == 1).all()


def test_the_rate_of_points_drops_twice() -> None:
    assert [step.learning_rate for step, _ in run(make_trials(num_iter=4), TargetGuide(disc(48)))] == [1.0, 1.0, 0.4, 0.1]


@pytest.mark.parametrize(("scheduled", "left"), [("points", 1.0), ("all", 0.1)])
def test_the_rates_of_widths_and_colors_drop_where_they_are_told_to(scheduled: str, left: float) -> None:
    """Adam's first step is as long as its rate; the drop is there from the first iteration on."""
    drops = [{"at": 0, "times": 0.1}]
    trials = make_trials(num_iter=1, rate_drops=drops, scheduled=scheduled, color_rate=0.02, width_rate=0.3)
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    before, after = begin(spec, trials), run(trials, TargetGuide(disc(48)))[0][0].state()
    for name, longest in (("points", 0.1), ("widths", 0.3 * left), ("colors", 0.02 * left)):
        assert float((after[name] - before[name]).abs().max()) == pytest.approx(longest, rel=1e-3)


def test_an_init_image_gives_the_first_colors(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (0, 128, 255)).save(tmp_path / "blue.png")
    trials = make_trials(init_image=str(tmp_path / "blue.png"))
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    colors = begin(spec, trials)["colors"][..., :3]
    torch.testing.assert_close(colors, torch.tensor([0.0, 128 / 255, 1.0]).expand_as(colors))


def test_an_init_image_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("not a picture")
    with pytest.raises(SweepFileError, match=r"init_image: .*no\.png.* cannot be read as a picture"):
        run(make_trials(init_image=str(tmp_path / "no.png")), TargetGuide(disc(48)))


@pytest.mark.parametrize(("num_paths", "frames"), [(1, 2), (12, 13), (59, 60), (100, 60)])
def test_a_drawing_is_drawn_stroke_by_stroke_from_paper_to_the_picture(num_paths: int, frames: int) -> None:
    step, picture = run(make_trials((0, 1), num_iter=2, num_paths=num_paths, background="#204060"), TargetGuide(disc(48)))[-1]
    for index in (0, 1):
        drawn = list(film_of(step, index))
        assert len(drawn) == frames and all(frame.shape == (3, 48, 48) and not frame.requires_grad for frame in drawn)
        assert torch.equal(drawn[0], paper("#204060").expand(3, 48, 48))
        assert torch.equal(drawn[-1], picture[index])
    assert len({frame.numpy().tobytes() for frame in drawn}) == frames
    if frames == num_paths + 1:  # each frame is the one before with one stroke more
        state = step.state()
        for count, frame in enumerate(drawn):
            some = Strokes(*(state[name][1:, :count] for name in ("points", "segments", "widths", "colors")))
            spec = make_trials(num_paths=num_paths, background="#204060")[0].engine
            assert isinstance(spec, StrokesSpec)
            torch.testing.assert_close(StrokesEngine(spec).draw_strokes(some)[0], frame)


def test_svg_speaks_of_each_trial() -> None:
    step = run(make_trials((0, 1), num_iter=1, background="#102030"), TargetGuide(disc(48)))[-1][0]
    texts = [svg_of(step, index) for index in (0, 1)]
    assert len(texts) == 2
    assert texts[0] != texts[1]
    assert all(text.count("<path") == 12 and 'fill="#102030"' in text and 'width="48"' in text for text in texts)


def test_the_film_of_the_drawing_is_made_again_from_its_svg() -> None:
    trials = make_trials((0, 1), canvas=64, num_paths=24, num_iter=4)
    step = run(trials, TargetGuide(disc(64)))[-1][0]
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    for index in (0, 1):
        (film,) = StrokesEngine(spec).films_of({"strokes.svg": svg_of(step, index).encode()})
        again, before = torch.stack(list(film.frames)), torch.stack(list(film_of(step, index)))
        assert film.name == "strokes" and again.shape == before.shape
        assert (again - before).abs().max() < 2 / 255
    assert not list(StrokesEngine(spec).films_of({}))


class LikesTheSecond(TargetGuide):
    """Chooses as well: finds the second of several pictures nearest, then the third."""

    def weigh(self, pictures: Tensor) -> Tensor:
        return torch.tensor([3.0, 0.0, 1.0, 2.0])[:, None].expand(-1, 2)

    def weigh_names(self, names: Sequence[str], key: int = 0) -> Tensor:
        raise AssertionError("shapes have no names")


def test_strokes_are_laid_over_the_likeliest_shape() -> None:
    shapes = torch.ones(4, 3, 32, 32)
    shapes[1, 1:, 8:16, 8:16] = 0  # a red square
    shapes[2, :2, 20:28, 20:28] = 0  # a blue one
    trials = make_trials((0, 5), num_paths=200, canvas=64)
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    state = StrokesEngine(spec, "cpu", ShapeStarts(shapes)).begin(trials, LikesTheSecond(disc(64)))
    first, colours = state["points"][:, :, 0], state["colors"]
    assert (first[0].mean(0) - 84).abs().max() < 5 and first[0].std(0).max() < 30, "seed 0 takes the nearest shape, at pixels 56 to 112"
    assert (colours[0, :, 0] > 0.99).all() and colours[0, :, 1:3].mean() < 0.5, "its strokes are more red than white"
    assert (colours[1, :, 2] > 0.99).all() and colours[1, :, :2].mean() < 0.5, "seed 5 takes the second nearest, which is blue"
    assert 1 < (first[1].mean(0) - 168).abs().max() < 30, "about where that is, at pixels 140 to 196, but moved"
    assert state["widths"].max() == spec.max_width and (colours[..., 3] == 1).all()
    again = StrokesEngine(spec, "cpu", ShapeStarts(shapes)).begin(trials, LikesTheSecond(disc(64)))
    assert all(torch.equal(again[name], value) for name, value in state.items())


def test_a_shape_without_ink_has_strokes_all_the_same() -> None:
    trials = make_trials((0, 1))
    spec = trials[0].engine
    assert isinstance(spec, StrokesSpec)
    state = StrokesEngine(spec, "cpu", ShapeStarts(torch.ones(4, 3, 8, 8))).begin(trials, LikesTheSecond(disc(48)))
    assert all(torch.isfinite(value).all() for value in state.values())


def test_with_the_shipped_shapes_a_heart_is_red_where_a_heart_is() -> None:
    (trial,) = make_trials((0,), start="shape", canvas=224, num_paths=96)
    (trial,) = [trial.model_copy(update={"prompt": Prompt(text="a red heart")})]
    engine, guide = make_engine(trial.engine, "starter", "cpu"), make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], [trial])
    assert isinstance(engine, StrokesEngine)
    (picture,) = engine.draw(engine.begin([trial], guide))
    red, _, blue = picture
    middle, corner = slice(70, 140), slice(0, 30)
    assert (red - blue)[middle, middle].mean() > 0.2 > 0.05 > (red - blue)[corner, corner].abs().mean()
    assert weights_used(trial.engine, "starter").keys() == {"starter-dvae"}

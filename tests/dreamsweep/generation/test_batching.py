"""A batch in parts: one step a part, joined as if there were one."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from dreamsweep.engines.protocol import Artefact, Film, State, Step
from dreamsweep.generation.batching import generate_in_parts, part_size
from dreamsweep.guidance.protocol import Guide
from dreamsweep.spec import Prompt, StrokesSpec, Trial

TRIALS = [
    Trial(prompt=Prompt(text=f"thing {seed}"), engine=StrokesSpec(num_iter=3), seed=seed, guide="starter-guide", weights="starter")
    for seed in range(5)
]


class Counting:
    """Says each trial's seed, plus the iteration; passes as many prompts as its part's last seed says."""

    def generate(self, trials: Sequence[Trial], guide: Guide, state: State | None = None) -> Iterator[Step]:
        seeds = torch.tensor([float(trial.seed) for trial in trials])
        for iteration in range(int(state["iteration"]) + 1 if state else 1, 4):
            at = seeds + iteration
            yield step_of(iteration, at, 1 + trials[-1].seed // 2)


def step_of(iteration: int, at: Tensor, prompts: int) -> Step:
    return Step(
        iteration=iteration,
        loss=at,
        similarity=at,
        learning_rate=0.5,
        draw=lambda: at[:, None, None, None].expand(-1, 3, 2, 2),
        state=lambda: {"iteration": torch.tensor(iteration), "at": at},
        each=at[:, None].expand(-1, prompts),
        artefacts=lambda index: (Artefact("a.txt", "text/plain", f"{at[index]:g}".encode()), Film("b", [at[index].expand(3, 2, 2)])),
    )


def blind(trials: Sequence[Trial]) -> Guide:
    return None  # type: ignore[return-value]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_parts_say_what_the_whole_says(size: int) -> None:
    whole = list(generate_in_parts(Counting(), blind, TRIALS, 5))
    parts = list(generate_in_parts(Counting(), blind, TRIALS, size))
    assert [s.iteration for s in parts] == [1, 2, 3]
    for joined, other in zip(whole, parts, strict=True):
        assert torch.equal(joined.loss, other.loss) and torch.equal(joined.similarity, other.similarity)
        assert torch.equal(joined.draw(), other.draw()) and joined.learning_rate == other.learning_rate
        assert joined.artefacts is not None and other.artefacts is not None
        for index in range(5):
            (text, film), (other_text, other_film) = joined.artefacts(index), other.artefacts(index)
            assert isinstance(film, Film) and isinstance(other_film, Film)
            assert text == other_text and torch.equal(next(iter(film.frames)), next(iter(other_film.frames)))
        assert joined.each is not None and other.each is not None and other.each.shape == joined.each.shape
        assert torch.equal(other.each[-1], joined.each[-1])


@pytest.mark.parametrize("size", [2, 5])
def test_a_state_goes_on_in_parts_of_its_own_size(size: int) -> None:
    steps = generate_in_parts(Counting(), blind, TRIALS, size)
    state = next(steps).state()
    assert part_size(state, 5) == size and part_size(None, 5) == 5
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    rest = list(generate_in_parts(Counting(), blind, TRIALS, size, state))
    assert [s.iteration for s in rest] == [2, 3]
    assert torch.equal(rest[-1].loss, list(steps)[-1].loss)

"""What engines share whose iterations are pictures of their own: frames in chunks, and where a frame stands between prompts."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamsweep.engines.protocol import State, Step
from dreamsweep.guidance.protocol import Guide
from dreamsweep.guidance.waypoints import place
from dreamsweep.spec import FramesSpec, Trial

Key = TypeVar("Key", covariant=True)


@runtime_checkable
class Keys(Protocol[Key]):
    """What a walk passes: a list, or the rows of a tensor."""

    def __len__(self) -> int: ...
    def __getitem__(self, at: int, /) -> Key: ...


def steps_of_frames(
    spec: FramesSpec,
    trials: Sequence[Trial],
    guide: Guide,
    state: State | None,
    draw: Callable[[range], Float[Tensor, "f b 3 h w"]],
) -> Iterator[Step]:
    """Draws a chunk of frames at a time, from the first or after the state's, and looks at each with the guide.

    Chunks are those of an undisturbed run, so that a resumed one draws the same pixels.
    """
    first = int(state["iteration"]) + 1 if state else 1
    alive = state["alive"].clone() if state else torch.ones(len(trials), dtype=torch.bool)
    iterations, chunk = trials[0].num_iter, spec.frames_at_once
    for start in range((first - 1) // chunk * chunk + 1, iterations + 1, chunk):
        frames = range(start, min(start + chunk, iterations + 1))
        for frame, pictures in zip(frames, draw(frames), strict=True):
            if frame < first:
                continue
            guidance = guide(pictures, frame)
            alive = alive.to(guidance.loss.device) & torch.isfinite(guidance.loss)
            yield Step(
                iteration=frame,
                loss=torch.where(alive, guidance.loss.detach(), torch.nan),
                similarity=guidance.similarity,
                learning_rate=torch.nan,
                draw=lambda pictures=pictures: pictures,  # type: ignore[misc]
                state=lambda frame=frame, alive=alive: {"iteration": torch.tensor(frame), "alive": alive.clone()},  # type: ignore[misc]
                each=guidance.each,
            )


def passed(frame: int, spec: FramesSpec, keys: Keys[Key]) -> tuple[Key, Key, float]:
    """Returns the two keys of a walk that a frame (from 1) stands between, and its share of the way to the second, in [0, 1)."""
    assert spec.num_iter is not None
    before, share = place(frame, spec.num_iter, len(keys), spec.easing)
    return keys[before], keys[min(before + 1, len(keys) - 1)], share


def slerp(start: Float[Tensor, "*n d"], end: Float[Tensor, "*n d"], share: float) -> Float[Tensor, "*n d"]:
    """Interpolates along the great circle between the directions of two vectors, their lengths moved along a line; a line where they
    are parallel.
    """
    lengths = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    units = [v / length.clamp(min=1e-12) for v, length in zip((start, end), lengths, strict=True)]
    angle = (units[0] * units[1]).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    along = (((1 - share) * angle).sin() * units[0] + (share * angle).sin() * units[1]) / sine.clamp(min=1e-6)
    return torch.where(sine < 1e-4, torch.lerp(start, end, share), along * torch.lerp(*lengths, share))

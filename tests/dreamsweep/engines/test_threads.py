"""Several threads that draw at the same time with the same networks draw what each would draw alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dreamsweep.engines import make_engine
from dreamsweep.spec import AnySpec, GuidedDiffusionSpec, InterpolationSpec, UnclipSpec
from dreamsweep.testing import towards_red, trials_of

SPECS: dict[str, Sequence[AnySpec]] = {
    "interpolation": [
        InterpolationSpec(num_iter=3, steps=3, scheduler="ddim"),
        InterpolationSpec(num_iter=3, steps=9, scheduler="euler-ancestral"),
        InterpolationSpec(num_iter=3, steps=5, scheduler="heun", guidance_scale=1.0),
    ],
    "unclip": [
        UnclipSpec(num_iter=3, steps=2, prior_steps=5, upsample_steps=3),
        UnclipSpec(num_iter=3, steps=7, prior_steps=2, upsample_steps=5, guidance_scale=1.0),
        UnclipSpec(num_iter=3, steps=4, prior_steps=3, upsample_steps=2, prior="autoregressive"),
    ],
    "guided-diffusion": [GuidedDiffusionSpec(num_iter=steps) for steps in (2, 4, 7)],
}


def last_pictures(spec: AnySpec) -> Tensor:
    *_, step = make_engine(spec, "starter", "cpu").generate(trials_of(spec, [0, 1]), towards_red)
    return step.draw().clone()


@pytest.mark.usefixtures("tiny_weights")
@pytest.mark.parametrize("engine", SPECS)
def test_threads_draw_what_each_draws_alone(engine: str, tmp_path: Path) -> None:
    alone = [last_pictures(spec) for spec in SPECS[engine]]
    assert not torch.equal(alone[0], alone[1])
    for _ in range(3):
        with ThreadPoolExecutor(3) as threads:
            together = list(threads.map(last_pictures, SPECS[engine]))
        for pictures, expected in zip(together, alone, strict=True):
            assert torch.equal(pictures, expected)

"""The engine: one colour a trial."""

from collections.abc import Iterable, Sequence

from torch import Tensor

from colours.spec import FlatSpec
from dreamsweep.compute.graphs import Count
from dreamsweep.compute.randomness import Draws
from dreamsweep.engines.descent import DescentEngine
from dreamsweep.engines.protocol import Artefact, Film, State
from dreamsweep.guidance.protocol import Guide
from dreamsweep.spec import Trial, WeightsName


class FlatEngine(DescentEngine):
    """Descends a colour, `b 3`."""

    moving = ("colours",)
    spec: FlatSpec

    def begin(self, trials: Sequence[Trial], guide: Guide) -> State:
        return {"colours": Draws([trial.seed for trial in trials]).uniform("colour", 3)}

    def pictures(self, state: State, trials: Sequence[Trial], iteration: Count) -> Tensor:
        return state["colours"][:, :, None, None].expand(-1, 3, self.spec.side, self.spec.side)

    def after_step(self, state: State, iteration: Count, alive: Tensor) -> None:
        state["colours"].clamp_(0, 1)

    def draw(self, state: State) -> Tensor:
        return state["colours"].detach()[:, :, None, None].expand(-1, 3, self.spec.side, self.spec.side).clone()

    def artefacts(self, state: State, index: int) -> Iterable[Artefact | Film]:
        return (Artefact("colour.txt", "text/plain", str(state["colours"][index].tolist()).encode()),)


def make_flat(spec: FlatSpec, weights: WeightsName, device: str) -> FlatEngine:
    return FlatEngine(spec, device)

"""The settings of the engine, and what dreamsweep needs to know about it."""

from typing import ClassVar, Literal

from pydantic import PositiveInt

from dreamsweep.spec import DescentSpec, OptimizerName, Sides, Steering, TurnedViews


class FlatSpec(DescentSpec):
    """Pictures of one colour, descended."""

    engine: Literal["flat-colour"] = "flat-colour"
    side: PositiveInt = 32
    """Pixels on a side."""

    builder: ClassVar[str] = "colours.engine:make_flat"

    @property
    def steering(self) -> Steering:
        return Steering(TurnedViews(self.cutouts, Sides(0.8, 0.1, 0.5, 1.0), rotation=0, noise=0), self.contrast)

    @property
    def picture_side(self) -> int:
        return self.side

    def default_learning_rates(self) -> dict[OptimizerName, float]:
        return {"adam": 0.1, "adamw": 0.1, "sgd": 1.0, "rmsprop": 0.05, "adagrad": 0.3, "adadelta": 5.0}

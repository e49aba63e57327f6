"""Facts about an engine, as data: what the rest of dreamsweep asks of a spec, so that nobody asks which engine it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from dreamsweep.spec.base import WeightsName

TakesTo = Literal["required", "optional", "ignored"]
"""What an engine does with a prompt's `to`: it needs one, it can use one, or it draws the text alone."""
Easing = Literal["linear", "smooth"]
"""Pace of a walk between prompts: even, or slow near each prompt and fast between them."""
WHITE = "#ffffff"


@dataclass(frozen=True)
class Sides:
    """Distribution of the sides of cutouts, as shares of the picture's: normal, clipped."""

    mean: float
    std: float
    low: float
    high: float


@dataclass(frozen=True)
class BoxViews:
    """Square cutouts at whole pixels, upright and without noise (Big Sleep)."""

    count: int
    """Views of one iteration."""
    at_once: int
    """Views that are embedded together, at most."""
    sides: Sides


@dataclass(frozen=True)
class TurnedViews:
    """Square cutouts, each turned by a random angle, with noise (the Aleph notebooks)."""

    count: int
    sides: Sides
    rotation: float
    """Largest angle, in degrees."""
    noise: float
    """Standard deviation, for pixels in [0, 1]."""
    outside: str = WHITE
    """Colour of what lies beyond the picture, `#rrggbb`."""

    @property
    def at_once(self) -> int:
        """Views that are embedded together, at most."""
        return self.count


@dataclass(frozen=True)
class PerspectiveViews:
    """Random perspectives of random crops (CLIPDraw: torchvision's RandomPerspective, then RandomResizedCrop)."""

    count: int
    area: tuple[float, float] = (0.7, 0.9)
    """Smallest and largest area of a crop, as a share of the picture's."""
    distortion: float = 0.5
    outside: str = WHITE
    """Colour of what lies beyond the picture, `#rrggbb`."""

    @property
    def at_once(self) -> int:
        """Views that are embedded together, at most."""
        return self.count


Views = BoxViews | TurnedViews | PerspectiveViews
"""How a guide looks at a picture."""


@dataclass(frozen=True)
class Steering:
    """How a guide steers an engine."""

    views: Views
    contrast: float
    """Weight of the contrast with about a thousand other things; 0 for none."""
    by_angle: bool = False
    """Whether the loss is the squared great-circle distance to the prompt, in place of the cosine."""
    chooses_whole: bool = False
    """Whether pictures to start from are compared whole, in place of through the views."""


@dataclass(frozen=True)
class SettingRule:
    """Condition under which a setting has an effect, and the words for it."""

    setting: str
    has_effect: Callable[[Any, WeightsName], bool]
    """Called with a spec of the engine and the sweep's `weights`."""
    cure: str
    """Why it has none, or what it needs: the end of the sentence `… has no effect here: …`."""
    in_each: bool = False
    """Whether it must have an effect in every combination of a grid, and not in one at least."""

"""Perceptors: frozen image-text models. One that steers is a guide, one that only marks is a judge."""

from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from dreamsweep.perceptors.formats import format_of
from dreamsweep.spec import PerceptorName

if TYPE_CHECKING:
    from dreamsweep.perceptors.protocol import Perceptor

STARTERS = ("starter-guide", "starter-judge")


def load_perceptor(name: PerceptorName, device: str) -> "Perceptor":
    """Returns the perceptor by name, frozen, on the device, from the pool of loaded networks.

    Raises WeightsError when its weights are missing, corrupt, or cannot be fetched.
    """
    from dreamsweep.compute.pool import POOL

    return POOL.get(("perceptor", name, device), device, lambda: _loaded(name, device))


def _loaded(name: PerceptorName, device: str) -> "Perceptor":
    if name in STARTERS:
        from dreamsweep.perceptors.starter import load_starter

        return load_starter(name, device)
    from dreamsweep.perceptors import published, two_towers

    match format_of(name):
        case "openai":
            return published.load_published(name, device)
        case "robust":
            return published.load_robust(name, device)
        case "clip":
            return two_towers.load_clip_folder(name, device)
        case "siglip2":
            return two_towers.load_siglip_folder(name, device)
        case "hpsv2":
            return two_towers.load_hpsv2(name, device)
        case other:
            assert_never(other)


def text_reader(name: PerceptorName) -> Callable[[str], list[str]]:
    """Returns `warnings_for` of a perceptor whose network is not loaded; imports no torch.

    Raises WeightsError when a starter's file is missing or damaged.
    """
    from dreamsweep.perceptors import reading, vocabulary

    if name in STARTERS:
        return vocabulary.text_reader(name, vocabulary.read_vocabulary(name))
    return reading.published_reader(name)

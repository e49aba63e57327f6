"""Import of OpenAI's `clip` (the package clip-anytorch), which asks for two things that an environment may lack.

It imports torchvision (see `torchvision_ops`), and it takes `packaging` out of `pkg_resources`, to compare torch's version:
setuptools has had no module of that name since version 82.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import packaging.version

from dreamsweep.compute.torchvision_ops import declare_missing_ops

PKG_RESOURCES = "pkg_resources"


def import_clip() -> ModuleType:
    """Imports `clip`. Afterwards its submodules are imported in the ordinary way (`from clip.model import CLIP`)."""
    declare_missing_ops()
    with warnings.catch_warnings(), _packaging_in_pkg_resources():
        warnings.simplefilter("ignore")
        import clip
    return clip  # type: ignore[no-any-return]


@contextmanager
def _packaging_in_pkg_resources() -> Iterator[None]:
    """Puts a stand-in where `pkg_resources` is not loaded, for the import alone: other packages test for the real module."""
    if PKG_RESOURCES in sys.modules:
        yield
        return
    module = ModuleType(PKG_RESOURCES)
    module.packaging = packaging  # type: ignore[attr-defined]
    sys.modules[PKG_RESOURCES] = module
    try:
        yield
    finally:
        sys.modules.pop(PKG_RESOURCES, None)

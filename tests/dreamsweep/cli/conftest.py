"""The hub on this machine, which commands about weights are tested with too."""

from tests.dreamsweep.weights.conftest import cache, hub, publish

__all__ = ["cache", "hub", "publish"]

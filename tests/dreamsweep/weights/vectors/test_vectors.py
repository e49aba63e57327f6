"""Every published model in its real format, with random values: dreamsweep reads what the package's own network was.

The small ones run with all tests. The published sizes need up to 16 GiB of memory and 14 GB of disk: `make test-published`.
"""

import gc
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dreamsweep.compute.pool import POOL
from dreamsweep.weights.registry import registry
from tests.dreamsweep.weights.conftest import cache  # noqa: F401 - a fixture
from tests.dreamsweep.weights.vectors import VECTORS, write_vector

SMALL = [name for name in VECTORS if name not in ("RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-L/14@336px", "biggan-deep-256")]
"""Those that differ from each other when they are small."""
ELSEWHERE = {"inception"}
"""Models whose packages are in an extra: `tests/dreamsweep/judges/test_inception.py` has this one in its published form."""
Record = Callable[[str, object], None]
SAME_SIZE = 0.02
"""Largest relative difference of a full vector's size from the published files'."""


@pytest.fixture(autouse=True)
def _afresh(cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:  # noqa: F811
    POOL.clear()
    monkeypatch.setenv("DREAMSWEEP_OFFLINE", "1")
    yield
    POOL.clear()
    shutil.rmtree(cache, ignore_errors=True)
    if request.node.get_closest_marker("published"):
        gc.collect()  # gigabytes that refer to each other


@pytest.mark.usefixtures("cache")
def test_every_published_model_has_a_vector() -> None:
    assert VECTORS.keys() | ELSEWHERE == registry().keys()


@pytest.mark.parametrize("name", SMALL)
def test_small(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    _compare(name, cache, monkeypatch, full=False)


@pytest.mark.published
@pytest.mark.parametrize("name", VECTORS)
def test_at_the_published_size(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:  # noqa: F811
    size = _compare(name, cache, monkeypatch, full=True)
    record_property("megabytes", round(size / 1e6))
    record_property("peak_gib", round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1))
    published = registry()[name].megabytes
    assert published is None or size / 1e6 == pytest.approx(published, rel=SAME_SIZE)


def _compare(name: str, cache: Path, monkeypatch: pytest.MonkeyPatch, full: bool) -> int:  # noqa: F811
    """Writes a model where the cache has it and reads it back; returns the bytes of its files."""
    expected = write_vector(name, cache, monkeypatch, full)
    outputs = VECTORS[name].read()
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        assert value.isfinite().all() and value.std() > 1e-4, f"{key} says nothing"
        assert outputs[key].shape == value.shape
        assert (outputs[key] - value).abs().max() <= VECTORS[name].tolerance * value.abs().max(), key
    return sum(path.stat().st_size for path in (cache / registry()[name].folder).rglob("*") if path.is_file())

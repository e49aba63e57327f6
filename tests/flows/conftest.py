"""One real Prefect server for all tests of flows."""

from collections.abc import Iterator

import pytest

from flows.embedded import QUIET


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Prefect's own harness: an API with a database of its own, for this session."""
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as environment:
        for name, value in QUIET.items():
            environment.setenv(name, value)
        with prefect_test_harness(server_startup_timeout=120):
            yield

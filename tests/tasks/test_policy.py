"""What is tried again: networks and disks, never what the user has to mend."""

import pytest
from botocore.exceptions import EndpointConnectionError

from dreamsweep.errors import StoreError, SweepFileError
from tasks.policy import is_transient


@pytest.mark.parametrize(
    "failure", [ConnectionResetError(), TimeoutError(), OSError(5, "I/O error"), EndpointConnectionError(endpoint_url="x")]
)
def test_worth_another_try(failure: Exception) -> None:
    assert is_transient(failure)


@pytest.mark.parametrize(
    "failure", [StoreError("no bucket"), SweepFileError("no such word"), ValueError("ours"), ZeroDivisionError(), None]
)
def test_not_worth_it(failure: object) -> None:
    assert not is_transient(failure)

"""Schedules start and end where they should, and tell of the published systems'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamsweep.engines.schedules import moved, rate_share
from dreamsweep.spec import Curve, DalleSpec, StrokesSpec

CURVES = st.sampled_from(["linear", "cosine", "exponential"])
NUMBERS = st.floats(0.01, 50)


@given(curve=CURVES, start=NUMBERS, end=NUMBERS, share=st.floats(0, 1))
def test_a_curve_goes_from_its_start_to_its_end_and_never_past(curve: Curve, start: float, end: float, share: float) -> None:
    assert moved(curve, start, end, 0) == pytest.approx(start) and moved(curve, start, end, 1) == pytest.approx(end)
    low, high = sorted((start, end))
    assert low * (1 - 1e-9) <= moved(curve, start, end, share) <= high * (1 + 1e-9)


def test_halfway() -> None:
    halves = [moved(curve, 4, 1, 0.5) for curve in ("linear", "cosine", "exponential")]
    assert halves == pytest.approx([2.5, 2.5, 2])
    assert moved("cosine", 4, 1, 0.1) > moved("linear", 4, 1, 0.1) > moved("exponential", 4, 1, 0.1)


def test_the_drops_of_clipdraw_are_those_of_strokes() -> None:
    assert [rate_share(StrokesSpec(), i, 8) for i in range(1, 9)] == [1, 1, 1, 1, 0.4, 0.4, 0.1, 0.1]
    own = StrokesSpec.model_validate({"rate_drops": [{"at": 0.25, "times": 0.5}]})
    assert [rate_share(own, i, 4) for i in range(1, 5)] == [1, 0.5, 0.5, 0.5]
    assert {rate_share(StrokesSpec(rate_schedule="constant"), i, 8) for i in range(1, 9)} == {1}


def test_the_growth_of_the_aleph_notebooks() -> None:
    """From 0.01 by half a percent an iteration up to 0.12: twelve times as much after 498 of 5,000."""
    spec = DalleSpec(rate_schedule="exponential", rate_end=12, rate_until=498 / 4999)
    shares = [rate_share(spec, i, 5000) for i in range(1, 5001)]
    assert shares[0] == 1 and shares[100] == pytest.approx(1.005**100, rel=2e-3)
    assert all(share == pytest.approx(12) for share in shares[498:])


@pytest.mark.parametrize("curve", ["linear", "cosine", "exponential"])
def test_a_rate_gets_to_its_end_at_the_last_iteration(curve: Curve) -> None:
    spec = DalleSpec(rate_schedule=curve)
    shares = [rate_share(spec, i, 20) for i in range(1, 21)]
    assert shares[0] == 1 and shares[-1] == pytest.approx(0.1) and shares == sorted(shares, reverse=True)
    assert rate_share(spec, 1, 1) == 1


def test_what_a_schedule_has_no_use_for_is_no_part_of_a_spec() -> None:
    assert DalleSpec(rate_end=0.3) == DalleSpec()
    assert DalleSpec(rate_schedule="cosine") == DalleSpec(rate_schedule="cosine", rate_end=0.1, rate_until=1)
    assert StrokesSpec.model_validate(StrokesSpec().model_dump()) == StrokesSpec()

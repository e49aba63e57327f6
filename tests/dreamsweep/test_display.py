"""What the progress display says, from the records that a run leaves."""

import io
import itertools
import logging
import time

import pytest
from rich.console import Console

from dreamsweep.display import Display, Tally
from dreamsweep.expand import Plan
from dreamsweep.shard import Progress
from dreamsweep.words import told_bytes, told_seconds

PLAN = Plan(
    trials=8, shards=2, iterations=800, pictures=1, trials_by_engine={}, iterations_by_engine={"dalle": 400, "strokes": 400}, bytes=1
)


def planned() -> Tally:
    """A tally for which ten seconds pass from one look at the clock to the next."""
    tally = Tally(clock=itertools.count(step=10.0).__next__)
    tally.plan(PLAN, 0, {"dalle": 400, "strokes": 400}, {"dalle": 0.1, "strokes": 0.2})
    return tally


def test_trials_count_as_their_shards_go_on() -> None:
    tally = planned()
    assert tally.told() == "0/8 trials"
    tally.take(Progress("a", 0, 100, 4, None, 0.0, "running"), "dalle")
    tally.take(Progress("a", 1, 100, 4, 0.1, 0.1, "running"), "dalle")
    assert tally.seconds_left is None
    tally.take(Progress("a", 51, 100, 4, 0.25, 1.0, "running"), "dalle")
    assert int(tally.done) == 2
    # 196 trial iterations at 20 a second, then strokes, twice as slow an iteration as dalle
    assert tally.seconds_left == pytest.approx(9.8 + 400 * 0.1)
    assert tally.told() == "2/8 trials · 20.0 iterations/s · best 0.250 · 50 s left"
    tally.take(Progress("a", 100, 100, 4, 0.3, 1.5, "done"), "dalle")
    tally.take(Progress("b", 0, 100, 4, None, 0.0, "running"), "strokes")
    assert (tally.done, tally.best) == (4, 0.3)
    tally.take(Progress("b", 80, 100, 4, 0.2, 8.0, "running"), "strokes")
    tally.take(Progress("b", 100, 100, 4, 0.2, 8.0, "done"), "strokes")
    assert tally.told() == "8/8 trials · 8.0 iterations/s · best 0.300"


def test_a_shard_that_is_tried_again_counts_once() -> None:
    tally = planned()
    for status in ("running", "resumed", "running"):
        tally.take(Progress("a", 25, 100, 4, None, 1.0, status), "dalle")
    assert tally.done == 1
    assert tally.left == {"dalle": 0, "strokes": 400}


def test_without_a_terminal_it_says_lines() -> None:
    out = io.StringIO()
    logger = logging.getLogger("dreamsweep.progress")
    with Display(Console(file=out), "demo"):
        logger.info("plan", extra={"plan": PLAN, "made": 3, "left": {}, "costs": {}})
        logger.info("something else")
    logger.info("not heard", extra={"plan": PLAN, "made": 4, "left": {}, "costs": {}})
    assert out.getvalue().splitlines() == ["demo: starting…", "demo: 3/8 trials"]


def test_without_a_terminal_it_keeps_saying_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.display.PLAIN_SECONDS", 0.05)
    out = io.StringIO()
    with Display(Console(file=out), "demo"):
        time.sleep(0.3)
    assert "demo: starting… (0 s)" in out.getvalue().splitlines()


def test_on_a_terminal_it_is_one_line_that_goes_away() -> None:
    out = io.StringIO()
    with Display(Console(file=out, force_terminal=True, width=100), "demo") as display:
        logging.getLogger("dreamsweep.progress").info("plan", extra={"plan": PLAN, "made": 3, "left": {}, "costs": {}})
        assert display.tally.trials == 8
    assert "starting…" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (59.6, "1 min"), (80, "1 min 20 s"), (7500, "2 h 5 min"), (86_400, "1 day"), (273_600, "3 days 4 h")],
)
def test_times_for_people(seconds: float, told: str) -> None:
    assert told_seconds(seconds) == told


@pytest.mark.parametrize(("size", "told"), [(12, "12 bytes"), (1234, "1.2 kB"), (45_600_000, "46 MB"), (2.5e15, "2500.0 TB")])
def test_sizes_for_people(size: float, told: str) -> None:
    assert told_bytes(size) == told

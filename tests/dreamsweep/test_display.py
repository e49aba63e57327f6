"""What the progress display says, from the records that a run leaves."""

import io
import itertools
import logging
import time

import pytest
from rich.console import Console

from dreamsweep.display import Display, Tally
from dreamsweep.expand import Plan
from dreamsweep.planned import Elsewhere, Lost, Progress
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
    tally.take(Progress("a", "dalle", 0, 100, 4, None, 0.0, "running"))
    tally.take(Progress("a", "dalle", 1, 100, 4, 0.1, 0.1, "running"))
    assert tally.seconds_left is None
    tally.take(Progress("a", "dalle", 51, 100, 4, 0.25, 1.0, "running"))
    assert int(tally.done) == 2
    # 196 trial iterations at 20 a second, then strokes, twice as slow an iteration as dalle
    assert tally.seconds_left == pytest.approx(9.8 + 400 * 0.1)
    assert tally.told() == "2/8 trials · 20.0 iterations/s · best 0.250 · 50 s left"
    tally.take(Progress("a", "dalle", 100, 100, 4, 0.3, 1.5, "done"))
    tally.take(Progress("b", "strokes", 0, 100, 4, None, 0.0, "running"))
    assert (tally.done, tally.best) == (4, 0.3)
    tally.take(Progress("b", "strokes", 80, 100, 4, 0.2, 8.0, "running"))
    tally.take(Progress("b", "strokes", 100, 100, 4, 0.2, 8.0, "done"))
    assert tally.told() == "8/8 trials · 8.0 iterations/s · best 0.300"


def test_a_shard_that_is_tried_again_counts_once() -> None:
    tally = planned()
    for status in ("running", "resumed", "running"):
        tally.take(Progress("a", "dalle", 25, 100, 4, None, 1.0, status))
    assert tally.done == 1
    assert tally.left == {"dalle": 0, "strokes": 400}


def test_shards_made_elsewhere_run_side_by_side() -> None:
    tally = planned()
    tally.look(Elsewhere(0, 2))
    assert tally.told() == "0/8 trials · 2 shards waiting for a worker"
    a, b = Progress("a", "dalle", 50, 100, 4, 0.2, 10.0), Progress("b", "strokes", 25, 100, 4, None, 5.0)
    tally.look(Elsewhere(2, 0, (a, b)))
    # 200 trial iterations of dalle at 10 a second, 300 of strokes at 5, side by side
    assert tally.seconds_left == pytest.approx((200 / 10 + 300 / 5) / 2)
    assert tally.told() == "3/8 trials · 2 shards under way · 15.0 iterations/s · best 0.200 · 40 s left"
    tally.lose("b")
    tally.look(Elsewhere(1, 1, (a,)))
    assert tally.told().startswith("2/8 trials · 1 shard under way, 1 waiting · 10.0 iterations/s")
    for name, engine in (("a", "dalle"), ("b", "strokes")):
        tally.take(Progress(name, engine, 100, 100, 4, None, 0.0, "already done"))
    assert tally.left == {"dalle": 0, "strokes": 0}
    assert tally.told() == "8/8 trials · 10.0 iterations/s · best 0.200"


def test_a_shard_lost_elsewhere_is_told_at_once() -> None:
    out = io.StringIO()
    logger = logging.getLogger("dreamsweep.progress")
    with Display(Console(file=out), "demo"):
        logger.info("lost", extra={"lost": Lost("a", "shard a, flow run 'demo-a-1': Crashed: status code -9. Typically caused by …", 2)})
        logger.info("lost", extra={"lost": Lost("a", "shard a, flow run 'demo-a-2': Crashed.", None)})
    assert out.getvalue().splitlines()[1:] == [
        "demo: shard a, flow run 'demo-a-1': Crashed: status code -9. It is tried again (attempt 2).",
        "demo: shard a, flow run 'demo-a-2': Crashed. It is given up.",
    ]


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

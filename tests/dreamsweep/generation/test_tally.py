"""The tally of a running sweep, from its events."""

import itertools

import pytest
from rich.cells import cell_len

from dreamsweep.generation.events import Planned, RemoteProgress, ShardDone, ShardFailed, ShardLost, ShardProgress
from dreamsweep.generation.tally import Tally, drawing_text
from dreamsweep.planning.expand import Plan
from dreamsweep.results.handoff import Progress

PLAN = Plan(
    trials=8, shards=2, iterations=800, pictures=1, trials_by_engine={}, iterations_by_engine={"dalle": 400, "strokes": 400}, bytes=1
)


def planned() -> Tally:
    """Returns a tally for which ten seconds pass from one look at the clock to the next."""
    tally = Tally(clock=itertools.count(step=10.0).__next__)
    tally.take(Planned(PLAN, 0, {"dalle": 400, "strokes": 400}, {"dalle": 0.1, "strokes": 0.2}))
    return tally


def take(tally: Tally, *progress: object) -> None:
    tally.take(ShardProgress(Progress(*progress)))  # type: ignore[arg-type]


def test_trials_count_as_their_shards_go_on() -> None:
    tally = planned()
    assert tally.text() == "0/8 trials"
    take(tally, "a", "dalle", 0, 100, 4, None, 0.0, "running")
    take(tally, "a", "dalle", 1, 100, 4, 0.1, 0.1, "running")
    assert tally.seconds_left is None
    take(tally, "a", "dalle", 51, 100, 4, 0.25, 1.0, "running")
    assert int(tally.progress) == 2
    # 196 trial iterations at 20 a second, then strokes, twice as slow an iteration as dalle
    assert tally.seconds_left == pytest.approx(9.8 + 400 * 0.1)
    assert tally.text() == "0/8 trials · 26% drawn · 50 s left · 20.0 iterations/s · best 0.250"
    take(tally, "a", "dalle", 100, 100, 4, 0.3, 1.5, "done")
    assert tally.progress == 4
    tally.take(ShardDone("a", "dalle", 100, 4, done=4))
    take(tally, "b", "strokes", 0, 100, 4, None, 0.0, "running")
    assert (tally.progress, tally.best) == (4, 0.3)
    take(tally, "b", "strokes", 80, 100, 4, 0.2, 8.0, "running")
    take(tally, "b", "strokes", 100, 100, 4, 0.2, 8.0, "done")
    tally.take(ShardDone("b", "strokes", 100, 4, done=8))
    assert tally.text() == "8/8 trials · 8.0 iterations/s · best 0.300"


def test_a_shard_that_is_tried_again_counts_once() -> None:
    tally = planned()
    for status in ("running", "resumed", "running"):
        take(tally, "a", "dalle", 25, 100, 4, None, 1.0, status)
    assert tally.progress == 1
    assert tally.left == {"dalle": 0, "strokes": 400}


def test_a_shard_that_failed_here_runs_no_longer() -> None:
    tally = planned()
    take(tally, "a", "dalle", 25, 100, 4, None, 1.0, "running")
    tally.take(ShardFailed(ZeroDivisionError()))
    assert tally.progress == 0 and not tally.running


def test_shards_made_here_at_once_add_up() -> None:
    tally = planned()
    for iteration in (0, 20, 40):  # at 10 trial iterations a second, as the clock advances at each of the two
        take(tally, "a", "dalle", iteration, 100, 4, None, 0.0, "running")
        take(tally, "b", "dalle", iteration // 2, 100, 4, 0.1, 0.0, "running")
    assert tally.pace == pytest.approx(4.0 + 2.0)
    # 240 and 320 trial iterations, then none: each as slow as the last that was measured, side by side
    assert tally.text().startswith("0/8 trials · 30% drawn · 2 shards at once · ")
    tally.take(ShardDone("a", "dalle", 100, 4, done=4))
    take(tally, "b", "dalle", 40, 100, 4, 0.1, 0.0, "running")
    assert "at once" not in tally.text() and [*tally.running] == ["b"]


def test_shards_made_elsewhere_run_side_by_side() -> None:
    tally = planned()
    tally.take(RemoteProgress(0, 2))
    assert tally.text() == "0/8 trials · 2 shards waiting for a worker"
    a, b = Progress("a", "dalle", 50, 100, 4, 0.2, 10.0), Progress("b", "strokes", 25, 100, 4, None, 5.0)
    tally.take(RemoteProgress(2, 0, (a, b)))
    # 200 trial iterations of dalle at 10 a second, 300 of strokes at 5, side by side
    assert tally.seconds_left == pytest.approx((200 / 10 + 300 / 5) / 2)
    assert tally.text() == "0/8 trials · 38% drawn · 2 shards running · 40 s left · 15.0 iterations/s · best 0.200"
    tally.take(ShardLost("b", "its machine is gone", 2))
    tally.take(RemoteProgress(1, 1, (a,)))
    assert tally.text().startswith("0/8 trials · 25% drawn · 1 shard running, 1 waiting · 20 s left · 10.0 iterations/s")
    tally.take(ShardDone("a", "dalle", 100, 4, done=4))
    tally.take(ShardDone("b", "strokes", 100, 4, done=8))
    assert tally.left == {"dalle": 0, "strokes": 0}
    assert tally.text() == "8/8 trials · 10.0 iterations/s · best 0.200"


def drawn(shard_id: str, engine: str, *prompts: str, others: int = 0, best: float | None = None) -> Progress:
    return Progress(shard_id, engine, 1, 10, 4, best, 1.0, prompts=prompts, other_prompts=others)


def test_the_best_score_never_falls_whatever_the_next_shard_begins_with() -> None:
    tally, shown = planned(), []
    for shard_id, best in (("a", None), ("a", 0.2), ("a", 0.4), ("b", None), ("b", -0.1), ("b", 0.3), ("c", 0.1), ("c", 0.5)):
        tally.take(ShardProgress(drawn(shard_id, "dalle", best=best)))
        shown.append(tally.best)
    assert shown == [None, 0.2, 0.4, 0.4, 0.4, 0.4, 0.4, 0.5]
    tally.take(ShardDone("c", "dalle", 100, 4, done=8))
    tally.take(RemoteProgress(1, 0, (drawn("d", "strokes", best=0.1),)))
    assert tally.best == 0.5


def test_what_is_being_drawn_has_its_engine_and_as_many_prompts_as_fit() -> None:
    tally = planned()
    assert tally.drawing(80) == ""
    tally.take(ShardProgress(drawn("a", "strokes", "a red heart", "a rocket", "a cat's face", others=3)))
    assert tally.drawing(80) == """strokes: 'a red heart', 'a rocket', "a cat's face" and 3 other prompts"""
    assert tally.drawing(68) == "strokes: 'a red heart', 'a rocket' and 4 other prompts"
    assert tally.drawing(53) == "strokes: 'a red heart' and 5 other prompts"
    assert tally.drawing(36) == "strokes: 'a re…' and 5 other prompts"
    tally.take(ShardDone("a", "strokes", 100, 4, done=4))
    tally.take(ShardProgress(drawn("b", "dalle", "a rocket")))
    assert tally.drawing(80) == "dalle: 'a rocket'"
    tally.take(ShardDone("b", "dalle", 10, 4, done=4))
    assert tally.drawing(80) == ""


@pytest.mark.parametrize(("prompt", "width", "text"), [
    ("x" * 80, 200, f"dalle: '{'x' * 59}…'"),
    ("x" * 80, 40, f"dalle: '{'x' * 30}…'"),
    ("赤い心臓" * 5, 30, "dalle: '赤い心臓赤い心臓赤い…'"),
    ("a\nb", 30, r"dalle: 'a\nb'"),
])  # fmt: skip
def test_a_prompt_too_long_is_cut(prompt: str, width: int, text: str) -> None:
    assert drawing_text([drawn("a", "dalle", prompt)], width) == text
    assert cell_len(text) <= max(width, 68)


def test_shards_made_elsewhere_share_the_width_by_engine() -> None:
    first, third = drawn("a", "dalle", "a rocket", "a star"), drawn("c", "dalle", "a star", "a cat")
    tally = planned()
    tally.take(RemoteProgress(3, 0, (first, drawn("b", "strokes", "a red heart", "a rocket"), third)))
    assert tally.drawing(80) == "dalle: 'a rocket', 'a star', 'a cat' · strokes: 'a red heart', 'a rocket'"
    assert tally.drawing(72) == "dalle: 'a ro…' and 2 other prompts · strokes: 'a red heart', 'a rocket'"
    assert drawing_text([Progress("a", "dalle", 1, 10, 4, None, 1.0)], 80) == "dalle"  # as a worker of an earlier version writes it

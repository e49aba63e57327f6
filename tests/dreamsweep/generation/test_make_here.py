"""Progress of a shard is passed on a few times a second, and at each change of status."""

from dreamsweep.generation.make_here import few_a_second
from dreamsweep.results.handoff import Progress


def test_a_thousand_steps_are_a_few_events() -> None:
    steps = [Progress("a", "dalle", i, 1000, 2, None, 1.0, "running") for i in range(1000)]
    passed = list(few_a_second([*steps, Progress("a", "dalle", 1000, 1000, 2, None, 1.0, "done")]))
    assert 2 <= len(passed) < 10
    assert (passed[0].iteration, passed[-1].status) == (0, "done")

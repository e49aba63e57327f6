"""Lines of a flow run's log that say what is drawn."""

from pathlib import Path
from typing import Any

import pytest

from dreamsweep.generation.events import Planned, ShardDone, ShardLost
from dreamsweep.planning.expand import plan, shards
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.spec import Sweep
from dreamsweep.tasks.log_lines import done_line, lost_line, shard_line, sweep_line


def sweep(**changes: Any) -> Sweep:
    content = {"name": "t", "prompts": ["a red heart", "a rocket"], "engines": ["dalle", "strokes"], "iterations": 50, **changes}
    return parse_sweep(content, Path(), "test")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([3], "seed 3"),
        ([1, 0], "seeds 0, 1"),
        ({"start": 5, "count": 32}, "seeds 5 to 36"),
        ([*range(0, 20, 2)], "seeds 0, 2, 4, 6, 8, 10, 12, 14 and 2 others"),
    ],
)
def test_a_sweep_names_its_engines_prompts_and_seeds(seeds: object, words: str) -> None:
    wanted = sweep(seeds=seeds)
    size = plan(wanted)
    each = size.trials // 2
    assert sweep_line(wanted, Planned(size, 1, {}, {})) == (
        f"sweep t: {size.trials} trials in {size.shards} shards, 1 of them done before; "
        f"engines dalle ({each}), strokes ({each}); 2 prompts: 'a red heart', 'a rocket'; {words}"
    )


def test_a_shard_names_each_prompt_with_its_seeds() -> None:
    first, *_ = shards(sweep(seeds=[0, 1], shard_size=3))
    assert shard_line(first) == (
        f"shard {first.shard_id}: dalle draws 3 trials of 50 iterations: 'a red heart' (seeds 0, 1), 'a rocket' (seed 0)"
    )


def test_of_many_prompts_the_first_are_named() -> None:
    (only,) = shards(sweep(prompts=[f"p{number}" for number in range(10)], engines=["strokes"], shard_size=10))
    assert shard_line(only).endswith("'p6' (seed 0), 'p7' (seed 0), and 2 other prompts")


def test_what_became_of_a_shard() -> None:
    assert (
        done_line(
            ShardDone(
                "ab",
                "dalle",
                50,
                2,
                3,
            ),
            12,
        )
        == "shard ab: done (dalle), 3 of 12 trials of the sweep"
    )
    assert lost_line(ShardLost("ab", "shard ab: Crashed", 2)) == "shard ab: Crashed; attempt 2 follows"
    assert lost_line(ShardLost("ab", "shard ab: Crashed", None)) == "shard ab: Crashed; given up"

"""Lines of a flow run's log that say what is drawn: engines, prompts and seeds."""

from collections.abc import Iterable, Sequence

from dreamsweep.generation.events import Planned, ShardDone, ShardLost
from dreamsweep.planning.expand import Shard
from dreamsweep.planning.prompts import prompts
from dreamsweep.spec import SeedRange, Sweep
from dreamsweep.text import counted, quoted, quoted_list

SHOWN = 8
"""Maximum number of prompts, or of seeds, that a line names."""


def sweep_line(sweep: Sweep, planned: Planned) -> str:
    """Returns `sweep t: 12 trials in 3 shards, 4 of them done before; engines dalle (8), strokes (4); 2 prompts: 'a', 'b'; seeds 0, 1`."""
    plan, texts = planned.plan, [prompt.text for prompt in prompts(sweep)]
    size = f"{counted(plan.trials, 'trial')} in {counted(plan.shards, 'shard')}, {planned.done:,} of them done before"
    engines = ", ".join(f"{engine} ({trials:,})" for engine, trials in plan.trials_by_engine.items())
    seeds = range(sweep.seeds.start, sweep.seeds.start + sweep.seeds.count) if isinstance(sweep.seeds, SeedRange) else sweep.seeds
    shown = quoted_list(texts, "other prompt", SHOWN)
    return f"sweep {sweep.name}: {size}; engines {engines}; {counted(len(texts), 'prompt')}: {shown}; {_seeds(seeds)}"


def shard_line(shard: Shard) -> str:
    """Returns `shard 0123456789abcdef: strokes draws 3 trials of 50 iterations: 'a red heart' (seeds 0, 1), 'a rocket' (seed 0)`."""
    seeds: dict[str, list[int]] = {}
    for trial in shard.trials:
        seeds.setdefault(trial.prompt.text, []).append(trial.seed)
    drawn = [f"{quoted(text)} ({_seeds(seeds[text])})" for text in list(seeds)[:SHOWN]]
    others = [f"and {counted(len(seeds) - SHOWN, 'other prompt')}"] if len(seeds) > SHOWN else []
    first = shard.trials[0]
    size = f"{counted(len(shard.trials), 'trial')} of {counted(first.num_iter, 'iteration')}"
    return f"shard {shard.shard_id}: {first.engine.engine} draws {size}: {', '.join([*drawn, *others])}"


def done_line(event: ShardDone, trials: int) -> str:
    """Returns `shard 0123456789abcdef: done (strokes), 3 of 12 trials of the sweep`."""
    return f"shard {event.shard_id}: done ({event.engine}), {event.done:,} of {counted(trials, 'trial')} of the sweep"


def lost_line(event: ShardLost) -> str:
    """Returns the reason why a shard did not come to its end, and what follows."""
    return f"{event.reason}; {'given up' if event.attempt is None else f'attempt {event.attempt} follows'}"


def _seeds(seeds: Iterable[int]) -> str:
    """Formats seeds as `seed 3`, `seeds 0, 1, 5` or `seeds 0 to 31`; of many with gaps, the first and their number."""
    ordered: Sequence[int] = sorted(set(seeds))
    if len(ordered) == 1:
        return f"seed {ordered[0]}"
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"seeds {ordered[0]} to {ordered[-1]}"
    shown, others = ", ".join(map(str, ordered[:SHOWN])), len(ordered) - SHOWN
    return f"seeds {shown}" + (f" and {others:,} others" if others > 0 else "")

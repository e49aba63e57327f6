"""What torch's threads gain, and what they lose on a busy machine: iterations a second of one shard, alone and beside busy processes.

    python benchmarks/threads.py

Every row is a fresh process that draws eight starter trials and is stopped by the clock; the rows take turns, and the table holds medians
over all rounds. `spin` is OpenMP's own default, in which a thread that waits for another keeps its CPU; `sleep` is what importing
dreamsweep sets on a busy machine (OMP_WAIT_POLICY=PASSIVE). Busy processes count in a loop, one for each CPU.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POLICIES = {"spin": {"KMP_BLOCKTIME": "200"}, "sleep": {"OMP_WAIT_POLICY": "PASSIVE"}}
"""LLVM's OpenMP has its default named, which changes nothing, so that the package leaves the policy alone."""
ENGINES = {"strokes": {"num_paths": 32}, "dalle": {"cutouts": 8}, "big-sleep": {"cutouts": 8}}
TRIALS = 8


def measure(engine: str, seconds: float) -> float:
    """Returns iterations a second of a batch in this process, without its first."""
    import tempfile

    from dreamsweep.generation.shard import run_shard
    from dreamsweep.planning.expand import shards
    from dreamsweep.planning.sweep_file import parse_sweep
    from dreamsweep.store import open_store

    settings = {"engine": engine, "num_iter": 100_000, **ENGINES[engine]}
    content = {"name": "threads", "weights": "starter", "prompts": ["a red heart"], "seeds": [*range(TRIALS)], "engines": [settings]}
    (shard,) = shards(parse_sweep(content, ROOT, "threads"))
    with tempfile.TemporaryDirectory() as folder:
        drawn = run_shard(shard, open_store(folder), "cpu")
        for _ in itertools.islice(drawn, 2):  # the announcement, and the iteration that loads
            pass
        start = time.perf_counter()
        for iterations in range(1, 100_000):  # noqa: B007 - used after the loop
            next(drawn)
            if time.perf_counter() - start >= seconds:
                break
    return iterations / (time.perf_counter() - start)


def measure_apart(engine: str, threads: int, policy: str, seconds: float) -> float:
    """Measures in a fresh process. An empty policy counts as none."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)),
        **POLICIES[policy],
    }
    command = [sys.executable, __file__, "--engine", engine, "--seconds", str(seconds)]
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each row is measured (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each measurement (5)")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(measure(options.engine, options.seconds))
        return
    cpus = len(os.sched_getaffinity(0))
    rows, loads = defaultdict(list), []
    for _, busy in itertools.product(range(options.rounds), (0, cpus)):
        if not busy:
            loads.append(os.getloadavg()[0])
        with ExitStack() as stack:
            for _ in range(busy):
                process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                stack.callback(process.kill)
            for engine, threads, policy in itertools.product(ENGINES, (1, cpus), POLICIES):
                rows[engine, threads, policy, busy].append(measure_apart(engine, threads, policy, options.seconds))
    print("| engine | threads | waiting threads | alone | beside busy processes |\n|---|---|---|---|---|")
    for engine, threads, policy in itertools.product(ENGINES, (1, cpus), POLICIES):
        alone, beside = (statistics.median(rows[engine, threads, policy, busy]) for busy in (0, cpus))
        print(f"| `{engine}` | {threads} | {policy} | {alone:.1f} | {beside:.1f} |")
    print(f"\n{cpus} CPUs; load of the machine before the rounds {', '.join(f'{load:.1f}' for load in loads)}")


if __name__ == "__main__":
    main()

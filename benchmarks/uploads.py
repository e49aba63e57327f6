"""What a slow store costs a shard: seconds with writes that are delayed, each picture being encoded and uploaded beside the iterations.

    python benchmarks/uploads.py
    python benchmarks/uploads.py --delays 0 0.05 0.2 --trials 16 --snapshot-every 10

A shard of strokes is drawn into a folder whose every write first sleeps, as a request to a distant server does. The rows take turns;
the table holds medians, the seconds that all writes slept together, and the CPU seconds of the process.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def measure(delay: float, trials: int, iterations: int, snapshot_every: int) -> tuple[float, float, int]:
    """Draws one shard; returns its seconds, its CPU seconds and the number of its writes."""
    from dreamsweep.generation.shard import run_shard
    from dreamsweep.planning.expand import shards
    from dreamsweep.planning.sweep_file import parse_sweep
    from dreamsweep.store import BYTES
    from dreamsweep.store.local import LocalStore

    class Distant(LocalStore):
        writes = 0
        lock = threading.Lock()

        def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
            with self.lock:
                self.writes += 1
            time.sleep(delay)
            super().write(key, data, content_type)

    engine = {"engine": "strokes", "num_paths": 8, "canvas": 64, "cutouts": 1, "num_iter": iterations}
    content: dict[str, object] = {
        "name": "uploads",
        "weights": "starter",
        "prompts": ["a red heart"],
        "seeds": [*range(trials)],
        "engines": [engine],
    }
    content |= {"snapshot_every": snapshot_every, "shard_size": trials}
    (shard,) = shards(parse_sweep(content, ROOT, "uploads"))
    with tempfile.TemporaryDirectory() as folder:
        store = Distant(Path(folder))
        begun, cpu = time.perf_counter(), time.process_time()
        for _ in run_shard(shard, store, "cpu"):
            pass
        return time.perf_counter() - begun, time.process_time() - cpu, store.writes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delays", type=float, nargs="+", default=[0.0, 0.1], help="seconds that each write sleeps")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--snapshot-every", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sizes = options.trials, options.iterations, options.snapshot_every
    measure(0.0, 1, 1, 1)  # imports, networks, caches
    measured: dict[float, list[tuple[float, float, int]]] = defaultdict(list)
    for _ in range(options.rounds):
        for delay in options.delays:
            measured[delay].append(measure(delay, *sizes))
    print("| each write sleeps, s | writes | slept together, s | shard, s | CPU, s |\n|---|---|---|---|---|")
    for delay, rows in measured.items():
        wall, cpu = (statistics.median(column) for column in list(zip(*rows, strict=True))[:2])
        writes = rows[0][2]
        print(f"| {delay:g} | {writes} | {delay * writes:.1f} | {wall:.1f} | {cpu:.1f} |")
    print(f"\n{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()

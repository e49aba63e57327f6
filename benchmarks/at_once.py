"""What several shards at once gain on a CPU: iterations a second by one process with all threads, and by a process for each CPU.

    python benchmarks/at_once.py

Every row is a fresh `run_sweep` in an empty store: starter trials in shards of eight, with the settings of prompts/engines.yaml. It ends
by the clock, which starts once each process has made two iterations. The two take turns; the table holds medians over the rounds.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = ("a red heart", "a rocket", "a cat face", "a snowman")
ENGINES = {engine["engine"]: engine for engine in yaml.safe_load((ROOT / "prompts/engines.yaml").read_text())["engines"]}
BEGUN = 2
"""Iterations of a shard before the clock starts."""


def measure(engine: str, at_once: int, seconds: float) -> float:
    """Returns iterations a second, of all trials of all shards together."""
    from dreamsweep.generation.events import ShardProgress
    from dreamsweep.generation.run_sweep import run_sweep
    from dreamsweep.planning.sweep_file import parse_sweep
    from dreamsweep.store import open_store

    prompts = [{"text": text, "to": ["a crescent moon"]} for text in PROMPTS]
    settings = {**ENGINES[engine], "num_iter": 1_000}
    content = {"name": "at-once", "prompts": prompts, "engines": [settings], "seeds": [*range(2 * at_once)], "shard_size": 8}
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        events = run_sweep(parse_sweep(content, ROOT, "at-once"), open_store(folder), device="cpu", at_once=at_once)
        began, before = float("inf"), 0
        for event in events:
            if isinstance(event, ShardProgress):
                counts[event.progress.shard_id] = event.progress.iteration * event.progress.trials
                if began == float("inf") and sum(count >= BEGUN * event.progress.trials for count in counts.values()) == at_once:
                    began, before = time.monotonic(), sum(counts.values())
            if time.monotonic() - began >= seconds:
                break
        pace = (sum(counts.values()) - before) / (time.monotonic() - began)
        events.close()  # type: ignore[attr-defined]
    return pace


def measure_apart(engine: str, at_once: int, seconds: float) -> float:
    """Measures in a fresh process, which sets its threads anew."""
    command = [sys.executable, __file__, "--engine", engine, "--at-once", str(at_once), "--seconds", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="times that each pace is measured (3)")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds of each measurement (20)")
    parser.add_argument("--engines", nargs="*", default=[*ENGINES], choices=[*ENGINES])
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--at-once", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(measure(options.engine, options.at_once, options.seconds))
        return
    cpus, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    paces: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for engine in options.engines:
            for at_once in (1, cpus):
                paces[engine, at_once].append(measure_apart(engine, at_once, options.seconds))
    print(f"| engine | 1 shard at once | {cpus} | gain |\n|---|---|---|---|", flush=True)
    for engine in options.engines:
        single, several = (statistics.median(paces[engine, at_once]) for at_once in (1, cpus))
        print(f"| `{engine}` | {single:.1f} | {several:.1f} | {several / single:.2f} × |")
    print(f"\n{cpus} CPUs ({platform.processor() or platform.machine()}), torch {torch.__version__}; load before the rounds {load:.1f}")


if __name__ == "__main__":
    main()

"""What the stroke rasteriser costs: CPU seconds and memory of one picture, forward and backward, on one thread.

    python benchmarks/rasterise.py

Each row is measured in a fresh process: process CPU seconds (not the clock's: the machine may be busy), median of several runs
after a first that does not count; peak resident memory, less what the same process held before it drew. Strokes are those that the
engine begins with, at the widths named, on white. Below the table: machine, versions and the floors.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = [
    (1, 64, 1.0, 1.0),
    (1, 256, 1.0, 1.0),
    (1, 256, 1.0, 10.0),
    (1, 256, 10.0, 10.0),
    (1, 512, 1.0, 10.0),
    (1, 256, 1.0, 50.0),
    (8, 256, 1.0, 10.0),
]
"""Trials, paths, narrowest and widest stroke in pixels."""
FLOORS = "floors for 1 × 256 paths on 224²: forward and backward 1.5 CPU s, 1.5 GiB"


def measure(trials: int, paths: int, narrowest: float, widest: float, canvas: int, runs: int) -> dict[str, float]:
    """CPU seconds of a forward pass without gradient, and of a forward and a backward pass; peak memory in MiB."""
    import torch

    from dreamsweep.engines.rasterise import Strokes, rasterise
    from dreamsweep.engines.strokes import begin
    from dreamsweep.spec import Prompt, StrokesSpec, Trial

    torch.set_num_threads(1)
    spec = StrokesSpec(num_paths=paths, num_iter=1)
    common = {"guide": "starter-guide", "weights": "starter"}
    batch = [Trial.model_validate({"prompt": Prompt(text="-"), "engine": spec, "seed": seed, **common}) for seed in range(trials)]
    state = begin(spec, batch)
    widths = narrowest + (widest - narrowest) * torch.rand(trials, paths, generator=torch.Generator().manual_seed(0))
    strokes = Strokes(state["points"] * (canvas / 224), state["segments"], widths * (canvas / 224), state["colors"])
    white, before = torch.ones(3, 1, 1), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    forward, both = [], []
    for _ in range(runs + 1):
        start = time.process_time()
        with torch.no_grad():
            rasterise(strokes, canvas, canvas, white)
        forward.append(time.process_time() - start)
        moving = [tensor.detach().requires_grad_() for tensor in (strokes.points, strokes.widths, strokes.colors)]
        start = time.process_time()
        picture = rasterise(Strokes(moving[0], strokes.segments, moving[1], moving[2]), canvas, canvas, white)
        torch.autograd.backward(picture.square().sum())
        both.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    medians = {"forward": statistics.median(forward[1:]), "both": statistics.median(both[1:])}
    return {**medians, "peak": peak / 1024, "own": (peak - before) / 1024}


def measure_apart(case: tuple[int, int, float, float], canvas: int, runs: int) -> dict[str, float]:
    """The same in a fresh process on one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--canvas", str(canvas), "--runs", str(runs), "--case", json.dumps(case)]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(command, env={**os.environ, **threads, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}; {versions}; one thread"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canvas", type=int, default=224, help="pixels on a side (224)")
    parser.add_argument("--runs", type=int, default=7, help="runs that the median is over (7)")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        trials, paths, narrowest, widest = json.loads(options.case)
        print(json.dumps(measure(trials, paths, narrowest, widest, options.canvas, options.runs)))
        return
    print("| trials | paths | widths, px | forward, CPU s | forward + backward, CPU s | peak, MiB | of it drawing, MiB |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        trials, paths, narrowest, widest = case
        result = measure_apart(case, options.canvas, options.runs)
        times = f"{result['forward']:.3f} | {result['both']:.3f}"
        print(f"| {trials} | {paths} | {narrowest:g}-{widest:g} | {times} | {result['peak']:.0f} | {result['own']:.0f} |", flush=True)
    print(f"\ncanvas {options.canvas}²; {FLOORS}\n{machine()}")


if __name__ == "__main__":
    main()

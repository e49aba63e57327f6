"""Start-up of commands: seconds until they answer, or until a first iteration begins, and where the time goes.

python benchmarks/startup.py             # five runs each; a few minutes
python benchmarks/startup.py --times 1
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DREAMSWEEP = [sys.executable, "-m", "dreamsweep"]
SWEEP = """\
name: startup
prompts: [a red heart]
engines: [{{engine: {engine}}}]
iterations: {iterations}
snapshot_every: 0
"""
PARTS = ("dreamsweep.planning", "pyarrow", "duckdb", "torch", "torchvision", "clip", "dall_e", "transformers", "diffusers", "prefect")


def main() -> None:
    """Prints a table of commands, and one of imports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="runs of each command; the median is printed")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}; medians of {times}\n")
        print("| command | seconds | CPU seconds |\n|---|---|---|")
        for label, command, until in _commands(folder):
            _print_row(label, [_measure(command, folder, until) for _ in range(times)])
        print("\n| import, within a first iteration of dalle | seconds |\n|---|---|")
        for part, seconds in _imports(folder):
            print(f"| `{part}` | {seconds:.2f} |")


def _commands(folder: Path) -> list[tuple[str, list[str], str | None]]:
    """Returns labels, commands, and the pattern in a command's output or store at which the clock stops (None: at its end)."""
    for engine in ("strokes", "dalle"):
        (folder / f"{engine}.yaml").write_text(SWEEP.format(engine=engine, iterations=100_000))
    (folder / "done.yaml").write_text(SWEEP.format(engine="strokes", iterations=1).replace("startup", "done"))
    subprocess.run([*DREAMSWEEP, "run", "done.yaml", "--no-prefect"], cwd=folder, env=_environment(), check=True, stdout=subprocess.DEVNULL)
    return [
        ("`dreamsweep --help`", [*DREAMSWEEP, "--help"], None),
        ("`dreamsweep plan`", [*DREAMSWEEP, "plan", "done.yaml"], None),
        ("`dreamsweep run`, nothing to make", [*DREAMSWEEP, "run", "done.yaml", "--no-prefect"], None),
        ("`python -c 'import torch'`", [sys.executable, "-c", "import torch"], None),
        ("`dreamsweep run`, until the first iteration of strokes", _until_first_iteration("strokes"), "begun"),
        ("`dreamsweep run`, until the first iteration of dalle", _until_first_iteration("dalle"), "begun"),
    ]


def _until_first_iteration(engine: str) -> list[str]:
    """Returns a command that does what `dreamsweep run` does, and says when the first iteration begins."""
    code = (
        "from pathlib import Path; from dreamsweep.generation.events import ShardProgress\n"
        "from dreamsweep.generation.run_sweep import run_sweep\n"
        "from dreamsweep.planning.sweep_file import load_sweep; from dreamsweep.store import open_store; import tempfile\n"
        f"events = run_sweep(load_sweep(Path('{engine}.yaml')), open_store(tempfile.mkdtemp(dir='.')))\n"
        "next(event for event in events if isinstance(event, ShardProgress)); print('begun', flush=True); import os; os._exit(0)"
    )
    return [sys.executable, "-c", code]


def _measure(command: Sequence[str], folder: Path, until: str | None) -> tuple[float, float]:
    """Returns seconds, and CPU seconds of the process and its children."""
    before, started = os.times(), time.perf_counter()
    process = subprocess.run(command, cwd=folder, env=_environment(), check=True, capture_output=True, text=True)
    assert until is None or until in process.stdout
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, cpu


def _imports(folder: Path) -> list[tuple[str, float]]:
    """Returns how long each large package takes to import, what it imports included."""
    command = [sys.executable, "-X", "importtime", *_until_first_iteration("dalle")[1:]]
    report = subprocess.run(command, cwd=folder, env=_environment(), check=True, capture_output=True, text=True).stderr
    rows = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", report)
    totals = {module: int(microseconds) / 1e6 for microseconds, module in rows}
    return [(part, totals[part]) for part in PARTS if part in totals]


def _print_row(label: str, measured: Sequence[tuple[float, float]]) -> None:
    wall, cpu = (statistics.median(values) for values in zip(*measured, strict=True))
    print(f"| {label} | {wall:.1f} | {cpu:.1f} |", flush=True)


def _environment() -> dict[str, str]:
    """Returns this environment without a Prefect server, with this checkout's package."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**environment, "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    main()

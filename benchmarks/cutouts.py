"""What fewer cutouts, and less exact arithmetic, cost in marks and save in time, with the starter weights.

    python benchmarks/cutouts.py            # dalle and big-sleep, 20 prompts, 100 iterations: about half an hour of one core

Each line is the same twenty trials (seed 0). Marks are the judge's, which never guides: its similarity to the prompt, and how many of the
pictures it ranks first among a hundred names. Seconds are of one CPU thread, a trial's share of its batch.
"""

import argparse
import platform
import sys
import time
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
warnings.simplefilter("ignore")


def main() -> None:
    options = _options()
    import torch

    from dreamsweep.spec import BigSleepSpec, DalleSpec

    torch.set_num_threads(options.threads)
    print("| engine | cutouts | precision | judge's similarity | first of 100 | top 5 | CPU s a trial |")
    print("|---|---|---|---|---|---|---|")
    for kind in (DalleSpec, BigSleepSpec):
        for cutouts in options.cutouts:
            line(kind(num_iter=options.iterations, cutouts=cutouts), "default", options.prompts)
        line(kind(num_iter=options.iterations), "bfloat16", options.prompts)
    now = f"{datetime.now(UTC):%Y-%m-%d}"
    print(f"\n{options.prompts} prompts, {options.iterations} iterations on {platform.machine()}; torch {version('torch')}, {now}")


def line(spec, precision: str, prompts: int) -> None:  # type: ignore[no-untyped-def]
    """One line of the table."""
    from dreamsweep.compute.precision import computing_in
    from dreamsweep.training.evaluate import GUIDED_NAMES, drawn, judged

    names, begun = GUIDED_NAMES[:prompts], time.process_time()
    pictures = []
    for start in range(0, prompts, 10):
        with computing_in(precision):  # type: ignore[arg-type]
            pictures.append(drawn(spec, names[start : start + 10]))
    seconds = (time.process_time() - begun) / prompts
    marks = judged(pictures, names)
    first, five = sum(mark.rank == 1 for mark in marks), sum(mark.rank <= 5 for mark in marks)
    similarity = sum(mark.similarity for mark in marks) / prompts
    print(f"| {spec.engine} | {spec.cutouts} | {precision} | {similarity:.3f} | {first} | {five} | {seconds:.1f} |", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cutouts", type=int, nargs="+", default=[2, 4, 8, 16, 32])
    parser.add_argument("--prompts", type=int, default=20, help="of the model card's twenty (20)")
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()

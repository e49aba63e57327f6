"""What planning costs: CPU seconds and memory to expand a sweep into trials, with the id of each.

python benchmarks/expand.py                  # a million trials, about half a minute
python benchmarks/expand.py --prompts 100 --seeds 100
"""

import argparse
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dreamsweep.planning.expand import trials  # noqa: E402
from dreamsweep.planning.sweep_file import parse_sweep  # noqa: E402

CEILING = "ceiling: a million trials within 60 CPU seconds, in memory that does not grow with them"


def main() -> None:
    """Prints one line: trials, CPU seconds, and the peak of resident memory, that of the imports included."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=1_000)
    options = parser.parse_args()
    content = {
        "name": "benchmark",
        "prompts": [f"thing {number}" for number in range(options.prompts)],
        "engines": ["dalle"],
        "seeds": {"count": options.seeds},
    }
    sweep = parse_sweep(content, ROOT, "benchmark")
    before, start = _peak_mib(), time.process_time()
    count = sum(1 for _ in trials(sweep))
    assert count == options.prompts * options.seeds
    print(f"{count:,} trials in {time.process_time() - start:.1f} CPU seconds; peak {_peak_mib():.0f} MiB, {before:.0f} MiB of it before")
    print(CEILING)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

"""What gathering a sweep costs: seconds and memory, by score rows and trials.

    python benchmarks/gather.py --rows 10_000_000
    python benchmarks/gather.py --rows 1_000_000 --trials 1_000_000 --shards 1000

Stages shards of made-up rows (every trial with as many iterations, an embedding of 256, a snapshot every 20) in a folder for
temporary files, then gathers and publishes them in a fresh process, whose peak resident memory is told: that of the imports and of
the set of wanted ids is part of it. The files are removed afterwards.
"""

import argparse
import hashlib
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dreamsweep.results.manifest import read_manifest, stage_shard  # noqa: E402
from dreamsweep.results.publishing import gather, publish  # noqa: E402
from dreamsweep.spec import Trial  # noqa: E402
from dreamsweep.store import open_store  # noqa: E402
from dreamsweep.tables.rows import ScoreRows, TrialRecord, shard_tables  # noqa: E402

SWEEP = "benchmark"
EMBEDDING = 256
FLOOR = "floor: 10,000,000 score rows within 1,024 MiB"


def main() -> None:
    options = _options()
    if options.gather:
        _gather(options.gather, options.trials)
        return
    iterations = max(1, options.rows // options.trials)
    with tempfile.TemporaryDirectory(prefix="dreamsweep-benchmark-") as folder:
        start = time.monotonic()
        stage(folder, options.shards, options.trials, iterations)
        print(
            f"staged {options.shards:,} shards, {options.trials:,} trials × {iterations:,} iterations in {time.monotonic() - start:.0f} s"
        )
        command = [sys.executable, __file__, "--gather", folder, "--trials", str(options.trials)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        record = json.loads(answer.stdout)
    assert (record["trials"], record["scores"]) == (options.trials, options.trials * iterations)
    print(
        f"gathered {record['scores']:,} score rows and {record['trials']:,} trials in {record['seconds']:.1f} s "
        f"({record['cpu_seconds']:.1f} s of CPU): peak {record['peak_mib']:,.0f} MiB, {record['imports_mib']:,.0f} MiB of it before; "
        f"scores.parquet {record['scores_mib']:,.1f} MiB, trials.parquet {record['trials_mib']:,.1f} MiB"
    )
    print(_machine())
    print(FLOOR)


def stage(folder: str, shards: int, trials: int, iterations: int) -> None:
    """Stages shards of equal size: one is made, and the others are it with other ids and other noise."""
    store, each = open_store(folder), -(-trials // shards)
    ids, random = _ids(trials), np.random.default_rng(0)
    records, scores, embeddings = _template(min(each, trials), iterations)
    for shard in range(shards):
        mine = list(itertools.islice(ids, each))
        if not mine:
            break
        name = f"{shard:016x}"
        trial_rows = _with(records.slice(0, len(mine)), "trial_id", pa.array(mine))
        trial_rows = _with(trial_rows, "shard_id", pa.array([name] * len(mine)))
        score_rows = _with(scores.slice(0, len(mine) * iterations), "trial_id", pa.array(np.repeat(mine, iterations)))
        embedding_rows = _with(embeddings.slice(0, len(mine)), "trial_id", pa.array(mine))
        embedding_rows = _with(embedding_rows, "vector", _vectors(random, len(mine)))
        for curve in ("loss", "guide"):
            score_rows = _with(score_rows, curve, pa.array(random.random(score_rows.num_rows, dtype=np.float32)))
        stage_shard(store, SWEEP, name, {"trials": trial_rows, "scores": score_rows, "embeddings": embedding_rows})


def _gather(folder: str, trials: int) -> None:
    """In the fresh process: gathers, publishes and tells what it took, as JSON."""
    store, before = open_store(folder), _peak_mib()
    wanted = set(_ids(trials))
    start, cpu = time.monotonic(), time.process_time()
    publish(store, gather(store, SWEEP, wanted, "0" * 64))
    record = {"seconds": time.monotonic() - start, "cpu_seconds": time.process_time() - cpu, "peak_mib": _peak_mib(), "imports_mib": before}
    manifest = read_manifest(store, SWEEP)
    assert manifest is not None
    sizes = {f"{name}_mib": files[0] for name, files in manifest.tables.items()}
    record |= {name: (Path(folder) / key).stat().st_size / 2**20 for name, key in sizes.items()}
    print(json.dumps({**record, "scores": manifest.scores, "trials": manifest.trials}))


def _ids(trials: int) -> Iterator[str]:
    return (hashlib.sha256(str(number).encode()).hexdigest()[:16] for number in range(trials))


def _template(trials: int, iterations: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    perceptors = {"guide": "starter-guide", "weights": "starter"}
    trial = Trial.model_validate(
        {
            "prompt": "a red heart",
            "engine": {"engine": "strokes", "num_iter": iterations},
            "seed": 0,
            **perceptors,
        }
    )
    folder = f"pictures/{trial.id}"
    numbers: dict[str, Any] = dict.fromkeys(
        ("loss_first", "loss_last", "guide_first", "guide_best", "guide_last", "judge_first", "judge_best", "judge_last"), 0.5
    )
    record = TrialRecord(
        trial=trial,
        judge_name="starter-judge",
        shard_id="",
        trials_at_once=8,
        iterations_done=iterations,
        best_iteration=iterations,
        **numbers,
        final_uri=f"{folder}/final.png",
        best_uri=f"{folder}/best.png",
        film_uri=f"{folder}/film.webp",
        svg_uri=f"{folder}/strokes.svg",
        embedding=[0.0] * EMBEDDING,
        picture_sha256="0" * 64,
        seconds=1.0,
        iterations_per_second=1.0,
        device="cpu",
        versions={"dreamsweep": "0", "python": "3.11", "torch": "2", "platform": "any"},
        weights_sha256={"starter-guide": "0" * 64},
        warnings=(),
        status="done",
        error=None,
        finished_at=datetime.now(UTC),
    )
    counted = np.arange(1, iterations + 1, dtype=np.int32)
    real = counted.astype(np.float32)
    judge = np.where(counted % 10 == 0, real, np.float32(np.nan)).astype(np.float32)
    uris = [f"{folder}/{i:06d}.png" if i % 20 == 0 else None for i in range(1, iterations + 1)]
    tables = shard_tables(SWEEP, [record] * trials, [ScoreRows("", counted, real, real, judge, real, real, uris)])
    return tables["trials"], pa.concat_tables([tables["scores"]] * trials).combine_chunks(), tables["embeddings"]


def _vectors(random: np.random.Generator, count: int) -> pa.Array:
    offsets = np.arange(0, (count + 1) * EMBEDDING, EMBEDDING, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, random.random(count * EMBEDDING, dtype=np.float32))


def _with(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(column)
    return table.set_column(at, table.schema.field(at), values)


def _peak_mib() -> float:
    """Of this process since it began; `ru_maxrss` would tell its parent's where that is larger."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on a Mac
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "numpy", "pydantic"))
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}; Python {platform.python_version()}, {packages}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="score rows in all")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--gather", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

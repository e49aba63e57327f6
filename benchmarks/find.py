"""What a search over a million pictures costs, beside numpy and DuckDB's arrays on the same file.

    python benchmarks/find.py
    python benchmarks/find.py --pictures 1_000_000 --dimensions 512 --repeats 5

Publishes a made-up sweep (a trial and a random embedding for each picture) in a folder for temporary files, and searches it with random
vectors, each system in a fresh process. dreamsweep: all that a search does after its text is embedded, the trials' columns included.
DuckDB: `array_cosine_similarity` over the same file, without trials. numpy: a product with all vectors, which it reads into memory first
(told apart). Peaks are of resident memory, imports included. The files are removed afterwards.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import gather as stages
import numpy as np
import pyarrow.parquet as pq

from dreamsweep.report.query import Session
from dreamsweep.report.search import embedded_pictures, nearest
from dreamsweep.results.manifest import published_manifest
from dreamsweep.results.publishing import gather, publish
from dreamsweep.store import open_store

PERCEPTOR, LIMIT, SHARDS = "starter-judge", 20, 100
FLOOR = "floor: 1,000,000 embeddings within 2 s on two idle cores"
Search = Callable[[list[float]], list[str]]
"""Ids of the nearest trials to a vector."""


def main() -> None:
    options = _options()
    if options.system:
        _measure(options)
        return
    with tempfile.TemporaryDirectory(prefix="dreamsweep-benchmark-") as folder:
        start = time.monotonic()
        stages.EMBEDDING = options.dimensions
        stages.stage(folder, SHARDS, options.pictures, 1)
        store = open_store(folder)
        publish(store, gather(store, stages.SWEEP, set(stages._ids(options.pictures)), "0" * 64))
        size = Path(_file(folder)).stat().st_size / 2**20
        print(f"published {options.pictures:,} embeddings of {options.dimensions} ({size:,.0f} MiB) in {time.monotonic() - start:.0f} s")
        print("| system | median, s | CPU s | before the first, s | peak, MiB |\n|---|---|---|---|---|")
        answers = [_measured(folder, system, options) for system in SYSTEMS]
    assert all(answer == answers[0] for answer in answers), "the systems disagree"
    print(f"{stages._machine()}, duckdb {duckdb.__version__}; {options.repeats} searches each")
    print(FLOOR)


def _measured(folder: str, system: str, options: argparse.Namespace) -> list[list[str]]:
    """Prints the line of a system, and returns its answers."""
    sizes = [f"--{name}={getattr(options, name)}" for name in ("pictures", "dimensions", "repeats")]
    command = [sys.executable, __file__, "--system", system, "--folder", folder, *sizes]
    record = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    seconds, cpu = statistics.median(record["seconds"]), statistics.median(record["cpu"])
    print(f"| {system} | {seconds:.2f} | {cpu:.2f} | {record['before']:.2f} | {record['peak']:,.0f} |", flush=True)
    answers: list[list[str]] = record["answers"]
    return answers


def _measure(options: argparse.Namespace) -> None:
    """In the fresh process: searches, and prints what it took as JSON."""
    vectors = np.random.default_rng(1).normal(size=(options.repeats, options.dimensions))
    start = time.monotonic()
    search = SYSTEMS[options.system](options.folder)
    record: dict[str, Any] = {"before": time.monotonic() - start, "seconds": [], "cpu": [], "answers": []}
    for vector in vectors.tolist():
        start, cpu = time.monotonic(), time.process_time()
        record["answers"].append(search(vector))
        record["seconds"].append(time.monotonic() - start)
        record["cpu"].append(time.process_time() - cpu)
    print(json.dumps({**record, "peak": stages._peak_mib()}))


def _dreamsweep(folder: str) -> Search:
    def search(vector: list[float]) -> list[str]:
        with Session(open_store(folder)) as session:
            (perceptor,) = embedded_pictures(session)
            ids: list[str] = nearest(session, vector, perceptor, LIMIT)["trial_id"].to_pylist()
            return ids

    return search


def _duckdb(folder: str) -> Search:
    def search(vector: list[float]) -> list[str]:
        array = f"FLOAT[{len(vector)}]"
        with duckdb.connect() as connection:
            rows = connection.execute(
                f"SELECT trial_id FROM read_parquet('{_file(folder)}') "
                f"ORDER BY array_cosine_similarity(vector::{array}, $1::{array}) DESC LIMIT {LIMIT}",
                [vector],
            ).fetchall()
            return [trial for (trial,) in rows]

    return search


def _numpy(folder: str) -> Search:
    table = pq.read_table(_file(folder), columns=["trial_id", "vector"])
    vectors = np.concatenate([chunk.flatten().to_numpy().reshape(len(chunk), -1) for chunk in table["vector"].chunks])
    norms = np.linalg.norm(vectors, axis=1)

    def search(vector: list[float]) -> list[str]:
        similarity = vectors @ np.array(vector, np.float32) / norms
        best = np.argpartition(-similarity, LIMIT)[:LIMIT]
        return [table["trial_id"][int(at)].as_py() for at in best[np.argsort(-similarity[best])]]

    return search


SYSTEMS: dict[str, Callable[[str], Search]] = {"dreamsweep": _dreamsweep, "DuckDB arrays": _duckdb, "numpy": _numpy}


def _file(folder: str) -> str:
    (key,) = published_manifest(open_store(folder), stages.SWEEP).tables["embeddings"]
    return str(Path(folder) / key)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--system", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

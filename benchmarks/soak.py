"""A soak: many sweeps through one Prefect server on PostgreSQL. Does memory or disk of any process grow, is a row or a process left?

    python benchmarks/soak.py                                    # 200 sweeps of 50 trials, two at a time, on a PostgreSQL of its own
    python benchmarks/soak.py --sweeps 20 --minutes 10 --rows soak.jsonl
    python benchmarks/soak.py --database postgresql+asyncpg://user:password@localhost/prefect
    python benchmarks/soak.py --read soak.jsonl                  # tables of a soak that was stopped

The server, its database, the sweeps' flow runs, their store (a folder) and what is published are real. Two parents, each a process that
lives through the whole soak, run one sweep after the other. The machines are made up, as in fanout.py: they stage made-up trials, and some
of their flow runs crash. One sweep in ten is generated for real by its parent, with tiny settings. Exit code 1 if anything is lost, made
twice or left over.
"""

import argparse
import asyncio
import json
import os
import platform
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import fanout  # noqa: E402
import httpx  # noqa: E402
import numpy as np  # noqa: E402

from dreamsweep.cli.tied import descendants  # noqa: E402
from dreamsweep.flows.local_server import free_port  # noqa: E402
from dreamsweep.store import open_store  # noqa: E402

PROMPTS = ["a red heart", "a rocket", "a green apple", "a slice of pizza", "a sun behind a cloud"]
TINY = {"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}
"""Engine of the sweeps that are generated for real, for a few iterations."""
REAL_EVERY, SHARDS, PARENTS, MEASURED_EVERY = 10, 5, 2, 10
UNFINISHED = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]
"""Types of the states in which no flow run may be left."""
MARK = "DREAMSWEEP_SOAK"
"""Environment variable by which every process of the soak is known, whoever its parent is by then."""
ANSWER = "soak: "
STUCK_SECONDS, ENDING_SECONDS = 900.0, 60.0
MIB = 1 << 20


def main() -> None:
    options = _options()
    if options.parent:
        parent(options)
    elif options.read:
        records = [json.loads(line) for line in options.read.read_text().splitlines()]
        report([record for record in records if "memory" in record], next((record for record in records if "mistakes" in record), None))
    else:
        rows, end = soak(options)
        report(rows, end)
        sys.exit(bool(end["mistakes"]))


def soak(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Runs the sweeps; returns what was measured meanwhile, and at the end."""
    with tempfile.TemporaryDirectory(prefix="dreamsweep-soak-", ignore_cleanup_errors=True) as folder:
        for name in ("home", "temporary"):
            Path(folder, name).mkdir()
        settings = {"TMPDIR": f"{folder}/temporary", "HOME": f"{folder}/home", "XDG_CACHE_HOME": f"{folder}/home/.cache", MARK: folder}
        with ExitStack() as running:
            postgres, database = running.enter_context(own_postgres()) if options.database is None else (None, options.database)
            os.environ.update(settings)
            with fanout.prefect_server(f"{folder}/home", database) as (server, environment):
                fanout.deploy()
                store = open_store(f"{folder}/runs")
                with fanout.Machines(store, options.seconds, options.heartbeats, options.crash) as machines:
                    some = Soak(options, folder, database, {"server": server.pid, "machines": os.getpid()}, postgres, environment)
                    some.run(machines)
                end = {**some.check(machines), "flow_runs_crashed": machines.crashed}
            with suppress(subprocess.TimeoutExpired):
                server.wait(ENDING_SECONDS)
        left = [pid for pid in marked(folder) if pid != os.getpid()]
        end["mistakes"] += [f"process {pid} is left: {_command_line(pid)}" for pid in left]
        end["temporary_files_left"] = [path.name for path in Path(folder, "temporary").iterdir()]
        _keep(options.rows, end)
        return some.rows, end


@dataclass
class Soak:
    """Has the parents run sweeps, and measures all processes meanwhile."""

    options: argparse.Namespace
    folder: str
    database: str
    processes: dict[str, int]
    """Process by what it is."""
    postgres: int | None
    """First process of PostgreSQL; None where it is not this command's."""
    environment: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    done: int = 0
    begun: float = field(default_factory=time.monotonic)

    def run(self, machines: fanout.Machines) -> None:
        """Runs sweeps until their number, or the time, is reached."""
        answers: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        parents = [self._start_parent(number, answers) for number in range(1, PARENTS + 1)]
        numbers = iter(range(1, self.options.sweeps + 1))
        self.measure()
        busy = sum(self._give(process, numbers) for process in parents)
        while busy:
            try:
                place, record = answers.get(timeout=STUCK_SECONDS)
            except queue.Empty:
                self.mistakes.append(f"no sweep has ended for {STUCK_SECONDS:g} s; machines alive: {machines.thread.is_alive()}")
                break
            busy -= 1
            if "error" in record:
                self.mistakes.append(f"sweep {record.get('sweep')}, parent {place}: {record['error']}")
            if "sweep" in record:
                self.done += 1
                if self.done % MEASURED_EVERY == 0:
                    self.measure()
                busy += self._give(parents[place - 1], numbers)
        self.measure()
        for process in parents:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self.mistakes.append("a parent did not end by itself")
                process.kill()
                process.wait()

    def _start_parent(self, number: int, answers: "queue.Queue[tuple[int, dict[str, Any]]]") -> "subprocess.Popen[str]":
        command = [sys.executable, str(Path(__file__).resolve()), "--parent", f"{self.folder}/runs", "--trials", str(self.options.trials)]
        log = Path(self.folder, f"parent-{number}.log").open("w")  # noqa: SIM115 - as long as the parent
        process = subprocess.Popen(command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.processes[f"parent {number}"] = process.pid

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(ANSWER):
                    answers.put((number, json.loads(line.removeprefix(ANSWER))))
            if process.wait():
                answers.put((number, {"error": f"ended with code {process.returncode}; {Path(log.name).read_text()[-2000:]}"}))

        threading.Thread(target=read, daemon=True).start()
        return process

    def _give(self, process: "subprocess.Popen[str]", numbers: Iterator[int]) -> bool:
        """Has a parent run the next sweep; returns whether there is one."""
        if time.monotonic() - self.begun > 60 * self.options.minutes or (number := next(numbers, None)) is None:
            return False
        assert process.stdin is not None
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        return True

    def measure(self) -> None:
        """Measures every process, folder and the database, while sweeps go on."""
        if self.rows and self.rows[-1]["sweeps"] == self.done:
            return
        below = [self.postgres, *descendants(self.postgres)] if self.postgres else []
        row: dict[str, Any] = {
            "sweeps": self.done,
            "seconds": round(time.monotonic() - self.begun, 1),
            "memory": {name: _memory([pid], "Rss") for name, pid in self.processes.items()},
            "files": {name: _open_files([pid]) for name, pid in self.processes.items()},
            "children": {name: len(descendants(pid)) for name, pid in self.processes.items() if pid != os.getpid()},
            "database": asyncio.run(_ask(self.database, "SELECT pg_database_size(current_database())"))[0][0] / MIB,
            "unfinished": self.unfinished(),
            **{name: _size(Path(self.folder, name)) / MIB for name in ("home", "temporary", "runs")},
        }
        if below:
            row["memory"] |= {"PostgreSQL": _memory(below, "Pss"), "PostgreSQL, its buffers": _memory(below, "Pss_Shmem")}
            row["files"]["PostgreSQL"] = _open_files(below)
            row["children"]["PostgreSQL"] = len(below) - 1
        self.rows.append(row)
        _keep(self.options.rows, row)
        print(json.dumps(row), file=sys.stderr, flush=True)

    def unfinished(self) -> int:
        """Returns how many flow runs are in no final state."""
        wanted = {"flow_runs": {"state": {"type": {"any_": UNFINISHED}}}}
        answer = httpx.post(f"{self.environment['PREFECT_API_URL']}/flow_runs/count", json=wanted, trust_env=False, timeout=60)
        return int(answer.raise_for_status().json())

    def check(self, machines: fanout.Machines) -> dict[str, Any]:
        """Returns what is wrong at the end, and what the database is made of."""
        from dreamsweep.results.manifest import read_manifest

        store = open_store(f"{self.folder}/runs")
        for number in range(1, self.done + 1):
            manifest = read_manifest(store, _name(number))
            if manifest is None or (manifest.trials, manifest.done) != (self.options.trials, self.options.trials):
                self.mistakes.append(f"sweep {number}: its manifest is {manifest}")
        sql = """SELECT count(*) AS trials, count(DISTINCT trial_id) AS trial_ids, count(DISTINCT sweep) AS sweeps,
            (SELECT count(*) FROM scores) AS scores, (SELECT count(DISTINCT (trial_id, iteration)) FROM scores) AS iterations FROM trials"""
        command = [sys.executable, "-m", "dreamsweep", "query", sql, "--json", "--store", f"{self.folder}/runs"]
        answer = subprocess.run(command, env={**self.environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
        counts = json.loads(answer.stdout)[0] if answer.returncode == 0 else answer.stderr
        trials, rows = self.done * self.options.trials, sum(map(_iterations, range(1, self.done + 1))) * self.options.trials
        expected = {"trials": trials, "trial_ids": trials, "sweeps": self.done, "scores": rows, "iterations": rows}
        if counts != expected:
            self.mistakes.append(f"`dreamsweep query` counts {counts}, not {expected}")
        if left := self.unfinished():
            self.mistakes.append(f"{left} flow runs are in no final state")
        if twice := machines.twice():
            self.mistakes.append(f"shards made twice: {', '.join(twice)}")
        tables = "SELECT relname, pg_total_relation_size(relid) AS size FROM pg_statio_user_tables ORDER BY size DESC LIMIT 5"
        states = "SELECT state_type::text, count(*) FROM flow_run GROUP BY 1 ORDER BY 2 DESC"
        return {
            "mistakes": self.mistakes,
            "counts": counts,
            "tables": {name: size / MIB for name, size in asyncio.run(_ask(self.database, tables))},
            "flow_runs": dict(asyncio.run(_ask(self.database, states))),
            "sweeps_wanted": self.options.sweeps,
            "machine": f"{os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, Prefect {version('prefect')}, "
            f"{asyncio.run(_ask(self.database, 'SELECT version()'))[0][0].split(' (')[0].split(' on ')[0]}; {datetime.now(UTC):%Y-%m-%d}",
        }


def parent(options: argparse.Namespace) -> None:
    """Runs the real flow for each number on standard input, one sweep after the other, in this one process."""
    from dreamsweep.flows.fanout import Compute
    from dreamsweep.flows.sweep import SweepRequest, sweep
    from dreamsweep.planning.sweep_file import parse_sweep

    made_up = Compute(deployment=fanout.DEPLOYMENT, window=SHARDS, poll_seconds=1)
    for line in sys.stdin:
        number, count = int(line), options.trials // len(PROMPTS)
        is_real = number % REAL_EVERY == 0
        content = {
            "name": _name(number), "prompts": PROMPTS, "engines": [TINY if is_real else "dalle"], "iterations": _iterations(number),
            "snapshot_every": 0, "shard_size": -(-options.trials // SHARDS), "seeds": {"start": number * count, "count": count},
        }  # fmt: skip
        record: dict[str, Any] = {"sweep": number}
        try:
            compute = None if is_real else made_up
            sweep(SweepRequest(sweep=parse_sweep(content, ROOT, "soak"), store=options.parent, device="cpu", compute=compute))
        except Exception as error:  # noqa: BLE001 - the soak goes on, and counts it
            record["error"] = f"{type(error).__name__}: {error}"
        print(f"{ANSWER}{json.dumps(record)}", flush=True)


@contextmanager
def own_postgres() -> Iterator[tuple[int, str]]:
    """Starts a PostgreSQL on an empty folder, on loopback; gives its first process and its address."""
    initdb = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
    if initdb is None:
        print("soak: there is no PostgreSQL on this machine; install one, or name a database with --database.", file=sys.stderr)
        sys.exit(2)
    programs, port = Path(initdb).resolve().parent, free_port()
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="dreamsweep-soak-postgres-") as folder:
        if user:
            shutil.chown(folder, "postgres", "postgres")  # it refuses to run as root
        shared: dict[str, Any] = {**user, "cwd": folder, "stdout": subprocess.DEVNULL}
        subprocess.run([programs / "initdb", "-D", f"{folder}/data", "-U", "soak", "-A", "trust", "--no-sync"], check=True, **shared)
        command = [str(programs / "postgres"), "-D", f"{folder}/data", "-p", str(port), "-k", folder, "-h", "127.0.0.1"]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log, **shared)
        try:
            for _ in range(300):
                if subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode == 0:
                    break
                time.sleep(0.1)
            yield process.pid, f"postgresql+asyncpg://soak@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # a shutdown that waits for no client
            process.wait(ENDING_SECONDS)


async def _ask(database: str, sql: str) -> list[Any]:
    import asyncpg

    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def marked(folder: str) -> list[int]:
    """Returns the processes of this soak that are alive, by their environment."""
    pids = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={folder}\0".encode() in (place / "environ").read_bytes():
                pids.append(int(place.name))
    return pids


def _command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _memory(pids: Iterable[int], kind: str) -> float:
    """Returns the memory of processes in MiB: `Rss`; `Pss`, which counts shared pages once; `Pss_Shmem`, of those what has no file."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(f"{kind}:"):
                    total += int(line.split()[1])
    return round(total / 1024, 1)


def _open_files(pids: Iterable[int]) -> int:
    count = 0
    for pid in pids:
        with suppress(OSError):
            count += len(os.listdir(f"/proc/{pid}/fd"))
    return count


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _name(number: int) -> str:
    return f"soak-{number:04d}"


def _iterations(number: int) -> int:
    """Returns the iterations of each trial of a sweep; few where they are generated for real."""
    return 20 if number % REAL_EVERY else 6


def _keep(rows: Path | None, record: dict[str, Any]) -> None:
    if rows:
        with rows.open("a") as file:
            file.write(f"{json.dumps(record)}\n")


def report(rows: list[dict[str, Any]], end: dict[str, Any] | None) -> None:
    names = sorted(rows[-1]["memory"], reverse=True)
    print(f"| sweeps | minutes | {' | '.join(names)} | database | home | temporary | store | open files | children | unfinished |")
    print("|---" * (len(names) + 9) + "|")
    for row in rows:
        memory = " | ".join(f"{row['memory'].get(name, 0):,.0f}" for name in names)
        sizes = " | ".join(f"{row[name]:,.1f}" for name in ("database", "home", "temporary", "runs"))
        files, children = (" ".join(str(row[kind].get(name, "")) for name in names) for kind in ("files", "children"))
        print(f"| {row['sweeps']} | {row['seconds'] / 60:.1f} | {memory} | {sizes} | {files} | {children} | {row['unfinished']} |")
    print("\nMemory (of PostgreSQL the sum of its processes, shared pages once) and sizes in MiB; open files and children in that order.\n")
    half = [row for row in rows if row["sweeps"] > 0 and row["sweeps"] >= rows[-1]["sweeps"] / 2]
    if len(half) > 2:
        print("| second half | grows by, in 100 sweeps |")
        print("|---|---|")
        for name in names:
            print(f"| memory, {name} | {_slope(half, [row['memory'][name] for row in half]):+.1f} MiB |")
            if name in half[-1]["files"]:
                print(f"| open files, {name} | {_slope(half, [row['files'][name] for row in half]):+.1f} |")
        for name in ("database", "home", "temporary"):
            print(f"| {name} | {_slope(half, [row[name] for row in half]):+.2f} MiB |")
    if end:
        print("\nflow runs: " + ", ".join(f"{count:,} {state.lower()}" for state, count in end["flow_runs"].items()))
        print("largest tables, MiB: " + ", ".join(f"{name} {size:,.1f}" for name, size in end["tables"].items()))
        print(f"temporary files left: {', '.join(end['temporary_files_left']) or 'none'}")
        print(f"`dreamsweep query`: {end['counts']}")
        print(f"{rows[-1]['sweeps']} sweeps of {end['sweeps_wanted']}, {rows[-1]['seconds'] / 60:.0f} minutes; {end['machine']}\n")
        print("\n".join(end["mistakes"]) or "nothing lost, made twice or left over")


def _slope(rows: list[dict[str, Any]], values: list[float]) -> float:
    """Returns how much a value grows in 100 sweeps, by least squares."""
    return float(np.polyfit([row["sweeps"] for row in rows], values, 1)[0] * 100)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--trials", type=int, default=50, help=f"of a sweep, a multiple of {len(PROMPTS)} (50)")
    parser.add_argument("--minutes", type=float, default=600, help="after which no further sweep begins (600)")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a made-up machine takes for a shard (1)")
    parser.add_argument("--heartbeats", type=int, default=5, help="that a shard's flow run sends (5)")
    parser.add_argument("--crash", type=float, default=0.05, help="share of the shards' flow runs that crash (0.05)")
    parser.add_argument("--database", help="of the server; a PostgreSQL of its own without")
    parser.add_argument("--rows", type=Path, help="file to which what is measured is appended, one JSON object a line")
    parser.add_argument("--read", type=Path, help="such a file: prints its tables, and runs nothing")
    parser.add_argument("--parent", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trials % len(PROMPTS):
        parser.error(f"--trials {options.trials}: write a multiple of {len(PROMPTS)}, the number of prompts")
    return options


if __name__ == "__main__":
    main()

"""Faults on purpose for minutes or hours: is anything lost, doubled, torn, or other than an undisturbed run leaves?

    python benchmarks/chaos.py                                   # ten minutes of every scenario in turn
    python benchmarks/chaos.py --minutes 240 --seed 7
    python benchmarks/chaos.py --scenarios prefect --minutes 60  # Prefect's server, workers and flow runs are killed
    python benchmarks/chaos.py --scenarios outage --outage 90    # real pauses, no hurry
    python benchmarks/chaos.py --scenarios outage --outage 60 --scale 60    # an hour, with every wait a sixtieth

Sweeps of three shards with weights of a few kilobytes, in a folder and on moto's S3 server behind a proxy of faults (tests/s3_faults.py).
A killed run is started again until it comes to its end, and its store is then compared bit for bit with an undisturbed one. Exit code 1
if anything differs.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dreamsweep.store import Store, open_store  # noqa: E402
from tests.chaos.harness import SWEEP, Runs, differences, runs, undisturbed  # noqa: E402
from tests.chaos.night import PARTS, night  # noqa: E402
from tests.conftest import SETTINGS, moto_server  # noqa: E402
from tests.s3_faults import CONDITIONS, Fault, FaultProxy, fault_proxy  # noqa: E402
from tests.tiny_weights import write_tiny_weights  # noqa: E402

MIXED: tuple[Fault, ...] = ("busy", "reset", "truncated", "flipped", "delayed", "lost")
SCENARIOS = ["kills", "clock", "pair", "turns", "s3", "prefect", "outage"]
LONG = {**SWEEP, "iterations": 200, "snapshot_every": 100}
"""Sweep of a night, of some seconds a shard."""
KILLS, NIGHT_SECONDS = 4, 3_600.0
"""Processes that are killed in a night, fewer than would have `up` give one of them up, and how long the sweep may take."""
SHARE = 0.2
"""Share of requests that meet a fault."""
TRIES = 8
"""Runs after the last kill until a sweep must be complete."""


class Chaos:
    """Counts what was done, and what came of it."""

    def __init__(self, some: Runs, calm: Store, folder: Path, server: str, options: argparse.Namespace) -> None:
        self.runs, self.calm, self.folder, self.server = some, calm, folder, server
        self.calm_night = undisturbed(some, folder / "calm-night", LONG) if "prefect" in options.scenarios else calm
        self.draw, self.outage, self.scale = random.Random(options.seed), options.outage, options.scale
        self.counts = Counter[str]()
        self.faulty: list[str] = []
        self.number = 0

    def sweep(self, scenario: Callable[[str], None], uri: str) -> None:
        """Lets a scenario disturb a sweep, brings it to its end, and compares what it left."""
        self.number += 1
        name = scenario.__name__.strip("_")
        scenario(uri)
        self.counts[f"{name}: sweeps"] += 1
        lines = differences(open_store(uri), self.calm_night if name == "prefect" else self.calm)
        if lines:
            self.faulty += [f"{name}, {uri}: {line}" for line in lines]

    def finish(self, uri: str, **request: Any) -> None:
        codes = []
        for _ in range(TRIES):
            codes.append(self.runs.run(uri, **request))
            if codes[-1] == 0:
                self.counts["runs after the last kill"] += len(codes)
                return
        self.faulty.append(f"{uri}: not complete after {TRIES} runs, exit codes {codes}")

    def kill_some(self, uri: str, longest: float, **request: Any) -> None:
        for _ in range(self.draw.randint(4, 12)):
            alive = self.runs.kill(self.runs.start(uri, **request), after=self.draw.uniform(0.02, longest))
            self.counts["kills of a living run" if alive else "kills that came too late"] += 1

    def kills(self, uri: str) -> None:
        """A run in a folder, killed again and again."""
        self.kill_some(uri, longest=2.0, summary=True)
        self.finish(uri, summary=True)

    def clock(self, uri: str) -> None:
        """A run whose clock jumps, killed again and again."""
        self.kill_some(uri, longest=2.0, clock=self.draw.randrange(1 << 30))
        self.finish(uri, clock=self.draw.randrange(1 << 30))

    def pair(self, uri: str) -> None:
        """Two runs of one sweep at once, of which one is killed."""
        both = [self.runs.start(uri) for _ in range(2)]
        self.counts["kills of a living run"] += self.runs.kill(both[0], after=self.draw.uniform(0.05, 2.0))
        self.counts["exit code of the other one: " + str(self.runs.wait(both[1]))] += 1
        self.finish(uri)

    def turns(self, uri: str) -> None:
        """The same on an S3 server that ignores conditional writes."""
        with fault_proxy(self.server) as (address, proxy):
            proxy.ignored = CONDITIONS
            environment = {"AWS_ENDPOINT_URL": address, "DREAMSWEEP_STORE_SECONDS": "60"}
            both = [self.runs.start(uri, hurried=True, environment=environment) for _ in range(2)]
            self.counts["kills of a living run"] += self.runs.kill(both[0], after=self.draw.uniform(0.05, 3.0))
            self.counts["exit code of the other one: " + str(self.runs.wait(both[1]))] += 1
            self.finish(uri, hurried=True, environment=environment)
            self.counts["leases on manifests"] += sum(method == "PUT" and ".lease-" in path for method, path in proxy.requests)

    def s3(self, uri: str) -> None:
        """A run on S3 of whose requests one in five fails, killed again and again."""
        with fault_proxy(self.server) as (address, proxy):
            draw = random.Random(self.draw.random())
            proxy.choose = lambda method, path: draw.choice(MIXED) if len(proxy.requests) > 2 and draw.random() < SHARE else None
            environment = {"AWS_ENDPOINT_URL": address, "DREAMSWEEP_STORE_SECONDS": "60"}
            self.kill_some(uri, longest=3.0, hurried=True, environment=environment)
            self.finish(uri, hurried=True, environment=environment)
            self._count(proxy)

    def away(self, uri: str) -> None:
        """A run on S3 whose server is away for a while, with the pauses that people have."""
        with fault_proxy(self.server) as (address, proxy):
            begin = self.draw.randint(5, 60)
            back = threading.Event()
            proxy.choose = lambda method, path: "away" if len(proxy.requests) > begin and not back.is_set() else None
            waits = {"DREAMSWEEP_RETRY_SECONDS": 5 / self.scale, "DREAMSWEEP_STORE_SECONDS": 300 / self.scale}
            environment = {"AWS_ENDPOINT_URL": address, **{name: str(seconds) for name, seconds in waits.items()}}
            pid = self.runs.start(uri, environment=environment)
            while not proxy.met["away"]:
                time.sleep(0.05)
            time.sleep(self.outage)
            back.set()
            code = self.runs.wait(pid)
            self.counts[f"outages of {self.outage * self.scale:g} s (in {self.outage:g} s), exit code {code}"] += 1
            if code:
                self.faulty.append(f"{uri}: an outage of {self.outage:g} s ended the run with exit code {code}")
            self._count(proxy)

    def prefect(self, uri: str) -> None:
        """A night of `dreamsweep up` whose server, workers and flow runs are killed."""
        folder = self.folder / f"home-{self.number}"
        folder.mkdir()
        with night(folder, DREAMSWEEP_CHECKPOINT_SECONDS="1") as up:
            up.wait_until_ready()
            up.start_sweep(LONG, uri)
            end, left = time.monotonic() + NIGHT_SECONDS, KILLS
            while (state := up.state()) not in ("COMPLETED", "FAILED", "CANCELLED") and time.monotonic() < end and up.is_alive():
                time.sleep(self.draw.uniform(3, 20))
                part = self.draw.choice(list(PARTS))
                if left and up.kill(part, self.draw):
                    left -= 1
                    self.counts[f"kills of a {part}"] += 1
            self.counts[f"nights that ended as {state.lower() or 'unknown'}"] += 1
            if state != "COMPLETED":
                self.faulty.append(f"{uri}: the sweep's flow run is {state or 'unknown'}; {up.log}: {up.log.read_text()[-2000:]}")

    def _count(self, proxy: FaultProxy) -> None:
        self.counts["S3 requests"] += len(proxy.requests)
        self.counts.update({f"S3 faults, {fault}": count for fault, count in proxy.met.items()})


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="dreamsweep-chaos-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        (folder / "weights").mkdir()
        write_tiny_weights(folder / "weights")
        os.environ.update({**SETTINGS, "AWS_EC2_METADATA_DISABLED": "true", "DREAMSWEEP_STARTER_WEIGHTS": str(folder / "weights")})
        with moto_server(no_auth_actions=1_000_000_000) as server, runs(folder / "errors.txt") as some:
            os.environ["AWS_ENDPOINT_URL"] = server
            _make_bucket()
            chaos = Chaos(some, undisturbed(some, folder / "calm"), folder, server, options)
            _go_on(chaos, options)
        print(f"\n{options.minutes:g} min, seed {options.seed}")
        for name, count in sorted(chaos.counts.items()):
            print(f"{count:8,}  {name}")
        print("\n".join(chaos.faulty) or "nothing lost, doubled, torn or other")
        sys.exit(bool(chaos.faulty))


def _go_on(chaos: Chaos, options: argparse.Namespace) -> None:
    scenarios = {
        "kills": (chaos.kills, False),
        "clock": (chaos.clock, False),
        "pair": (chaos.pair, False),
        "turns": (chaos.turns, True),
        "s3": (chaos.s3, True),
        "prefect": (chaos.prefect, False),
        "outage": (chaos.away, True),
    }
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        for name in options.scenarios:
            disturb, on_s3 = scenarios[name]
            number = chaos.number
            chaos.sweep(disturb, f"s3://chaos/{number}" if on_s3 else str(chaos.folder / f"{number}"))
            print(".", end="", flush=True)


def _make_bucket() -> None:
    import boto3

    boto3.Session().client("s3").create_bucket(Bucket="chaos")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS, choices=SCENARIOS)
    parser.add_argument("--outage", type=float, default=90, help="seconds of an outage")
    parser.add_argument("--scale", type=float, default=1, help="how many times as fast all waits are: an hour passes in 60 s with 60")
    return parser.parse_args()


if __name__ == "__main__":
    main()

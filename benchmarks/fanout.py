"""What fanning a sweep out costs: the parent's CPU, the server's, and its requests, by shard; and whether any is lost or made twice.

    python benchmarks/fanout.py                                  # 1,000 shards, a tenth of whose flow runs crash; SQLite, window 8
    python benchmarks/fanout.py --window 200 --database postgresql+asyncpg://user:password@localhost/prefect

The flow, the API and its database are real, and so are the automations that look for silent flow runs; the machines are not: their flow
runs tell of progress, send the heartbeats of a shard of twenty minutes, sleep, and stage a made-up shard of one trial. Each of the three is
a process of its own, so that each one's CPU can be told. Nothing is left behind but what the database is told to keep.
"""

import argparse
import collections
import heapq
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dreamsweep.flows.local_server import QUIET, free_port, wait_for_api  # noqa: E402

POOL, DEPLOYMENT, SWEEP = "benchmark", "shard/benchmark", "benchmark"
LAST_TRY = 3
"""A shard's third flow run crashes no more: one that did would rightly be given up, and be lost."""
PART = "x-benchmark-part"
"""The header by which the server tells the parent's requests from the machines'."""


def main() -> None:
    options = _options()
    if options.serve:
        serve(options.serve)
    elif options.parent:
        parent(options)
    else:
        benchmark(options)


def benchmark(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="dreamsweep-benchmark-", ignore_cleanup_errors=True) as folder:
        with prefect_server(folder, options.database) as (server, environment):
            measured = run(options, folder, environment)
        _, _, used = os.wait4(server.pid, 0)
        counts = json.loads(Path(folder, "requests.json").read_text())
    report(options, measured, counts, used.ru_utime + used.ru_stime)


@contextmanager
def prefect_server(folder: str, database: str | None) -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, str]]]:
    """Starts Prefect's server with its home in the folder; gives its process and the environment of its clients, which is this
    process's from now on. At the end it is told to stop, and is to be waited for."""
    port = free_port()
    environment = {**os.environ, **QUIET, "PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": folder}
    if database:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    os.environ.update(environment)
    log = Path(folder, "server.log")
    with log.open("wb") as output:
        server = subprocess.Popen([*_this(), "--serve", str(port)], env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output)
    assert server.stdin is not None
    try:
        wait_for_api(f"http://127.0.0.1:{port}/api/health", server, log)
        yield server, environment
    finally:
        server.stdin.close()


def deploy() -> None:
    """Registers our automations, and a deployment of the shard flow whose machines are made up."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    from dreamsweep.flows.automations import TAG, automations
    from dreamsweep.flows.shard import shard

    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        for automation in automations():
            client.create_automation(automation)
    deployed: Any = shard.from_source(source=str(ROOT), entrypoint="flows/shard.py:shard")
    deployed.to_deployment(name=DEPLOYMENT.partition("/")[2], work_pool_name=POOL, tags=[TAG]).apply()


def run(options: argparse.Namespace, folder: str, environment: dict[str, str]) -> dict[str, Any]:
    """The sweep, from its first shard to its manifest; what its parent and its machines tell."""
    from dreamsweep.results.manifest import read_manifest
    from dreamsweep.store import open_store

    deploy()
    store = open_store(f"{folder}/runs")
    command = [*_this(), "--parent", f"{folder}/runs", "--shards", str(options.shards), "--window", str(options.window)]
    headers = {"PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({PART: "parent"})}
    with Machines(store, options.seconds, options.heartbeats, options.crash) as machines:
        answer = subprocess.run(command, env={**environment, **headers}, stdout=subprocess.PIPE, text=True, check=True)
    manifest = read_manifest(store, SWEEP)
    assert manifest is not None
    assert manifest.trials == manifest.done == options.shards, manifest
    assert not machines.twice(), machines.twice()
    assert len(machines.staged) == options.shards, len(machines.staged)
    record: dict[str, Any] = json.loads(answer.stdout.strip().splitlines()[-1])
    return {**record, "flow_runs": machines.started, "crashed": machines.crashed}


class Machines:
    """As many as there are flow runs: each sleeps and stages its shard, or crashes, before it staged or just after."""

    def __init__(self, store: Any, seconds: float, heartbeats: int, crash: float) -> None:
        self.store, self.seconds, self.heartbeats, self.crash = store, seconds, heartbeats, crash
        self.draw = random.Random(0)
        self.staged, self.tries = collections.Counter[str](), collections.Counter[str]()
        self.started = self.crashed = 0
        self.over = False
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        self.thread.join()

    def twice(self) -> list[str]:
        """Returns the shards that were made more than once."""
        return [shard for shard, times in self.staged.items() if times > 1]

    def work(self) -> None:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
        from prefect.client.schemas.objects import StateType
        from prefect.client.schemas.sorting import FlowRunSort
        from prefect.states import Completed, Crashed, Running

        waiting = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
        running: list[tuple[float, str, Any]] = []
        with get_client(sync_client=True) as client:
            while not self.over:
                for flow_run in client.read_flow_runs(flow_run_filter=waiting, sort=FlowRunSort.ID_DESC, limit=200):
                    if flow_run.parameters.get("request", {}).get("shard_id"):
                        client.set_flow_run_state(flow_run.id, Running(), force=True)
                        self.begin(flow_run)
                        self.started += 1
                        heapq.heappush(running, (time.monotonic() + self.seconds, str(flow_run.id), flow_run))
                while running and running[0][0] <= time.monotonic():
                    flow_run = heapq.heappop(running)[2]
                    fate = self.draw.random() if self.tries[flow_run.parameters["request"]["shard_id"]] < LAST_TRY else 1.0
                    if fate > self.crash / 2:
                        self.make(flow_run.parameters["request"])
                    crashes = fate < self.crash
                    self.crashed += crashes
                    client.set_flow_run_state(flow_run.id, Crashed(message="lost") if crashes else Completed(), force=True)
                time.sleep(0.2)

    def begin(self, flow_run: Any) -> None:
        """Tells the store of progress, and the server of life, as often as a real shard would before it is made."""
        from prefect.events import emit_event

        from dreamsweep.flows.automations import HEARD, TAG
        from dreamsweep.results.handoff import Progress, write_progress

        request = flow_run.parameters["request"]
        self.tries[request["shard_id"]] += 1
        write_progress(self.store, request["sweep"], Progress(request["shard_id"], "dalle", 1, 20, 1, None, 1.0))
        tag = {"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"}
        for _ in range(self.heartbeats):
            resource = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": flow_run.name}
            emit_event(HEARD, resource=resource, related=[tag])

    def make(self, request: dict[str, str]) -> None:
        from dreamsweep.results.handoff import read_shard
        from tests.dreamsweep.sample_sweep import stage_sample

        self.staged[request["shard_id"]] += 1
        stage_sample(self.store, read_shard(self.store, request["sweep"], request["shard_id"]))


def parent(options: argparse.Namespace) -> None:
    """The real flow, in a process of its own."""
    from dreamsweep.flows.fanout import Compute
    from dreamsweep.flows.sweep import SweepRequest, sweep
    from dreamsweep.planning.sweep_file import parse_sweep

    content = {
        "name": SWEEP, "prompts": ["a red heart"], "engines": ["dalle"], "iterations": 20, "snapshot_every": 0, "shard_size": 1,
        "seeds": {"count": options.shards},
    }  # fmt: skip
    compute = Compute(deployment=DEPLOYMENT, window=options.window, poll_seconds=2)
    begun, before = time.monotonic(), _cpu()
    sweep(SweepRequest(sweep=parse_sweep(content, ROOT, "benchmark"), store=options.parent, compute=compute))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    record = {"seconds": time.monotonic() - begun, "cpu": _cpu() - before, "peak_mib": peak}
    sys.stdout.write(json.dumps(record) + "\n")


def serve(port: int) -> None:
    """Prefect's API until standard input closes; the number of requests, by whom and what, goes into PREFECT_HOME."""
    import uvicorn
    from prefect.server.api.server import create_app

    counts = collections.Counter[str]()
    app = create_app(ephemeral=False, final=True)

    async def counted(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] == "http":
            who = dict(scope["headers"]).get(PART.encode(), b"machines").decode()
            counts[who] += 1
        await app(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(counted, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=3))

    def until_closed() -> None:
        sys.stdin.buffer.read()
        Path(os.environ["PREFECT_HOME"], "requests.json").write_text(json.dumps(counts))
        server.should_exit = True
        time.sleep(5)
        os._exit(0)

    threading.Thread(target=until_closed, daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.run()


def report(options: argparse.Namespace, measured: dict[str, Any], counts: dict[str, int], server_cpu: float) -> None:
    shards, database = options.shards, "PostgreSQL" if options.database else "SQLite"
    print("| shards | window | database | flow runs | crashed | lost | twice | minutes |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {shards:,} | {options.window} | {database} | {measured['flow_runs']:,} | {measured['crashed']:,} | 0 | 0 "
        f"| {measured['seconds'] / 60:.1f} |"
    )
    print("\n| a shard costs | CPU, s | requests |")
    print("|---|---|---|")
    print(f"| the parent | {measured['cpu'] / shards:.3f} | {counts.get('parent', 0) / shards:.1f} |")
    print(f"| made-up machines | | {counts.get('machines', 0) / shards:.1f} |")
    print(f"| the server, for both | {server_cpu / shards:.3f} | {sum(counts.values()) / shards:.1f} |")
    print(
        f"\nparent's peak memory {measured['peak_mib']:,.0f} MiB; {os.cpu_count()} cores, {platform.system()}; Python "
        f"{platform.python_version()}, Prefect {version('prefect')}; {datetime.now(UTC):%Y-%m-%d}"
    )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _this() -> list[str]:
    return [sys.executable, str(Path(__file__).resolve())]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--window", type=int, default=8, help="flow runs alive at once (8)")
    parser.add_argument("--seconds", type=float, default=1.0, help="that a made-up machine takes for a shard (1)")
    parser.add_argument("--heartbeats", type=int, default=20, help="that a flow run sends: one for each minute of a real shard (20)")
    parser.add_argument("--crash", type=float, default=0.1, help="share of flow runs that crash, half of them after they staged (0.1)")
    parser.add_argument("--database", help="of the server; its own SQLite file without")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

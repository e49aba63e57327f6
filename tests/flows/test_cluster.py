"""A sweep by two workers of a real Dask and a real Ray cluster leaves what it leaves when it is made here."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dreamsweep.compute.threads import usable_cpus
from dreamsweep.errors import ClusterError
from dreamsweep.flows.cluster import Cluster, _runner, local_workers, make_on_cluster
from dreamsweep.flows.sweep import SweepRequest, sweep
from dreamsweep.planning.sweep_file import parse_sweep
from dreamsweep.report.query import query
from dreamsweep.store import open_store

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server", "tiny_weights")]


def request(store: str, cluster: Cluster | None) -> SweepRequest:
    content = {
        "name": "t", "prompts": ["a red heart", "a green apple", "a rocket"], "iterations": 3, "snapshot_every": 0, "shard_size": 1,
        "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}],
    }  # fmt: skip
    return SweepRequest(sweep=parse_sweep(content, Path(), "test"), store=store, device="cpu", compute=cluster)


def judged(store: str) -> list[dict[str, Any]]:
    statement = "SELECT trial_id, picture, judge, version, score FROM judgements ORDER BY ALL"
    rows: list[dict[str, Any]] = query(open_store(store), statement, "t").to_pylist()
    return rows


@contextmanager
def dask() -> Iterator[Cluster]:
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as dask_cluster:
        yield Cluster(cluster="dask", address=dask_cluster.scheduler_address)


@contextmanager
def ray() -> Iterator[Cluster]:
    """Without an address: it starts workers on this machine, one a core."""
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield Cluster(cluster="ray")


def test_a_worker_of_this_machine_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect_dask = pytest.importorskip("prefect_dask", reason="the extra 'dask' is not installed")
    runner, _ = _runner(Cluster(cluster="dask"), "cpu")
    assert isinstance(runner, prefect_dask.DaskTaskRunner)
    assert runner.cluster_kwargs == {
        "n_workers": usable_cpus(),
        "threads_per_worker": 1,
    }
    monkeypatch.setattr("dreamsweep.compute.devices.resolve_device", lambda device: "cuda")
    assert local_workers("auto") == {"n_workers": 1, "threads_per_worker": 1}
    elsewhere, _ = _runner(Cluster(cluster="dask", address="tcp://127.0.0.1:9"), "cpu")
    assert isinstance(elsewhere, prefect_dask.DaskTaskRunner)
    assert elsewhere.address == "tcp://127.0.0.1:9" and not elsewhere.cluster_kwargs


@pytest.mark.filterwarnings("ignore")  # both libraries' own
@pytest.mark.parametrize("started", [dask, ray])
def test_two_workers_make_what_this_process_would(tmp_path: Path, started: object) -> None:
    local = sweep(request(str(tmp_path / "here"), None))
    with started() as cluster:  # type: ignore[operator]
        remote = sweep(request(str(tmp_path / "there"), cluster))
    assert remote == local and local.done == 3
    judged_here, judged_there = (judged(str(tmp_path / where)) for where in ("here", "there"))
    assert judged_here == judged_there and len(judged_here) == 3  # each shard had its pictures judged where it was made


def test_a_cluster_without_its_extra_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    assert list(make_on_cluster([], "runs", "cpu", Cluster(cluster="ray"))) == []
    with pytest.raises(ClusterError, match=r"compute 'ray' needs an extra that is not installed: pip install 'dreamsweep\[ray\]'"):
        list(make_on_cluster(["a shard"], "runs", "cpu", Cluster(cluster="ray")))  # type: ignore[list-item]


@pytest.mark.filterwarnings("ignore")  # Dask's own
def test_a_cluster_that_is_not_there_is_one_sentence() -> None:
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(ClusterError, match="no such cluster answers"):
        list(make_on_cluster(["a shard"], "runs", "cpu", Cluster(cluster="dask", address="tcp://127.0.0.1:9")))  # type: ignore[list-item]

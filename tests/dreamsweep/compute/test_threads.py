"""How many threads torch computes with, from files as a kernel writes them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dreamsweep.compute import threads
from dreamsweep.compute.threads import GIVEN, cgroup_cpus, choose_threads, set_threads, usable_cpus
from dreamsweep.environment import SHARDS_AT_ONCE
from dreamsweep.errors import UserError


def kernel(root: Path, cgroup: str, **files: str) -> Path:
    """Writes /proc/self/cgroup, and files under /sys/fs/cgroup by their path with `__` for `/`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("cpu_max", "cpu.max").replace("cpu_cfs", "cpu.cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_cgroups_there_is_no_limit(tmp_path: Path) -> None:
    assert cgroup_cpus(tmp_path) is None
    assert cgroup_cpus(kernel(tmp_path, "0::/\n", cpu_max="max 100000\n")) is None


def test_a_container_sees_its_limit_at_the_root(tmp_path: Path) -> None:
    assert cgroup_cpus(kernel(tmp_path, "0::/\n", cpu_max="150000 100000\n")) == 1.5


def test_the_tightest_group_around_the_process_counts(tmp_path: Path) -> None:
    files = {"cpu_max": "max 100000", "work.slice__cpu_max": "200000 100000", "work.slice__night.service__cpu_max": "max 100000"}
    assert cgroup_cpus(kernel(tmp_path, "0::/work.slice/night.service\n", **files)) == 2
    assert cgroup_cpus(kernel(tmp_path / "other", "0::/other.slice\n", **files)) is None


def test_version_1_and_its_container_whose_path_is_the_machine_s(tmp_path: Path) -> None:
    files = {"cpu,cpuacct__cpu_cfs_quota_us": "50000\n", "cpu,cpuacct__cpu_cfs_period_us": "100000\n"}
    assert cgroup_cpus(kernel(tmp_path, "5:memory:/x\n4:cpu,cpuacct:/docker/0123\n0::/\n", **files)) == 0.5
    unlimited = {"cpu__cpu_cfs_quota_us": "-1\n", "cpu__cpu_cfs_period_us": "100000\n"}
    assert cgroup_cpus(kernel(tmp_path / "unlimited", "4:cpu,cpuacct:/\n", **unlimited)) is None


def test_a_mixed_machine_and_a_namespace_seen_from_outside(tmp_path: Path) -> None:
    assert cgroup_cpus(kernel(tmp_path, "4:cpuset:/\n0::/../a\n", unified__cpu_max="300000 100000", a__cpu_max="100000 100000")) == 3


@pytest.mark.parametrize("text", ["", "nonsense\n", "1 2 3\n", "100000 0\n"])
def test_what_no_kernel_writes_is_no_limit(text: str, tmp_path: Path) -> None:
    assert cgroup_cpus(kernel(tmp_path, "no colons\n0::/\n", cpu_max=text)) is None


@pytest.mark.parametrize(
    ("own", "quota", "shards", "number"),
    [(2, None, 1, 2), (8, 1.5, 1, 1), (8, 3.9, 1, 3), (8, 0.5, 1, 1), (8, 64.0, 1, 8), (8, None, 4, 2), (8, 6.0, 4, 1), (2, None, 8, 1)],
)
def test_a_whole_number_of_cpus_shared_among_shards(own: int, quota: float | None, shards: int, number: int) -> None:
    assert choose_threads(own, quota, shards) == number


def test_workers_of_this_machine_keep_to_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "allowed_cpus", lambda: 8)
    for quota, number in ((None, 8), (2.5, 2), (0.2, 1)):
        monkeypatch.setattr(threads, "cgroup_cpus", lambda quota=quota: quota)
        assert usable_cpus() == number


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process that has not decided yet, on a machine of eight CPUs."""
    for variable in (*GIVEN, SHARDS_AT_ONCE):
        monkeypatch.delenv(variable, raising=False)
    number = [8]
    monkeypatch.setattr(torch, "get_num_threads", lambda: number[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda value: number.__setitem__(0, value))
    monkeypatch.setattr(threads, "allowed_cpus", lambda: 8)
    monkeypatch.setattr(threads, "cgroup_cpus", lambda: 6.5)
    set_threads.cache_clear()
    yield monkeypatch
    set_threads.cache_clear()


def test_the_number_is_set_once_and_says_why(fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv(SHARDS_AT_ONCE, "2")
    assert (set_threads().number, set_threads().reason) == (3, "8 CPUs, a cgroup's limit of 6.5, 2 shards at once")
    assert torch.get_num_threads() == 3
    fresh.setenv(SHARDS_AT_ONCE, "1")
    assert set_threads().number == 3


@pytest.mark.parametrize("variable", GIVEN)
def test_what_the_environment_says_is_left_alone(variable: str, fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv(variable, "8")
    fresh.setenv(SHARDS_AT_ONCE, "4")
    assert (set_threads().number, set_threads().reason) == (8, f"{variable}=8")
    assert torch.get_num_threads() == 8


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_shards_is_refused(text: str, fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv(SHARDS_AT_ONCE, text)
    with pytest.raises(UserError, match=f"^{SHARDS_AT_ONCE}: '{text}' is no count; write a whole number from 1 on, or unset it.$"):
        set_threads()


@pytest.mark.parametrize(
    ("given", "share", "policy"),
    [
        ({}, 0.6, "PASSIVE"),
        ({}, 0.4, "None"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, 0.6, "ACTIVE"),
        ({"GOMP_SPINCOUNT": "5"}, 0.6, "None"),
    ],
)
def test_waiting_threads_sleep_on_a_busy_machine_unless_the_environment_says_otherwise(
    given: dict[str, str], share: float, policy: str
) -> None:
    rest = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")}
    code = (
        f"import os; os.getloadavg = lambda: ({share} * os.cpu_count(), 0, 0)\n"
        "import sys, dreamsweep; print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], env={**rest, **given}, capture_output=True, text=True, check=True).stdout
    assert said.split() == [policy, "False"]

"""Real S3 servers, for the tests that need one: moto's, as a process of its own, and s3rver for what every store keeps to.

moto's comes from the package index like everything else, keeps S3's rules for multipart uploads, listing and ranges, checks signatures and
users' rights once told to, and is read by DuckDB.
"""

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""The tests' tensors are tiny: on a busy machine a second thread waits more than it works. Commands that tests start inherit it."""
os.environ.setdefault("DREAMSWEEP_STORE_SECONDS", "0")
"""No test waits for an outage to end, unless it asks for it."""
os.environ["DREAMSWEEP_WEIGHTS"] = str(Path(tempfile.gettempdir()) / f"no-weights-of-tests-{os.getpid()}")
"""A cache folder that does not exist: no test reads or writes the user's own. Tests that need one set it themselves."""

os.fsync = lambda fd: None
"""No store of a test has to outlive a power failure, and a disk that several tests write to takes ten milliseconds for each file."""

ROOT = Path(__file__).parents[1]
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much]}
settings.register_profile("quick", derandomize=True, database=None, **UNHURRIED)  # type: ignore[arg-type]
settings.register_profile("few", max_examples=10, derandomize=True, database=None, **UNHURRIED)  # type: ignore[arg-type]
settings.register_profile("long", max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "30000")), **UNHURRIED)  # type: ignore[arg-type]
settings.load_profile("quick")
"""Property tests try the same 100 examples each time, on a busy machine too, and ten where an interpreter is tested (`make test-core`).
Searching is for `--hypothesis-profile=long`: 30,000 others each, or $HYPOTHESIS_EXAMPLES."""

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-must-not-be-told",
    "AWS_DEFAULT_REGION": "us-east-1",
}
NOWHERE = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
_buckets = count()
OWN = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name == "DREAMSWEEP_TEST_S3"}
"""A bucket of a server that someone wants to try, and how it is reached."""


@dataclass(frozen=True)
class StrictServer:
    """A server that checks every signature: its users, and the bucket that they share."""

    address: str
    bucket: str
    writer: tuple[str, str]
    """Access key and secret of one who may do everything."""
    reader: tuple[str, str]
    """Of one who may list and get only."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How several processes share the tests (`pytest -n 2`)."""
    return _ByFile(config, log)


LONGEST = ("tests/docker/", "tests/flows/", "tests/plugins/")
"""Folders whose files begin first."""
TOGETHER = {
    **dict.fromkeys(("events", "run_form", "services"), "the full Prefect server"),
    **dict.fromkeys(("cluster", "command", "deploy", "deployment", "outage", "shard", "sweep"), "Prefect's test harness"),
}
"""Files of tests/flows that share a server of `tests/flows/conftest.py`, which then starts in one process of the tests only."""


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """A file's tests stay together, and all that need the Docker engine or the same Prefect server, as what they start is shared."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith("tests/flows/test_"):
            return TOGETHER.get(Path(file).stem.removeprefix("test_"), file)
        return "tests/docker" if file.startswith("tests/docker/") else file


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves tests of published sizes out, unless they are asked for (`-m published`), and lets the longest files begin first.

    Tests of flows wait for servers, several minutes a file; begun last, they would keep one process busy while the others have ended.
    """
    if "published" not in config.getoption("-m"):
        full = [item for item in items if item.get_closest_marker("published")]
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if item not in full]
    items.sort(key=lambda item: next((rank for rank, folder in enumerate(LONGEST) if item.nodeid.startswith(folder)), len(LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keeps Python's garbage collector off what is imported and lives to the end: millions of objects, looked through again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 10, 10)
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips tests of GPUs where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no CUDA device")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server that is open to all: the endpoint's address."""
    with moto_server(no_auth_actions=1_000_000_000) as address:
        yield address


@pytest.fixture(scope="session")
def s3rver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second server, s3rver: the endpoint's address. Skips the test where it is not installed."""
    script, node = ROOT / "tests/s3rver/node_modules/s3rver/bin/s3rver.js", shutil.which("node")
    if node is None or not script.exists():
        pytest.skip("s3rver is not installed: npm ci --prefix tests/s3rver")
    folder, port = tmp_path_factory.mktemp("s3rver"), free_port()
    command = [
        node,
        str(script),
        "--directory",
        str(folder),
        "--address",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-vhost-buckets",
        "--silent",
    ]
    with _listening(command, port, dict(os.environ)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A third server, Ceph's gateway: the endpoint's address. Skips the test where Ceph is not installed."""
    if not all(shutil.which(daemon) for daemon in ("ceph-mon", "ceph-mgr", "ceph-osd", "radosgw")):
        pytest.skip("Ceph is not installed: Debian's packages ceph-mon, ceph-mgr, ceph-osd, radosgw and ceph-common")
    folder, port = tmp_path_factory.mktemp("ceph"), free_port()
    command = ["bash", str(ROOT / "tests/radosgw/start.sh"), str(folder), str(port), "CEPH", "CEPH"]
    try:
        subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield f"http://127.0.0.1:{port}"
    finally:
        for file in folder.glob("run/*.pid"):
            os.kill(int(file.read_text()), signal.SIGTERM)


@pytest.fixture
def radosgw_bucket(radosgw: str, aws_settings: pytest.MonkeyPatch) -> str:
    """A fresh bucket on Ceph's gateway, which the environment points to: its name."""
    return _fresh_bucket(radosgw, {**SETTINGS, "AWS_ACCESS_KEY_ID": "CEPH", "AWS_SECRET_ACCESS_KEY": "CEPH"}, aws_settings)


@pytest.fixture
def s3rver_bucket(s3rver: str, aws_settings: pytest.MonkeyPatch) -> str:
    """A fresh bucket on s3rver, which the environment points to: its name."""
    return _fresh_bucket(s3rver, {**SETTINGS, "AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}, aws_settings)


@pytest.fixture
def own_bucket(aws_settings: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder in the bucket `s3://…` that DREAMSWEEP_TEST_S3 names, reached by AWS_ENDPOINT_URL and keys as usual; emptied afterwards."""
    if "DREAMSWEEP_TEST_S3" not in OWN:
        pytest.skip("DREAMSWEEP_TEST_S3 names no bucket of a server to try")
    from dreamsweep.store import open_store

    for name, value in OWN.items():
        aws_settings.setenv(name, value)
    folder = f"{OWN['DREAMSWEEP_TEST_S3'].removeprefix('s3://').strip('/')}/dreamsweep-test-{uuid4().hex[:8]}"
    yield folder
    left = open_store(f"s3://{folder}")
    for key in [*left.keys("")]:
        left.delete(key)


@pytest.fixture(scope="session")
def strict_s3() -> Iterator[StrictServer]:
    """A server that refuses whom it does not know, with its users."""
    import boto3

    with moto_server(no_auth_actions=7) as address:
        known = {"endpoint_url": address, "region_name": "us-east-1", "aws_access_key_id": "root", "aws_secret_access_key": "root"}
        iam, keys = boto3.client("iam", **known), []
        for user, actions in (("writer", ["s3:*"]), ("reader", ["s3:ListBucket", "s3:GetObject"])):
            rights = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
            iam.create_user(UserName=user)
            iam.put_user_policy(UserName=user, PolicyName="s3", PolicyDocument=json.dumps(rights))
            key = iam.create_access_key(UserName=user)["AccessKey"]
            keys.append((key["AccessKeyId"], key["SecretAccessKey"]))
        boto3.client("s3", **known).create_bucket(Bucket="night")
        yield StrictServer(address, "night", keys[0], keys[1])


@pytest.fixture(scope="session")
def strict_s3_server(strict_s3: StrictServer) -> str:
    """The address of the server that refuses whom it does not know."""
    return strict_s3.address


@pytest.fixture
def aws_settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that tells boto3 nothing, for a test to fill in."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DREAMSWEEP_S3")):
            monkeypatch.delenv(name)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    for endpoints in ("_probed", "_reached"):  # as in a process that has met no server yet
        monkeypatch.setattr(f"dreamsweep.store.s3.{endpoints}", set())
    monkeypatch.setattr("dreamsweep.store.s3._conditional", {})
    return monkeypatch


@pytest.fixture
def s3_bucket(s3_server: str, aws_settings: pytest.MonkeyPatch) -> str:
    """A fresh bucket on the open server, which the environment points to: its name."""
    return _fresh_bucket(s3_server, SETTINGS, aws_settings)


def _fresh_bucket(server: str, settings: dict[str, str], environment: pytest.MonkeyPatch) -> str:
    import boto3

    for key, value in {**settings, "AWS_ENDPOINT_URL": server}.items():
        environment.setenv(key, value)
    bucket = f"bucket-{next(_buckets)}"
    boto3.Session().client("s3").create_bucket(Bucket=bucket)
    return bucket


def free_socket() -> socket.socket:
    """A socket that listens on a free port of the loopback address."""
    return socket.create_server(("127.0.0.1", 0))


def free_port() -> int:
    """A port of the loopback address on which nothing listens now."""
    with free_socket() as free:
        port: int = free.getsockname()[1]
    return port


@contextmanager
def moto_server(no_auth_actions: int) -> Iterator[str]:
    """A server of its own, and its address; that many requests may come before it checks who asks."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    settings = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(no_auth_actions), "PYTHONWARNINGS": "ignore"}
    with _listening(command, port, settings):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _listening(command: list[str], port: int, environment: dict[str, str]) -> Iterator[None]:
    """Runs a server as soon as it listens, and ends it."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail(f"{command[0]} did not listen within 60 s")
        yield
    finally:
        server.terminate()
        server.wait(10)


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a test run have in common (`pytest -n 2`)."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def _tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once for all processes of a test run: their networks take several seconds to make."""
    folder = shared_folder(tmp_path_factory) / "tiny-weights"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            from tests.tiny_weights import write_tiny_weights

            unfinished = tmp_path_factory.mktemp("weights")
            write_tiny_weights(unfinished)
            os.replace(unfinished, folder)
    return folder


@pytest.fixture
def tiny_weights(_tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Random weights of a few kilobytes in place of the starter ones, here and in commands that a test starts."""
    from dreamsweep.compute.pool import POOL

    POOL.clear()
    monkeypatch.setenv("DREAMSWEEP_STARTER_WEIGHTS", str(_tiny_weights))
    yield _tiny_weights
    POOL.clear()

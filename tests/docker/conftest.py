"""What a night runs on, as real processes of this machine: a Docker engine, our image, PostgreSQL, Prefect's server, S3, a worker.

All of it listens on the loopback address only and is gone when the tests are. Where no engine can be had, the tests are skipped.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate

from dreamsweep import __version__
from dreamsweep.generation.run_sweep import run_sweep
from dreamsweep.planning.sweep_file import load_sweep
from dreamsweep.store import Store, open_store
from tests.conftest import NOWHERE, StrictServer

ROOT = Path(__file__).parents[2]
ENGINE = Path(__file__).with_name("engine.sh")
IMAGE = f"dreamsweep:{__version__}-cpu"
LONG = 600
"""Iterations that take a shard twice as long, at least, as it waits for its first checkpoint."""
IN_CONTAINERS = {"OMP_NUM_THREADS": "1", "DREAMSWEEP_CHECKPOINT_SECONDS": "3"}
"""Two shards at once on two cores: more threads than one each would only wait."""
PYTORCH_CPU = "https://download.pytorch.org/whl/cpu/torch/"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Stack:
    """Where everything is, and what a command has to know of it."""

    api: str
    auth: str
    docker_host: str
    folder: Path
    settings: dict[str, str]
    """Environment variables of commands and workers."""
    bucket: str
    started: "list[subprocess.Popen[bytes]]"

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(self.api, auth_string=self.auth)

    def docker(self, *arguments: str, errors: int = subprocess.DEVNULL) -> str:
        """Docker's command line, and what it said; its errors as well where they go to `STDOUT`."""
        environment = {**os.environ, "DOCKER_HOST": self.docker_host}
        command = [_command_line(), *arguments]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, check=True).stdout

    def containers(self, name: str, since: str = "") -> list[dict[str, Any]]:
        """Containers whose name starts so, made since then (see `now`), running or over, as Docker describes them; the oldest first."""
        ids = self.docker("ps", "--all", "--quiet", "--filter", f"name=^/{name}").split()
        containers: list[dict[str, Any]] = json.loads(self.docker("inspect", *ids)) if ids else []
        return sorted(
            (container for container in containers if container["Created"] > since), key=lambda container: str(container["Created"])
        )

    def store(self, prefix: str) -> Store:
        """Only where the environment is set (the fixture `in_stack`)."""
        return open_store(f"s3://{self.bucket}/{prefix}")

    def start(self, *command: str, log: str = "", **settings: str) -> "subprocess.Popen[bytes]":
        """A command in a session of its own; its output goes to a file of the stack's folder."""
        process = _started(command, {**os.environ, **self.settings, **settings}, self.folder / f"{log or command[-1]}.log")
        self.started.append(process)
        return process

    def run(self, *arguments: str, code: int = 0) -> str:
        """`dreamsweep` with these arguments, and what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "dreamsweep", *arguments],
            env={**os.environ, **self.settings},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        logs = "\n".join(path.read_text() for path in self.folder.glob(".local/state/dreamsweep/error-*.log"))
        assert done.returncode == code, f"{arguments}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}\n{logs}"
        return done.stdout + done.stderr

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


@pytest.fixture(scope="session")
def ending() -> "Iterator[list[subprocess.Popen[bytes]]]":
    """What may take its time to end, while tests of other things go on."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    assert [process.wait(600) for process in processes] == [0] * len(processes)


@pytest.fixture(scope="package")
def engine(ending: "list[subprocess.Popen[bytes]]") -> Iterator[str]:
    """A Docker engine: its address, as DOCKER_HOST tells it."""
    if kept := os.environ.get("DREAMSWEEP_TEST_ENGINE"):
        yield f"unix://{kept}/docker.sock"
        return
    for needed in ("dockerd", "mmdebstrap"):
        if shutil.which(needed) is None:
            pytest.skip(f"there is no {needed}; `tests/docker/engine.sh install` installs it")
    if os.geteuid() != 0:
        pytest.skip("a Docker engine of one's own needs root")
    folder = tempfile.mkdtemp(prefix="dreamsweep-engine-")
    started = subprocess.run([ENGINE, "start", folder], capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.skip(f"no Docker engine starts here: {started.stderr[-2000:]}")
    try:
        subprocess.run([ENGINE, "base", folder], check=True)
        yield f"unix://{folder}/docker.sock"
    finally:
        ending.append(subprocess.Popen([ENGINE, "stop", folder]))  # its layers are many files


@pytest.fixture(scope="package")
def build(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Builds the image from `docker/Dockerfile` on a plain Debian, under a name and with further build arguments."""
    wheels = os.environ.get("PIP_FIND_LINKS", "")

    def build(tag: str, **arguments: str) -> None:
        with _served(Path(wheels)) if wheels.startswith("/") else nullcontext(wheels or PYTORCH_CPU) as address:
            uv = tmp_path_factory.mktemp("secrets") / "uv.toml"  # a secret leaves the build's cache as it is, whatever the port
            uv.write_text(f'find-links = ["{address}"]')
            secrets = {"uv": uv, **({"ca": CERTIFICATES} if CERTIFICATES.exists() else {})}
            given = {"BASE": "base:cpu", "VERSION": __version__, "REVISION": "test", **arguments}
            built = subprocess.run(
                [_command_line(), "build", "--network", "host", "--file", "docker/Dockerfile", "--tag", tag]
                + [part for name, path in secrets.items() for part in ("--secret", f"id={name},src={path}")]
                + [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]
                + ["."],
                cwd=ROOT,
                env={**os.environ, "DOCKER_HOST": engine, "DOCKER_BUILDKIT": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
        assert built.returncode == 0, built.stderr[-5000:]

    return build


@pytest.fixture(scope="package")
def image(build: Callable[..., None]) -> str:
    build(IMAGE)
    return IMAGE


@pytest.fixture(scope="package")
def stack(engine: str, image: str, strict_s3: StrictServer) -> Iterator[Stack]:
    """PostgreSQL, Prefect's server upon it with a login, a bucket on a server that checks signatures, and the deployments."""
    folder = Path(tempfile.mkdtemp(prefix="dreamsweep-stack-"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        with postgresql() as database:
            stack = _served_by_prefect(folder, database, engine, strict_s3, started)
            _deploy(stack, image)
            yield stack
            _end(started)
            if containers := stack.docker("ps", "--all", "--quiet").split():
                stack.docker("rm", "--force", *containers)
            stack.docker("volume", "rm", "--force", "dreamsweep-cache")
    finally:
        _end(started)
        shutil.rmtree(folder)


def _served_by_prefect(folder: Path, database: str, engine: str, s3: StrictServer, started: "list[subprocess.Popen[bytes]]") -> Stack:
    """Starts Prefect's server, and waits for it."""
    port, auth = free_port(), "admin:a-password"
    settings = {
        **NOWHERE,
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": auth,
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "AWS_ENDPOINT_URL": s3.address,
        "AWS_ACCESS_KEY_ID": s3.writer[0],
        "AWS_SECRET_ACCESS_KEY": s3.writer[1],
        "AWS_DEFAULT_REGION": "us-east-1",
        "DOCKER_HOST": engine,
        "DO_NOT_TRACK": "1",
        "HOME": str(folder),
        "COLUMNS": "200",
        "PYTHONPATH": str(ROOT),
    }
    stack = Stack(settings["PREFECT_API_URL"], auth, engine, folder, settings, s3.bucket, started)
    stack.start(
        *(sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)),
        log="server",
        PREFECT_API_URL="",
        PREFECT_SERVER_API_AUTH_STRING=auth,
        PREFECT_SERVER_API_PORT=str(port),
        PREFECT_SERVER_CSRF_PROTECTION_ENABLED="true",
        PREFECT_SERVER_DATABASE_CONNECTION_URL=database,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_UI_API_URL=settings["PREFECT_API_URL"],
        PREFECT_UI_STATIC_DIRECTORY=str(folder / "ui"),
    )
    wait_for(lambda: _answers(f"{stack.api}/health"), 600, lambda: stack.log("server"))
    return stack


@pytest.fixture
def in_stack(stack: Stack, aws_settings: pytest.MonkeyPatch) -> Stack:
    """The stack, which this process's own S3 client finds too."""
    for name, value in stack.settings.items():
        if name.startswith("AWS_"):
            aws_settings.setenv(name, value)
    return stack


@pytest.fixture(scope="package")
def gpu_worker(stack: Stack) -> "subprocess.Popen[bytes]":
    return start_worker(stack, "gpu", "docker")


def start_worker(stack: Stack, pool: str, kind: str) -> "subprocess.Popen[bytes]":
    """A worker of a pool; its log is `worker-POOL`."""
    return stack.start(sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", kind, log=f"worker-{pool}")


def now() -> str:
    """The time as Docker writes it."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"


def sweep_file(stack: Stack, name: str, iterations: int) -> str:
    """Two shards of one trial each, every night."""
    content = {
        "name": name,
        "schedule": {"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
        "prompts": ["a red heart", "a green apple"],
        "engines": [{"engine": "strokes", "canvas": 32, "num_paths": 4, "cutouts": 2}],
        "iterations": iterations,
        "snapshot_every": 0,
        "shard_size": 1,
    }
    (stack.folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return f"{name}.yaml"


def assert_undisturbed(stack: Stack, file: str, store: Store) -> None:
    """What is in the store is what one process makes of the sweep in one go, and nothing else."""
    name, here = file.removesuffix(".yaml"), stack.folder / "here"
    list(run_sweep(load_sweep(stack.folder / file), open_store(str(here)), device="cpu"))  # the second time it is all there
    assert store.read(f"{name}/manifest.json") == (here / name / "manifest.json").read_bytes()
    pictures = sorted(path.relative_to(here).as_posix() for path in (here / name / "pictures").rglob("*.png"))
    assert [key for key in store.keys(f"{name}/pictures/") if key.endswith(".png")] == pictures
    assert all(store.read(key) == (here / key).read_bytes() for key in pictures)


def wait_for(met: Callable[[], object], seconds: float, describe: Callable[[], str] = str) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"waited {seconds} s in vain; {describe()[-3000:]}"
        time.sleep(0.2)


def _started(command: Sequence[str], environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    output: IO[bytes]
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)


def _end(started: "list[subprocess.Popen[bytes]]") -> None:
    """Ends the processes and whatever they have started."""
    for sent, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
        alive = [process for process in reversed(started) if process.poll() is None]
        for process in alive:
            os.killpg(process.pid, sent)
        for process in alive:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server: its address, as SQLAlchemy reads it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not programs:
        pytest.skip("there is no PostgreSQL; `tests/docker/engine.sh install` installs it")
    with tempfile.TemporaryDirectory(prefix="dreamsweep-postgresql-") as folder:
        shutil.chown(folder, "postgres")
        as_postgres = ["runuser", "--user", "postgres", "--", str(programs[-1] / "pg_ctl"), "--pgdata", f"{folder}/data"]
        subprocess.run([*as_postgres, "initdb", "-o", "-A trust --no-sync"], check=True, stdout=subprocess.DEVNULL)
        port = free_port()
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
        subprocess.run([*as_postgres, "start", "-w", "-o", options, "-l", f"{folder}/log"], check=True, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*as_postgres, "stop", "-m", "immediate"], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """A folder of files, read over HTTP by whoever is on this machine."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}/"
        wait_for(lambda: _answers(address), 300)
        yield address
        server.terminate()


def _deploy(stack: Stack, image: str) -> None:
    """The pools and deployments, as a person makes them."""
    stack.run("deploy", "--pool-type", "docker", "--image", image, "--store", f"s3://{stack.bucket}/night", "--compute-window", "2")
    with stack.client() as client:
        for name in ("shard/gpu", "sweep/nightly"):
            deployment = client.read_deployment_by_name(name)
            client.update_deployment(deployment.id, DeploymentUpdate(job_variables={"env": IN_CONTAINERS}))


def _command_line() -> str:
    """Debian's own, where there is one: it builds without a plugin."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def plain(text: str) -> str:
    """Without a terminal's colours, and with every run of blanks as one."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))

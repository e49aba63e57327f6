"""The compose stack, brought up by Compose itself, makes a sweep.

Its own images and commands run as they stand, on the host's network. PostgreSQL and SeaweedFS come from registries, so that others
stand in for them here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient

from tests.conftest import StrictServer
from tests.docker.conftest import ROOT, free_port, postgresql, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.docker]
COMPOSE = str(Path(sys.executable).parent / "docker-compose")
AUTH = "someone:a-password"
REVIEW_AUTH = "viewer:another-password"
SWEEP = """
name: composed
prompts: [a red heart]
engines: [{engine: strokes, canvas: 32, num_paths: 2, cutouts: 1}]
iterations: 5
"""


@pytest.fixture
def up(engine: str, image: str, strict_s3: StrictServer, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The stack, up: the API's address, and the review page's."""
    socket = engine.removeprefix("unix://")
    secrets = {
        "PREFECT_AUTH": AUTH,
        "REVIEW_AUTH": REVIEW_AUTH,
        "POSTGRES_PASSWORD": "unused",
        "S3_ACCESS_KEY": strict_s3.writer[0],
        "S3_SECRET_KEY": strict_s3.writer[1],
        "S3_REVIEW_ACCESS_KEY": strict_s3.reader[0],
        "S3_REVIEW_SECRET_KEY": strict_s3.reader[1],
        "DOCKER_GROUP": str(os.stat(socket).st_gid),
        "DOCKER_HOST": engine,
        "PATH": os.environ["PATH"],
    }
    with postgresql() as database:
        port, review = free_port(), free_port()
        read = [COMPOSE, "--file", "docker/compose.yaml", "config", "--format", "json"]
        text = subprocess.run(read, cwd=ROOT, env=secrets, capture_output=True, text=True, check=True).stdout
        for shipped, here in {
            "postgresql+asyncpg://prefect:unused@database:5432/prefect": database,
            "http://s3:8333": strict_s3.address,
            "http://prefect:4200": f"http://127.0.0.1:{port}",
            "127.0.0.1:4200": f"127.0.0.1:{port}",
            '"4200"': f'"{port}"',
            "127.0.0.1:4300": f"127.0.0.1:{review}",
            '"4300"': f'"{review}"',
            "network_mode=dreamsweep": "network_mode=host",
        }.items():
            assert shipped in text, shipped
            text = text.replace(shipped, here)
        stack = on_the_host_s_network(json.loads(text), image, socket)
        (tmp_path / "compose.json").write_text(json.dumps(stack))
        compose = [COMPOSE, "--project-name", "dreamsweep-test", "--file", str(tmp_path / "compose.json")]
        try:
            started = subprocess.run(
                [*compose, "up", "--detach", "--no-build", "--wait"], env=secrets, capture_output=True, text=True, check=False
            )
            logs = subprocess.run([*compose, "logs"], env=secrets, capture_output=True, text=True, check=False)
            assert started.returncode == 0, started.stderr[-2000:] + logs.stdout[-5000:]
            yield f"http://127.0.0.1:{port}/api", f"http://127.0.0.1:{review}"
        finally:
            subprocess.run([*compose, "down", "--volumes"], env=secrets, capture_output=True, check=True)


def on_the_host_s_network(stack: dict[str, Any], image: str, socket: str) -> dict[str, Any]:
    services = stack["services"]
    services["setup"]["depends_on"].pop("gpu")
    for name in ("database", "seaweedfs", "s3"):
        asleep = {"image": image, "command": ["sleep", "infinity"], "init": True}
        services[name] = {**asleep, "healthcheck": {"test": ["CMD", "true"], "interval": "1s"}}
    for service in services.values():
        for left_out in ("networks", "ports", "build", "pids_limit", "cpus", "mem_limit"):  # an engine in a container may lack cgroups
            service.pop(left_out, None)
        service["network_mode"] = "host"
    for name in ("sweeps", "shards", "review"):  # the first look is after one interval
        services[name]["healthcheck"] |= {"interval": "3s", "retries": 60}
    for name in ("sweeps", "shards"):  # here the two workers share one address
        port = str(free_port())
        services[name]["environment"]["PREFECT_WORKER_WEBSERVER_PORT"] = port
        services[name]["volumes"][0]["source"] = socket
        services[name]["healthcheck"]["test"] = [part.replace("8080", port) for part in services[name]["healthcheck"]["test"]]
    return {"services": services, "volumes": stack["volumes"]}


def test_the_stack_comes_up_locked_and_makes_a_sweep(up: tuple[str, str]) -> None:
    api, review = up
    assert httpx.get(f"{api}/health", trust_env=False, timeout=60).is_success
    assert httpx.get(f"{api}/admin/version", trust_env=False, timeout=60).status_code == 401
    forged = httpx.post(f"{api}/flows/filter", json={}, auth=tuple(AUTH.split(":")), trust_env=False, timeout=60)  # type: ignore[arg-type]
    assert forged.status_code == 403, "a request without a CSRF token is let in"
    assert httpx.get(review, trust_env=False, timeout=60).status_code == 401
    assert httpx.get(f"{api}/admin/version", auth=tuple(REVIEW_AUTH.split(":")), trust_env=False, timeout=60).status_code == 401  # type: ignore[arg-type]
    with SyncPrefectClient(api, auth_string=AUTH) as client:
        deployment = client.read_deployment_by_name("sweep/nightly")
        assert [schedule.slug for schedule in client.read_deployment_schedules(deployment.id)] == ["nightly"]
        request = {**deployment.parameters["request"], "sweep": SWEEP}
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"request": request}).id

        def state() -> Any:
            return client.read_flow_run(run).state

        wait_for(lambda: state().is_final(), 900)
        assert state().is_completed(), state()
        (summary,) = (artifact for artifact in client.read_artifacts() if artifact.key == "composed-summary")
    assert f"{review}/sweeps/composed" in str(summary.data)
    (card,) = httpx.get(f"{review}/api/sweeps", auth=tuple(REVIEW_AUTH.split(":")), trust_env=False, timeout=60).json()  # type: ignore[arg-type]
    assert (card["sweep"], card["trials"], card["done"]) == ("composed", 1, 1)

"""A whole night on real processes: registered, started from Prefect's pages by a browser, made in containers, kept in S3, asked by DuckDB.

Then another of the same trials, in which the parent, a worker and a shard's container are killed.
"""

import json
import os
import re
import signal
import subprocess
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page
from prefect.client.schemas.objects import FlowRun

from tests.browser import browser, chromium
from tests.docker.conftest import IMAGE, LONG, Stack, assert_undisturbed, now, start_worker, sweep_file, wait_for
from tests.flows import run_form as form

pytestmark = [pytest.mark.slow, pytest.mark.docker]
CHROMIUM = chromium()


@pytest.fixture(scope="module")
def night(stack: Stack, gpu_worker: "subprocess.Popen[bytes]") -> Stack:
    """The stack with a worker of each pool, and the sweep registered for every night."""
    start_worker(stack, "sweeps", "docker")
    sweep_file(stack, "night", LONG)
    deploy(stack)
    return stack


def deploy(stack: Stack, *more: str) -> str:
    store = f"s3://{stack.bucket}/night"
    return stack.run("deploy", "night.yaml", "--pool-type", "docker", "--image", IMAGE, "--store", store, "--compute-window", "2", *more)


def start(stack: Stack, store: str) -> UUID:
    """A flow run of the registered sweep, in another store."""
    with stack.client() as client:
        deployment = client.read_deployment_by_name("sweep/nightly")
        (schedule,) = client.read_deployment_schedules(deployment.id)
        request: dict[str, Any] = {**schedule.parameters["request"], "store": store}
        request["compute"] = {**request["compute"], "poll_seconds": 1}
        return client.create_flow_run_from_deployment(deployment.id, parameters={"request": request}).id


def flow_run(stack: Stack, id: UUID) -> FlowRun:
    with stack.client() as client:
        return client.read_flow_run(id)


def is_completed(stack: Stack, id: UUID) -> bool:
    state = flow_run(stack, id).state
    assert state and not (state.is_failed() or state.is_cancelled()), run_report(stack, id)
    return state.is_completed()


def run_report(stack: Stack, id: UUID) -> str:
    logs = [f"{name}\n{stack.log(name)[-1500:]}" for name in ("worker-sweeps", "worker-gpu")]
    return f"{flow_run(stack, id).state}\n" + "\n".join(logs)


def kill(container: dict[str, Any]) -> None:
    """kill -9 of its first process."""
    os.kill(container["State"]["Pid"], signal.SIGKILL)


def container_of(stack: Stack, id: UUID) -> dict[str, Any]:
    (id_of_container,) = stack.docker("ps", "--all", "--quiet", "--filter", f"label=io.prefect.flow-run-id={id}").split()
    containers: list[dict[str, Any]] = json.loads(stack.docker("inspect", id_of_container))
    return containers[0]


def log_in(page: Page, ui: str, auth: str) -> None:
    page.goto(f"{ui}/v2/login")
    page.get_by_placeholder("admin:pass").fill(auth)
    page.get_by_role("button", name="Login").click()
    page.wait_for_url(re.compile(r"/v2/(?!login)"))


def test_a_night_is_registered_once(night: Stack) -> None:
    again = deploy(night, "--dry-run")
    assert re.search(r"schedule night +unchanged", again)
    assert "Nothing to change" in again
    with night.client() as client:
        (schedule,) = client.read_deployment_schedules(client.read_deployment_by_name("sweep/nightly").id)
    assert (schedule.active, schedule.slug, schedule.schedule.cron) == (True, "night", "0 2 * * *")  # type: ignore[union-attr]


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")
def test_started_from_the_pages_it_ends_in_the_bucket_and_duckdb_answers(night: Stack) -> None:
    assert CHROMIUM
    with night.client() as client:
        deployment = client.read_deployment_by_name("sweep/nightly").id
    ui, since = night.api.removesuffix("/api"), now()
    with browser(CHROMIUM) as page:
        log_in(page, ui, night.auth)
        form.open_form(page, ui, str(deployment))
        form.choose(page, "Sweep file")
        page.get_by_role("tabpanel", name="Sweep file").get_by_role("textbox").fill((night.folder / "night.yaml").read_text())
        id = UUID(form.submit(page))  # the page of a flow run that runs keeps a core busy
    wait_for(lambda: is_completed(night, id), 600, lambda: run_report(night, id))
    assert [container["State"]["ExitCode"] for container in night.containers("night-", since)] == [0, 0]
    answer = night.run(
        "query", "SELECT count(*) AS trials, sum(iterations_done) AS done FROM trials", "--store", f"s3://{night.bucket}/night", "--csv"
    )
    assert answer == f"trials,done\n2,{2 * LONG}\n"


def test_parent_worker_and_container_killed_it_ends_as_if_nothing_had_been(
    night: Stack, in_stack: Stack, gpu_worker: "subprocess.Popen[bytes]"
) -> None:
    torn, since = in_stack.store("torn"), now()

    def running() -> list[str]:
        """Shards that have written a checkpoint, and whose container runs."""
        telling = [key.split("/")[2] for key in torn.keys("night/staging/") if key.endswith("progress.json")]
        alive = [container["Name"] for container in night.containers("night-", since) if container["State"]["Running"]]
        return [shard for shard in telling if any(shard in name for name in alive)]

    first = start(night, torn.uri)
    wait_for(running, 900, lambda: run_report(night, first))
    shard = f"night-{running()[0]}"
    kill(night.containers(shard, since)[0])
    wait_for(lambda: len(night.containers(shard, since)) == 2, 600, lambda: run_report(night, first))  # somebody else goes on with it
    os.killpg(gpu_worker.pid, signal.SIGKILL)
    kill(container_of(night, first))
    start_worker(night, "gpu", "docker")
    wait_for(lambda: is_completed(night, first), 900, lambda: run_report(night, first))  # the server starts it again
    assert flow_run(night, first).run_count == 2
    assert_undisturbed(night, "night.yaml", torn)

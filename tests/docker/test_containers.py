"""Shards in containers of the real image, by a real Docker worker; some of them crash, are killed, or ask for what is not there."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from prefect.client.schemas.sorting import FlowRunSort

from dreamsweep import __version__
from tests.docker.conftest import IMAGE, IN_CONTAINERS, LONG, Stack, assert_undisturbed, now, plain, sweep_file, wait_for
from tests.dreamsweep.weights.fake_hub import Hub, serving

pytestmark = [pytest.mark.slow, pytest.mark.docker]

CRASH_ONCE = "sh -c 'mkdir /cache/crashed && exit 3; exec python -m prefect.engine'"
DREAMSWEEP = (sys.executable, "-m", "dreamsweep")
LOUD = {**IN_CONTAINERS, "PREFECT_LOGGING_ROOT_LEVEL": "INFO"}


def deployment(stack: Stack, name: str, **job_variables: Any) -> str:
    """A copy of the deployment `shard/gpu` with other job variables."""
    with stack.client() as client:
        shipped = client.read_deployment_by_name("shard/gpu")
        client.create_deployment(
            shipped.flow_id,
            name,
            work_pool_name=shipped.work_pool_name,
            entrypoint=shipped.entrypoint,
            job_variables={**shipped.job_variables, **job_variables},
        )
    return f"shard/{name}"


def exit_codes(stack: Stack, name: str) -> list[int]:
    """Of all containers of a sweep, the first one's first."""
    return [container["State"]["ExitCode"] for container in stack.containers(f"{name}-")]


@pytest.mark.usefixtures("gpu_worker")
def test_two_shards_in_containers_make_what_this_process_makes(in_stack: Stack) -> None:
    store = in_stack.store("calm")
    file = sweep_file(in_stack, "calm", 30)
    in_stack.run("run", file, "--store", store.uri, "--compute", "shard/gpu", "--device", "cpu")
    assert exit_codes(in_stack, "calm") == [0, 0]
    assert_undisturbed(in_stack, file, store)


@pytest.mark.usefixtures("gpu_worker")
def test_a_container_that_crashes_is_made_again(in_stack: Stack) -> None:
    store, name = in_stack.store("crashed"), deployment(in_stack, "crashes-once", command=CRASH_ONCE)
    file = sweep_file(in_stack, "crashed", 30)
    in_stack.run("run", file, "--store", store.uri, "--compute", name, "--device", "cpu")
    assert sorted(exit_codes(in_stack, "crashed")) == [0, 0, 3]
    with in_stack.client() as client:
        states = [run.state for run in client.read_flow_runs(sort=FlowRunSort.ID_DESC, limit=50) if run.name.startswith("crashed-")]
    (message,) = (str(state.message) for state in states if state and state.is_crashed())
    assert message.startswith("Flow run infrastructure exited with non-zero status code 3.")
    assert_undisturbed(in_stack, file, store)


@pytest.mark.usefixtures("gpu_worker")
def test_a_container_that_is_told_to_end_goes_on_elsewhere_from_its_checkpoint(in_stack: Stack) -> None:
    """A SIGTERM; one that is killed is in test_night.py."""
    store, since = in_stack.store("ended"), now()
    name, file = deployment(in_stack, "ended", env=LOUD), sweep_file(in_stack, "night", LONG)
    arguments = ("run", file, "--store", store.uri, "--compute", name, "--device", "cpu")
    command = in_stack.start(*DREAMSWEEP, *arguments, log="ended")

    def checkpointed() -> list[str]:
        return [key.split("/")[2] for key in store.keys("night/staging/") if key.endswith("progress.json")]

    wait_for(checkpointed, 900, lambda: in_stack.log("ended"))
    shard = checkpointed()[0]
    (container,) = in_stack.containers(f"night-{shard}", since)
    in_stack.docker("kill", "--signal", "TERM", container["Id"])
    assert command.wait(900) == 0, in_stack.log("ended")
    first, second = in_stack.containers(f"night-{shard}", since)
    assert (first["State"]["ExitCode"], second["State"]["ExitCode"]) == (143, 0)
    said = in_stack.docker("logs", second["Id"], errors=subprocess.STDOUT)
    assert re.search(rf"shard {shard}: resumed, iteration [1-9]\d*/{LONG}", said), said
    assert_undisturbed(in_stack, file, store)


@pytest.mark.usefixtures("gpu_worker")
def test_a_gpu_that_is_not_there_is_told_of(in_stack: Stack) -> None:
    wanted = [{"Driver": "nvidia", "Count": 1, "Capabilities": [["gpu"]]}]
    name, file = deployment(in_stack, "wants-gpu", device_requests=wanted), sweep_file(in_stack, "gpu", 30)
    said = plain(in_stack.run("run", file, "--store", in_stack.store("gpu").uri, "--compute", name, code=1))
    assert "could not select device driver" in said
    assert "gpu" in said


def test_the_image_runs_with_a_root_that_cannot_be_written_and_as_nobody_in_particular(stack: Stack, image: str) -> None:
    (record,) = json.loads(stack.docker("inspect", image))
    assert record["Config"]["User"] == "10001:10001"
    assert record["Config"]["Labels"]["org.opencontainers.image.version"] == __version__
    assert record["Config"]["Labels"]["org.opencontainers.image.revision"] == "test"
    shut = ["--rm", "--read-only", "--tmpfs", "/scratch:uid=10001,mode=0700", "--network", "none", "--cap-drop", "ALL"]
    said = stack.docker("run", *shut, image, "sh", "-c", "dreamsweep doctor --store /scratch/runs && ! touch /opt/dreamsweep/x && id -u")
    assert said.endswith("10001\n")
    assert "broken" not in said


def test_no_layer_holds_a_secret(stack: Stack, image: str) -> None:
    history = stack.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert "/run/secrets/ca.pem" in history  # read there, and
    looked = "find /run/secrets /source /opt/uv -mindepth 1 2>/dev/null || true"
    assert stack.docker("run", "--rm", "--network", "none", image, "sh", "-c", looked) == ""


def test_published_weights_are_baked_in_by_name(stack: Stack, build: Callable[..., None]) -> None:
    with serving(Hub(files={"/dall-e/encoder.pkl": b"an encoder", "/dall-e/decoder.pkl": b"a decoder"})) as hub:
        build(f"{IMAGE}-baked", WEIGHTS="dall-e", WEIGHTS_MIRROR=hub.address)
    shut = ["--rm", "--read-only", "--network", "none"]
    assert stack.docker("run", *shut, f"{IMAGE}-baked", "cat", "/cache/dall-e/encoder.pkl") == "an encoder"

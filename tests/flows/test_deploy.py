"""`dreamsweep deploy` against a real server: what it registers, what the same again changes, what it refuses."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from PIL import Image
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from typer.testing import CliRunner

from dreamsweep import __version__
from dreamsweep.cli import main as cli
from dreamsweep.environment import SHARDS_AT_ONCE
from dreamsweep.errors import ApiError, ComputeError, DeployError, SweepFileError
from dreamsweep.flows import GPU, SWEEPS
from dreamsweep.flows.automations import HEARTBEAT, automations
from dreamsweep.flows.deploy import (
    NIGHTLY,
    SHARD,
    Change,
    Place,
    base_job_template,
    place,
    portable_text,
    register,
)
from dreamsweep.flows.fanout import Compute
from dreamsweep.flows.run_form import find_sweep
from dreamsweep.flows.submit import submit
from dreamsweep.flows.sweep import SweepRequest
from dreamsweep.planning.expand import trials
from dreamsweep.planning.sweep_file import load_sweep, parse_text
from dreamsweep.spec import Sweep

ROOT = Path(__file__).parents[2]
FILE = ROOT / "prompts" / "nightly.yaml"
STORE = "s3://bucket/night"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def client(prefect_server: None) -> Iterator[SyncPrefectClient]:
    """A server that holds none of it, before and after."""
    with get_client(sync_client=True) as client:
        _forget(client)
        yield client
        _forget(client)


def _forget(client: SyncPrefectClient) -> None:
    for name in (NIGHTLY, SHARD):
        try:
            client.delete_deployment(client.read_deployment_by_name(name).id)
        except ObjectNotFound:
            continue
    for pool in (SWEEPS, GPU):
        try:
            client.delete_work_pool(pool)
        except ObjectNotFound:
            continue
    for automation in client.read_automations():
        client.delete_automation(automation.id)


def processes(store: str = STORE, window: int = 8) -> Place:
    return place("process", store, None, window, None)


def nightly(**changes: Any) -> Sweep:
    return load_sweep(FILE).model_copy(update=changes)


def outcomes(changes: Iterator[Change]) -> dict[str, str]:
    return {change.what: change.how for change in changes}


AUTOMATIONS = tuple(f"automation {name}" for name in ("silent flow runs have crashed", "crashed sweeps go on", "lost sweeps go on"))
THINGS = ("work pool sweeps", "work pool gpu", "deployment shard/gpu", "deployment sweep/nightly", *AUTOMATIONS, "schedule nightly")


def test_the_first_time_registers_all_and_the_second_nothing(client: SyncPrefectClient) -> None:
    assert outcomes(register(processes(), [nightly()], dry_run=True)) == dict.fromkeys(THINGS, "created")
    with pytest.raises(ObjectNotFound):
        client.read_work_pool(SWEEPS)
    assert outcomes(register(processes(), [nightly()])) == dict.fromkeys(THINGS, "created")
    assert outcomes(register(processes(), [nightly()])) == dict.fromkeys(THINGS, "unchanged")
    assert client.read_work_pool(GPU).concurrency_limit == 8
    (schedule,) = client.read_deployment_schedules(client.read_deployment_by_name(NIGHTLY).id)
    assert (schedule.slug, schedule.active) == ("nightly", True)
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("0 2 * * *", "Europe/Berlin")  # type: ignore[union-attr]


def test_an_automation_that_was_changed_is_put_right_and_one_that_was_paused_stays_so(client: SyncPrefectClient) -> None:
    list(register(processes(), []))
    silent, crashed, _ = (client.read_automations_by_name(wanted.name)[0] for wanted in automations())
    client.update_automation(silent.id, automations()[0].model_copy(update={"description": "mine", "enabled": False}))
    client.pause_automation(crashed.id)
    changes = {change.what: change for change in register(processes(), [])}
    assert [changes[what].how for what in AUTOMATIONS] == ["changed", "unchanged", "unchanged"]
    assert changes[AUTOMATIONS[0]].differences[0].startswith('description: "mine" → ')
    assert [client.read_automation(automation.id).enabled for automation in (silent, crashed)] == [False, False]  # type: ignore[union-attr]
    assert set(outcomes(register(processes(), [])).values()) == {"unchanged"}


def test_another_process_finds_nothing_to_change_and_loads_no_torch(client: SyncPrefectClient) -> None:
    list(register(processes(), []))
    python = [sys.executable, "-X", "importtime", "-m", "dreamsweep"]
    again = [*python, "deploy", "--pool-type", "process", "--store", STORE, "--compute-window", "8", "--dry-run"]
    settings = {"PREFECT_API_URL": str(client.api_url), "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}  # other orders of sets
    done = subprocess.run(again, env={**os.environ, **settings}, capture_output=True, text=True, timeout=900, check=True)
    assert "Nothing to change." in done.stdout, done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "dreamsweep.flows.sweep" in loaded and "torch" not in loaded


@pytest.mark.parametrize("pool_type", ["process", "docker", "kubernetes"])
def test_flow_runs_of_every_pool_say_that_they_live(pool_type: Any) -> None:
    at = place(pool_type, STORE, None, None, None)
    environment = base_job_template(at, GPU, at.gpus)["variables"]["properties"]["env"]["default"]
    assert HEARTBEAT.items() <= environment.items()


def test_shards_that_share_a_machine_learn_how_many_they_are() -> None:
    def environment(pool_type: Any, pool: str, window: int | None) -> dict[str, str]:
        at = place(pool_type, STORE, None, window, None)
        return dict(base_job_template(at, pool, at.gpus)["variables"]["properties"]["env"]["default"])

    assert environment("process", GPU, 4)[SHARDS_AT_ONCE] == environment("docker", GPU, 4)[SHARDS_AT_ONCE] == "4"
    for pool_type, pool, window in (("process", SWEEPS, 4), ("docker", SWEEPS, 4), ("process", GPU, None), ("kubernetes", GPU, 4)):
        assert SHARDS_AT_ONCE not in environment(pool_type, pool, window)


def test_what_the_schedule_starts_is_the_file_s_own_sweep(client: SyncPrefectClient) -> None:
    list(register(processes(), [nightly()]))
    (schedule,) = client.read_deployment_schedules(client.read_deployment_by_name(NIGHTLY).id)
    berlin = ZoneInfo("Europe/Berlin")  # the schedule's own time zone, where the day may be another than in UTC
    before = datetime.now(berlin)
    request = SweepRequest.model_validate(schedule.parameters["request"])
    assert (request.store, request.compute) == (STORE, Compute(deployment=SHARD, window=8))
    assert request.name in {f"nightly-{moment:%Y-%m-%d}" for moment in (before, datetime.now(berlin))}
    stored = find_sweep(request.sweep, request.store)
    assert [trial.id for trial in trials(stored)] == [trial.id for trial in trials(nightly())]


def test_the_server_takes_the_schedule_s_parameters_for_a_flow_run(client: SyncPrefectClient) -> None:
    list(register(processes(), [nightly()]))
    deployment = client.read_deployment_by_name(NIGHTLY)
    (schedule,) = client.read_deployment_schedules(deployment.id)
    run = client.create_flow_run_from_deployment(deployment.id, parameters=schedule.parameters)
    assert SweepRequest.model_validate(run.parameters["request"]).name.startswith("nightly-20")


def test_a_sweep_is_submitted_to_the_deployment_and_made_as_it_makes_others(client: SyncPrefectClient) -> None:
    text = "name: hearts-more\nprompts: [a red heart]\nengines: [dalle]\n"
    with pytest.raises(ComputeError, match=r"has no deployment 'sweep/nightly'; make it with dreamsweep deploy\."):
        submit(text, STORE)
    list(register(place("process", "s3://bucket/other", None, 2, None), []))
    submit(text, STORE)
    (flow_run,) = (run for run in client.read_flow_runs() if run.parameters.get("request", {}).get("sweep") == text)
    request = SweepRequest.model_validate(flow_run.parameters["request"])
    assert (request.store, request.sweep) == (STORE, text) and request.compute == Compute(deployment=SHARD, window=2)
    client.delete_flow_run(flow_run.id)


def test_a_change_is_told_field_by_field_and_made(client: SyncPrefectClient) -> None:
    list(register(processes(), [nightly()]))
    schedule = nightly().schedule
    assert schedule is not None
    changed = nightly(iterations=300, schedule=schedule.model_copy(update={"cron": "30 3 * * *", "active": False}))
    for dry_run in (True, False):
        changes = {change.what: change for change in register(processes(window=4), [changed], dry_run=dry_run)}
        shards_at_once = 'base_job_template.variables.properties.env.default.DREAMSWEEP_SHARDS_AT_ONCE: "8" → "4"'
        assert changes["work pool gpu"].differences == (shards_at_once, "concurrency_limit: 8 → 4")
        assert changes["deployment sweep/nightly"].differences == ("parameters.request.compute.window: 8 → 4",)
        assert changes["schedule nightly"].differences == (
            'cron: "0 2 * * *" → "30 3 * * *"',
            "active: true → false",
            "parameters.request.compute.window: 8 → 4",
            "parameters.request.sweep:",
            "  -iterations: 200",
            "  +iterations: 300",
            "  -  cron: 0 2 * * *",
            "  +  cron: 30 3 * * *",
            "  +  active: false",
        )
    assert set(outcomes(register(processes(window=4), [changed])).values()) == {"unchanged"}


def test_schedules_of_other_files_go_only_when_asked(client: SyncPrefectClient) -> None:
    list(register(processes(), [nightly(), nightly(name="weekly")]))
    assert outcomes(register(processes(), [nightly()]))["schedule weekly"] == "kept"
    assert outcomes(register(processes(), [nightly()], prune=True, dry_run=True))["schedule weekly"] == "removed"
    id = client.read_deployment_by_name(NIGHTLY).id
    assert len(client.read_deployment_schedules(id)) == 2
    assert outcomes(register(processes(), [nightly()], prune=True))["schedule weekly"] == "removed"
    assert [schedule.slug for schedule in client.read_deployment_schedules(id)] == ["nightly"]


@pytest.mark.parametrize("pool_type", ["docker", "kubernetes"])
def test_container_pools(client: SyncPrefectClient, pool_type: Any) -> None:
    at = place(pool_type, STORE, None, None, 2)
    assert outcomes(register(at, [nightly()])) == dict.fromkeys(THINGS, "created")
    assert outcomes(register(at, [nightly()])) == dict.fromkeys(THINGS, "unchanged")
    pools = {name: client.read_work_pool(name) for name in (SWEEPS, GPU)}
    assert {pool.type for pool in pools.values()} == {pool_type}
    for name, gpus in ((SWEEPS, 0), (GPU, 2)):
        known = pools[name].base_job_template["variables"]["properties"]
        assert known["image"]["default"] == f"dreamsweep:{__version__}"
        if pool_type == "kubernetes":
            assert known["gpus"]["default"] == gpus
        else:
            assert [request["Count"] for request in known["device_requests"]["default"]] == [gpus] * (gpus > 0)
    with pytest.raises(DeployError, match=f"'sweeps' is of type '{pool_type}', not 'process'.* prefect work-pool delete sweeps"):
        list(register(processes(), []))


def test_an_image_for_cpus_asks_for_no_gpu() -> None:
    assert place("docker", STORE, "dreamsweep:1-cpu", None, None).gpus == 0
    assert place("docker", STORE, None, None, 0).image == f"dreamsweep:{__version__}-cpu"
    at = place("docker", STORE, None, None, None)
    assert (at.image, at.gpus, at.window) == (f"dreamsweep:{__version__}", 1, 8)
    assert base_job_template(at, GPU, 0) != base_job_template(at, GPU, 1)


def test_variables_of_the_templates() -> None:
    at = place(
        *("kubernetes", STORE, None, None, 1),
        ["weights_claim=null", "secret=keys", 'gpu.node_selector={"a": "b"}', "memory_limit=32Gi", 'env={"MORE": "1"}'],
    )
    defaults = {
        pool: {
            name: variable["default"]
            for name, variable in base_job_template(at, pool, gpus)["variables"]["properties"].items()
            if "default" in variable
        }
        for pool, gpus in ((SWEEPS, 0), (GPU, 1))
    }
    for known in defaults.values():
        assert (known["weights_claim"], known["secret"], known["memory_limit"]) == (None, "keys", "32Gi")
        assert {**HEARTBEAT, "MORE": "1"}.items() <= known["env"].items()
    assert (defaults[SWEEPS]["node_selector"], defaults[GPU]["node_selector"]) == ({}, {"a": "b"})
    assert (len(defaults[SWEEPS]["tolerations"]), len(defaults[GPU]["tolerations"])) == (0, 1)
    for variable in ("node_selector", "cpu.memory_limit=1Gi"):
        with pytest.raises(DeployError, match=rf"^--variable {variable}: write NAME=VALUE, or gpu\.NAME=VALUE"):
            place("docker", STORE, None, None, None, [variable])
    with pytest.raises(DeployError, match=r"^--variable memory: the template of docker pools has no 'memory'; it has image, "):
        base_job_template(place("docker", STORE, None, None, None, ["memory=1"]), GPU, 1)
    with pytest.raises(DeployError, match=r"^--variable a=1: a process pool has no variables of ours"):
        place("process", STORE, None, None, None, ["a=1"])


def test_what_cannot_be_is_one_sentence(client: SyncPrefectClient) -> None:
    with pytest.raises(DeployError, match=r"^--image x: a process pool has no containers"):
        place("process", STORE, "x", None, None)
    with pytest.raises(DeployError, match=r"^store 'runs' would be a folder inside each container"):
        place("docker", "runs", None, None, None)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(ApiError, match="does not answer"):
        list(register(processes(), []))
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(ApiError, match="no Prefect API is configured"):
        list(register(processes(), []))
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(ApiError, match="no Prefect API is configured; set PREFECT_API_URL"):
        submit("name: hearts-more", STORE)


class _Strict(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b"Unauthorized")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: object) -> None: ...


def test_a_server_that_wants_a_login_is_told_of_as_such() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Strict) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api"
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ApiError, match=r"answered 401: .*; set PREFECT_API_AUTH_STRING\.$"):
            list(register(processes(), []))
        server.shutdown()


def test_prompts_in_a_file_travel_along_and_pictures_do_not(tmp_path: Path) -> None:
    (tmp_path / "things.csv").write_text("text,negatives\na heart,blue|green\na rocket,\n")
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    start = "name: t\nprompts: things.csv\nengines:\n- engine: dalle\n"
    sweep = parse_text(start, tmp_path, "test")
    portable = parse_text(portable_text(sweep, "docker"), Path("/nowhere"), "test")
    assert [trial.id for trial in trials(portable)] == [trial.id for trial in trials(sweep)]
    pictured = parse_text(start + "  init_image: a.png\n", tmp_path, "test")
    assert str(tmp_path / "a.png") in portable_text(pictured, "process")
    with pytest.raises(SweepFileError, match=r"t: engines\[0\]\.init_image lies on this machine.*--compute shard/gpu"):
        portable_text(pictured, "docker")


def test_the_command(client: SyncPrefectClient, tmp_path: Path) -> None:
    arguments = ["deploy", str(FILE), str(ROOT / "prompts" / "demo.yaml"), "--pool-type", "process", "--store", str(tmp_path)]
    dry = CliRunner().invoke(cli.app, [*arguments, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "schedule nightly would be created 0 2 * * * Europe/Berlin" in " ".join(dry.output.split())
    assert "Nothing was changed (--dry-run)." in dry.output
    assert "demo.yaml names no schedule, so nothing is registered for it" in dry.output
    done = CliRunner().invoke(cli.app, arguments)
    assert "deployment sweep/nightly created" in " ".join(done.output.split())
    assert "prefect worker start --pool gpu" in done.output
    assert "/v2/deployments/deployment/" in done.output
    assert "Nothing to change." in CliRunner().invoke(cli.app, [*arguments, "--dry-run"]).output
    (tmp_path / "other.yaml").write_text(FILE.read_text())
    twice = CliRunner().invoke(cli.app, ["deploy", str(FILE), str(tmp_path / "other.yaml"), "--pool-type", "process"])
    assert "two of the files name the sweep 'nightly-{date}'" in str(twice.exception)


def test_prefect_deploy_all_registers_the_same(client: SyncPrefectClient) -> None:
    list(register(processes(), [nightly()]))
    ours = _registered(client)
    for name in (NIGHTLY, SHARD):
        client.delete_deployment(client.read_deployment_by_name(name).id)
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value()), "DREAMSWEEP_STORE": STORE, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    theirs = _registered(client)
    by_text, by_name = (deployments[NIGHTLY]["schedules"][0]["parameters"]["request"].pop("sweep") for deployments in (ours, theirs))
    assert theirs == ours
    sweeps = [find_sweep(SweepRequest.model_validate({"sweep": value}).sweep, "nowhere") for value in (by_text, by_name)]
    assert [trial.id for trial in trials(sweeps[0])] == [trial.id for trial in trials(sweeps[1])]


def _registered(client: SyncPrefectClient) -> dict[str, Any]:
    """All that the server holds of the two deployments, but for ids and times."""
    times = {"created", "updated", "last_polled", "status"}
    versions = {"version", "version_id", "version_info", "labels"}  # `prefect deploy` tells a clean checkout's commit
    changing = times | versions | {"id", "deployment_id", "work_queue_id"}
    deployments = {}
    for name in (NIGHTLY, SHARD):
        held = client.read_deployment_by_name(name).model_dump(mode="json", exclude=changing)
        held["schedules"] = [{key: value for key, value in schedule.items() if key not in changing} for schedule in held["schedules"]]
        deployments[name] = held
    return deployments

"""Registers what a Prefect server needs to make sweeps: work pools, deployments, automations, and a schedule for each sweep file that
names one.

What the server has is compared field by field first, so that the same command again changes nothing.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, get_current_settings
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker
from pydantic import Field, NonNegativeInt, PositiveInt

from dreamsweep import __version__
from dreamsweep.environment import SHARDS_AT_ONCE
from dreamsweep.errors import ApiError, DeployError, SweepFileError
from dreamsweep.flows import GPU, SWEEPS
from dreamsweep.flows.automations import HEARTBEAT, TAG, automations
from dreamsweep.flows.differences import differences_between
from dreamsweep.flows.local_server import check_api
from dreamsweep.flows.shard import shard
from dreamsweep.flows.sweep import MAX_PARAMETER, sweep
from dreamsweep.planning.expand import plan
from dreamsweep.planning.prompts import prompts
from dreamsweep.planning.sweep_file import sweep_text
from dreamsweep.planning.timers import next_moments
from dreamsweep.spec import DATE, IMAGE_FIELDS, PromptFile, Spec, Sweep, schedule_name

POOLS = Path(__file__).parents[1] / "pools"
"""Base job templates, in a checkout or beside the installed package."""
SWEEPS_AT_ONCE = 8
NIGHTLY, SHARD = f"{sweep.name}/nightly", f"{shard.name}/gpu"
TAGS = [TAG]
PoolType = Literal["process", "docker", "kubernetes"]
How = Literal["created", "changed", "unchanged", "removed", "kept"]


class Place(Spec):
    """Place where sweeps are made: the type of work pool, its store, image and limits."""

    pool_type: PoolType
    store: str
    image: str | None
    """Image of the containers; None if flow runs are processes beside their worker."""
    window: PositiveInt
    """Shards made at once."""
    gpus: NonNegativeInt
    """Number of GPUs of each shard's container."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Defaults in place of the templates' own: `secret` in both pools, `gpu.node_selector` in one."""


@dataclass(frozen=True)
class Change:
    """Change that was made, or would be, to one object on the server."""

    what: str
    how: How
    differences: tuple[str, ...] = ()


def place(pool_type: PoolType, store: str, image: str | None, window: int | None, gpus: int | None, variables: Iterable[str] = ()) -> Place:
    """Returns a place, with defaults filled in. Raises DeployError if the options contradict each other."""
    if pool_type == "process":
        if image or gpus:
            option = f"--image {image}" if image else f"--gpus {gpus}"
            raise DeployError(f"{option}: a process pool has no containers; leave it out, or say --pool-type docker or kubernetes.")
        if given := [*variables]:
            raise DeployError(f"--variable {given[0]}: a process pool has no variables of ours; leave it out.")
        at = store if "://" in store else str(Path(store).resolve())  # workers start flow runs in folders of their own
        return Place(pool_type=pool_type, store=at, image=None, window=window or 1, gpus=0)
    if "://" not in store and not Path(store).is_absolute():
        raise DeployError(f"store {store!r} would be a folder inside each container; name s3://bucket/prefix, or a mounted folder's path.")
    if gpus is None:
        gpus = 0 if image and image.endswith("-cpu") else 1
    image = image or f"dreamsweep:{__version__}" + ("" if gpus else "-cpu")
    named = dict(_variable(option) for option in variables)
    return Place(pool_type=pool_type, store=store, image=image, window=window or 8, gpus=gpus, variables=named)


def _variable(option: str) -> tuple[str, Any]:
    """Parses NAME=VALUE, where the value is JSON, or else plain text."""
    name, equals, value = option.partition("=")
    if not equals or name.rpartition(".")[0] not in ("", SWEEPS, GPU):
        raise DeployError(f"--variable {option}: write NAME=VALUE, or {GPU}.NAME=VALUE or {SWEEPS}.NAME=VALUE for one pool only.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def register(at: Place, sweeps: Iterable[Sweep], *, prune: bool = False, dry_run: bool = False) -> Iterator[Change]:
    """Registers everything with the server, and yields the changes; with `dry_run`, those that it would make.

    Schedules of other sweeps are kept, or removed with `prune`; those without a name are a person's own and never touched.
    Raises UserError: no API answers, it refuses, or a sweep cannot be registered.
    """
    scheduled = {spec.name: (spec, _request(at, spec)) for spec in sweeps if spec.schedule}
    url = PREFECT_API_URL.value()
    if not url:
        raise ApiError("no Prefect API is configured; start one with `prefect server start`, and set PREFECT_API_URL=http://…:4200/api.")
    check_api(url)
    try:
        with get_client(sync_client=True) as client:
            yield _pool(client, at, SWEEPS, SWEEPS_AT_ONCE, 0, dry_run)
            yield _pool(client, at, GPU, at.window, at.gpus, dry_run)
            yield _deployment(client, shard, SHARD, GPU, {}, dry_run)
            yield _deployment(client, sweep, NIGHTLY, SWEEPS, {"request": _request(at)}, dry_run)
            for automation in automations():
                yield _automation(client, automation, dry_run)
            yield from _schedules(client, scheduled, prune, dry_run)
    except PrefectHTTPStatusError as error:
        cure = "; set PREFECT_API_AUTH_STRING" if error.response.status_code == 401 else ""
        raise ApiError(f"Prefect's API at {url} answered {error.response.status_code}: {error.response.text[:500]}{cure}.") from None


def next_runs() -> list[tuple[str, datetime]]:
    """Returns each active schedule of sweeps by its name, with its next moment in its own time zone, the earliest first."""
    with get_client(sync_client=True) as client:
        id = _id_of(client, NIGHTLY)
        schedules = client.read_deployment_schedules(id) if id else []
    now, moments = datetime.now(UTC), []
    for entry in schedules:
        cron = entry.schedule
        if entry.active and isinstance(cron, CronSchedule):
            (moment,) = next_moments(cron.cron, cron.timezone or "UTC", now, 1)
            moments.append((entry.slug or NIGHTLY, moment))
    return sorted(moments, key=lambda entry: entry[1])


def form_url() -> str | None:
    """Returns the URL of the run form, for people."""
    with get_client(sync_client=True) as client:
        deployment_id = _id_of(client, NIGHTLY)
    ui = get_current_settings().ui_url
    return f"{ui}/v2/deployments/deployment/{deployment_id}/run" if ui and deployment_id else None


def _request(at: Place, spec: Sweep | None = None) -> dict[str, Any]:
    """Returns the parameters of a sweep's flow run; a run from the form brings the sweep itself. Raises SweepFileError."""
    request: dict[str, Any] = {"store": at.store, "compute": {"deployment": SHARD, "window": at.window}}
    # nobody is there at night to choose: what is published under the name is kept beside what is new
    return request if spec is None else {**request, "choice": "add", "sweep": portable_text(spec, at.pool_type)}


def portable_text(spec: Sweep, pool_type: PoolType) -> str:
    """Returns a sweep as text that needs no other file, prompt files included. Raises SweepFileError if that is impossible.

    It keeps the schedule where the name holds `{date}`, which is the date in the schedule's time zone.
    """
    plan(spec)
    for number, engine in enumerate(spec.engines):
        for name in IMAGE_FIELDS:
            if pool_type != "process" and getattr(engine, name, None) is not None:
                raise SweepFileError(
                    f"{spec.name}: engines[{number}].{name} lies on this machine, where no container sees it; start this sweep with "
                    f"`dreamsweep run … --compute {SHARD}`, which takes the picture along."
                )
    entries: list[Any] = []
    for entry in spec.prompts:
        entries += prompts(spec.model_copy(update={"prompts": (entry,)})) if isinstance(entry, PromptFile) else [entry]
    schedule = spec.schedule if DATE in spec.name else None
    text = sweep_text(spec.model_copy(update={"prompts": tuple(entries), "schedule": schedule}))
    if len(text) > MAX_PARAMETER:
        raise SweepFileError(
            f"{spec.name}: its text comes to {len(text):,} characters, at most {MAX_PARAMETER:,} travel with a schedule; "
            "split it into several sweeps."
        )
    return text


def _pool(client: SyncPrefectClient, at: Place, name: str, limit: int, gpus: int, dry_run: bool) -> Change:
    wanted: dict[str, Any] = {"base_job_template": base_job_template(at, name, gpus), "concurrency_limit": limit}
    what = f"work pool {name}"
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        if not dry_run:
            client.create_work_pool(WorkPoolCreate(name=name, type=at.pool_type, **wanted))
        return Change(what, "created")
    if pool.type != at.pool_type:
        raise DeployError(
            f"work pool {name!r} is of type {pool.type!r}, not {at.pool_type!r}, and a pool's type stays; say --pool-type {pool.type}, "
            f"or remove it first: prefect work-pool delete {name}."
        )
    differences = differences_between(pool.model_dump(include=set(wanted)), wanted)
    if differences and not dry_run:
        client.update_work_pool(name, WorkPoolUpdate(**wanted))
    return Change(what, "changed" if differences else "unchanged", differences)


def base_job_template(at: Place, pool: str, gpus: int) -> dict[str, Any]:
    """Returns a work pool's job template: the one that ships, with the requested image, GPUs and variables.

    Shards of a process or Docker pool share the CPUs of one machine, and learn how many they are. Kubernetes limits each pod's CPUs.
    """
    shared = {SHARDS_AT_ONCE: str(at.window)} if pool == GPU and at.window > 1 and at.pool_type != "kubernetes" else {}
    if at.pool_type == "process":
        processes = ProcessWorker.get_default_base_job_template()
        processes["variables"]["properties"]["env"]["default"] = {**HEARTBEAT, **shared}
        return processes
    template: dict[str, Any] = json.loads((POOLS / f"{at.pool_type}.json").read_text(encoding="utf-8"))
    known = template["variables"]["properties"]
    known["image"]["default"] = at.image
    known["env"]["default"] = {**known["env"]["default"], **shared}
    if at.pool_type == "kubernetes":
        known["gpus"]["default"] = gpus
        known["tolerations"]["default"] *= bool(gpus)  # what needs no GPU stays off their nodes
    else:
        known["device_requests"]["default"] = [{"Driver": "nvidia", "Count": gpus, "Capabilities": [["gpu"]]}] if gpus else []
    for name, value in at.variables.items():
        only, _, variable = name.rpartition(".")
        if variable not in known:
            raise DeployError(f"--variable {name}: the template of {at.pool_type} pools has no {variable!r}; it has {', '.join(known)}.")
        if only in ("", pool):
            added = variable == "env" and isinstance(value, dict)  # else it would take the store's login and the heartbeats away
            known[variable]["default"] = {**known[variable]["default"], **value} if added else value
    return template


def _deployment(client: SyncPrefectClient, flow: Flow[..., Any], name: str, pool: str, parameters: dict[str, Any], dry_run: bool) -> Change:
    wanted: dict[str, Any] = {
        "entrypoint": f"{flow.fn.__module__}.{flow.fn.__name__}",
        "work_pool_name": pool,
        "parameters": parameters,
        "tags": TAGS,
        "description": flow.description,
        "version": flow.version,
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
        "pull_steps": [],  # the code is installed wherever a worker runs it
    }
    what = f"deployment {name}"
    id = _id_of(client, name)
    if id is None:
        if not dry_run:
            client.create_deployment(flow_id=client.create_flow(flow), name=name.partition("/")[2], **wanted)
        return Change(what, "created")
    current = client.read_deployment(id).model_dump(include=set(wanted))
    differences = differences_between(current, wanted)
    if differences and not dry_run:
        client.update_deployment(id, DeploymentUpdate(**{key: value for key, value in wanted.items() if current[key] != value}))
    return Change(what, "changed" if differences else "unchanged", differences)


def _automation(client: SyncPrefectClient, wanted: AutomationCore, dry_run: bool) -> Change:
    """Creates or updates an automation; one that somebody has paused stays paused."""
    what = f"automation {wanted.name.removeprefix('dreamsweep: ')}"
    current = next(iter(client.read_automations_by_name(wanted.name)), None)
    if current is None:
        if not dry_run:
            client.create_automation(wanted)
        return Change(what, "created")
    wanted = wanted.model_copy(update={"enabled": current.enabled})
    differences = differences_between(_plain(current), _plain(wanted))
    if differences and not dry_run:
        client.update_automation(current.id, wanted)
    return Change(what, "changed" if differences else "unchanged", differences)


def _plain(automation: AutomationCore) -> dict[str, Any]:
    """Returns an automation as JSON, with sets sorted: their order differs from process to process."""
    plain = automation.model_dump(mode="json", exclude={"id"})
    sets = {name: sorted(values) for name, values in plain["trigger"].items() if name in ("after", "expect", "for_each")}
    return {**plain, "trigger": {**plain["trigger"], **sets}}


def _schedules(
    client: SyncPrefectClient, scheduled: dict[str, tuple[Sweep, dict[str, Any]]], prune: bool, dry_run: bool
) -> Iterator[Change]:
    """Creates or updates a schedule of `sweep/nightly` for every sweep, by its name."""
    id = _id_of(client, NIGHTLY)
    existing = {schedule.slug: schedule for schedule in client.read_deployment_schedules(id)} if id else {}
    for name, (spec, request) in scheduled.items():
        assert spec.schedule is not None
        wanted: dict[str, Any] = {**spec.schedule.model_dump(), "parameters": {"request": request}}
        cron = CronSchedule(cron=spec.schedule.cron, timezone=spec.schedule.timezone)
        slug = schedule_name(name)
        what, current = f"schedule {slug}", existing.pop(slug, None)
        if current is None:
            if id and not dry_run:
                schedule = DeploymentScheduleCreate(schedule=cron, active=spec.schedule.active, parameters=wanted["parameters"], slug=slug)
                client.create_deployment_schedules(id, [schedule])
            yield Change(what, "created", (f"{spec.schedule.cron} {spec.schedule.timezone}",))
            continue
        held = {name: getattr(current.schedule, name, None) for name in ("cron", "timezone")}
        differences = differences_between({**held, "active": current.active, "parameters": current.parameters}, wanted)
        if id and differences and not dry_run:
            client.update_deployment_schedule(id, current.id, spec.schedule.active, cron, parameters=wanted["parameters"])
        yield Change(what, "changed" if differences else "unchanged", differences)
    for named, left in existing.items():
        if named is None:
            continue
        if id and prune and not dry_run:
            client.delete_deployment_schedule(id, left.id)
        yield Change(f"schedule {named}", "removed" if prune else "kept")


def _id_of(client: SyncPrefectClient, deployment: str) -> UUID | None:
    try:
        return client.read_deployment_by_name(deployment).id
    except ObjectNotFound:
        return None

"""Registers what a Prefect server needs to make sweeps: work pools, deployments, automations, and a schedule for each sweep file that
names one.

What the server has is compared field by field first, so that the same command again changes nothing.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
from dreamsweep.errors import DreamsweepError, SweepFileError
from dreamsweep.expand import plan, prompts
from dreamsweep.spec import DATE, IMAGE_FIELDS, PromptFile, Spec, Sweep
from dreamsweep.sweepfile import sweep_text
from flows.embedded import ApiError, check_api
from flows.lost import HEARTBEAT, TAG, automations
from flows.shard import shard
from flows.sweep import MAX_PARAMETER, sweep

POOLS = Path(__file__).parents[1] / "infra" / "pools"
"""Base job templates, in a checkout or beside the installed package."""
SWEEPS, GPU = "sweeps", "gpu"
"""The pool of the flows that look after a sweep, and the pool of those that make its shards."""
SWEEPS_AT_ONCE = 8
NIGHTLY, SHARD = f"{sweep.name}/nightly", f"{shard.name}/gpu"
TAGS = [TAG]
SHOWN = 30
"""Differences told of one thing."""
PoolType = Literal["process", "docker", "kubernetes"]
How = Literal["created", "changed", "unchanged", "removed", "kept"]


class Place(Spec):
    """Where sweeps are made."""

    pool_type: PoolType
    store: str
    image: str | None
    """Of containers; none where flow runs are processes beside their worker."""
    window: PositiveInt
    """Shards made at once."""
    gpus: NonNegativeInt
    """Of each shard's container."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Defaults in place of the templates' own: `secret` in both pools, `gpu.node_selector` in one."""


class DeployError(DreamsweepError):
    """What is asked for cannot be registered."""


@dataclass(frozen=True)
class Change:
    """What was done, or would be, with one thing on the server."""

    what: str
    how: How
    differences: tuple[str, ...] = ()


def place(pool_type: PoolType, store: str, image: str | None, window: int | None, gpus: int | None, variables: Iterable[str] = ()) -> Place:
    """A place, with what was left open filled in. Raises DeployError for what cannot be."""
    if pool_type == "process":
        if image or gpus:
            told = f"--image {image}" if image else f"--gpus {gpus}"
            raise DeployError(f"{told}: a process pool has no containers; leave it out, or say --pool-type docker or kubernetes.")
        if given := [*variables]:
            raise DeployError(f"--variable {given[0]}: a process pool has no variables of ours; leave it out.")
        at = store if "://" in store else str(Path(store).resolve())  # workers start flow runs in folders of their own
        return Place(pool_type=pool_type, store=at, image=None, window=window or 1, gpus=0)
    if "://" not in store and not Path(store).is_absolute():
        raise DeployError(f"store {store!r} would be a folder inside each container; name s3://bucket/prefix, or a mounted folder's path.")
    if gpus is None:
        gpus = 0 if image and image.endswith("-cpu") else 1
    image = image or f"dreamsweep:{__version__}" + ("" if gpus else "-cpu")
    named = dict(_variable(told) for told in variables)
    return Place(pool_type=pool_type, store=store, image=image, window=window or 8, gpus=gpus, variables=named)


def _variable(told: str) -> tuple[str, Any]:
    """NAME=VALUE, where the value is JSON, or else a text as it stands."""
    name, equals, value = told.partition("=")
    if not equals or name.rpartition(".")[0] not in ("", SWEEPS, GPU):
        raise DeployError(f"--variable {told}: write NAME=VALUE, or {GPU}.NAME=VALUE or {SWEEPS}.NAME=VALUE for one pool only.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def register(at: Place, sweeps: Iterable[Sweep], *, prune: bool = False, dry_run: bool = False) -> Iterator[Change]:
    """Makes the server hold it all, and tells what that took; with `dry_run`, what it would take.

    Schedules of other sweeps are kept, or removed with `prune`; those without a name are a person's own and never touched.
    Raises DreamsweepError: no API answers, it refuses, or a sweep cannot be registered.
    """
    scheduled = {one.name: (one, _request(at, one)) for one in sweeps if one.schedule}
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


def form_url() -> str | None:
    """The address of the run form, for people."""
    with get_client(sync_client=True) as client:
        found = _id_of(client, NIGHTLY)
    ui = get_current_settings().ui_url
    return f"{ui}/v2/deployments/deployment/{found}/run" if ui and found else None


def _request(at: Place, one: Sweep | None = None) -> dict[str, Any]:
    """The parameters of a sweep's flow run; a run from the form brings the sweep itself. Raises SweepFileError."""
    request: dict[str, Any] = {"store": at.store, "compute": {"deployment": SHARD, "window": at.window}}
    return request if one is None else {**request, "sweep": portable_text(one, at.pool_type)}


def portable_text(one: Sweep, pool_type: PoolType) -> str:
    """A sweep as text that needs no other file: what it lists in files stands in it. Raises SweepFileError where that cannot be."""
    plan(one)
    for number, engine in enumerate(one.engines):
        for name in IMAGE_FIELDS:
            if pool_type != "process" and getattr(engine, name, None) is not None:
                raise SweepFileError(
                    f"{one.name}: engines[{number}].{name} lies on this machine, where no container sees it; start this sweep with "
                    f"`dreamsweep run … --compute {SHARD}`, which takes the picture along."
                )
    entries: list[Any] = []
    for entry in one.prompts:
        entries += prompts(one.model_copy(update={"prompts": (entry,)})) if isinstance(entry, PromptFile) else [entry]
    text = sweep_text(one.model_copy(update={"prompts": tuple(entries), "schedule": None}))
    if len(text) > MAX_PARAMETER:
        raise SweepFileError(
            f"{one.name}: its text comes to {len(text):,} characters, at most {MAX_PARAMETER:,} travel with a schedule; "
            "split it into several sweeps."
        )
    return text


def _pool(client: SyncPrefectClient, at: Place, name: str, limit: int, gpus: int, dry_run: bool) -> Change:
    wanted: dict[str, Any] = {"base_job_template": base_job_template(at, name, gpus), "concurrency_limit": limit}
    what = f"work pool {name}"
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        if not dry_run:
            client.create_work_pool(WorkPoolCreate(name=name, type=at.pool_type, **wanted))
        return Change(what, "created")
    if found.type != at.pool_type:
        raise DeployError(
            f"work pool {name!r} is of type {found.type!r}, not {at.pool_type!r}, and a pool's type stays; say --pool-type {found.type}, "
            f"or remove it first: prefect work-pool delete {name}."
        )
    differences = _differences(found.model_dump(include=set(wanted)), wanted)
    if differences and not dry_run:
        client.update_work_pool(name, WorkPoolUpdate(**wanted))
    return Change(what, "changed" if differences else "unchanged", differences)


def base_job_template(at: Place, pool: str, gpus: int) -> dict[str, Any]:
    """What a worker makes of a flow run in a pool: the template that ships, with the image, the GPUs and the variables asked for."""
    if at.pool_type == "process":
        processes = ProcessWorker.get_default_base_job_template()
        processes["variables"]["properties"]["env"]["default"] = HEARTBEAT
        return processes
    template: dict[str, Any] = json.loads((POOLS / f"{at.pool_type}.json").read_text(encoding="utf-8"))
    known = template["variables"]["properties"]
    known["image"]["default"] = at.image
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
    found = client.read_deployment(id).model_dump(include=set(wanted))
    differences = _differences(found, wanted)
    if differences and not dry_run:
        client.update_deployment(id, DeploymentUpdate(**{key: value for key, value in wanted.items() if found[key] != value}))
    return Change(what, "changed" if differences else "unchanged", differences)


def _automation(client: SyncPrefectClient, wanted: AutomationCore, dry_run: bool) -> Change:
    """One that somebody has paused stays so."""
    what = f"automation {wanted.name.removeprefix('dreamsweep: ')}"
    found = next(iter(client.read_automations_by_name(wanted.name)), None)
    if found is None:
        if not dry_run:
            client.create_automation(wanted)
        return Change(what, "created")
    wanted = wanted.model_copy(update={"enabled": found.enabled})
    differences = _differences(_plain(found), _plain(wanted))
    if differences and not dry_run:
        client.update_automation(found.id, wanted)
    return Change(what, "changed" if differences else "unchanged", differences)


def _plain(automation: AutomationCore) -> dict[str, Any]:
    """As JSON, what is a set sorted: its order differs from process to process."""
    plain = automation.model_dump(mode="json", exclude={"id"})
    sets = {name: sorted(told) for name, told in plain["trigger"].items() if name in ("after", "expect", "for_each")}
    return {**plain, "trigger": {**plain["trigger"], **sets}}


def _schedules(
    client: SyncPrefectClient, scheduled: dict[str, tuple[Sweep, dict[str, Any]]], prune: bool, dry_run: bool
) -> Iterator[Change]:
    """A schedule of `sweep/nightly` for every sweep, by its name."""
    id = _id_of(client, NIGHTLY)
    there = {found.slug: found for found in client.read_deployment_schedules(id)} if id else {}
    for name, (one, request) in scheduled.items():
        assert one.schedule is not None
        wanted: dict[str, Any] = {**one.schedule.model_dump(), "parameters": {"request": request}}
        cron = CronSchedule(cron=one.schedule.cron, timezone=one.schedule.timezone)
        slug = re.sub(rf"[._-]*{re.escape(DATE)}", "", name)
        what, found = f"schedule {slug}", there.pop(slug, None)
        if found is None:
            if id and not dry_run:
                made = DeploymentScheduleCreate(schedule=cron, active=one.schedule.active, parameters=wanted["parameters"], slug=slug)
                client.create_deployment_schedules(id, [made])
            yield Change(what, "created", (f"{one.schedule.cron} {one.schedule.timezone}",))
            continue
        held = {name: getattr(found.schedule, name, None) for name in ("cron", "timezone")}
        differences = _differences({**held, "active": found.active, "parameters": found.parameters}, wanted)
        if id and differences and not dry_run:
            client.update_deployment_schedule(id, found.id, one.schedule.active, cron, parameters=wanted["parameters"])
        yield Change(what, "changed" if differences else "unchanged", differences)
    for named, left in there.items():
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


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, ...]:
    """Where two differ, a line or a few for each field: what is there, what is to be."""
    told = [line for line in _told("", found, wanted) if line]
    return (*told[:SHOWN], f"… and {len(told) - SHOWN} more") if len(told) > SHOWN else tuple(told)


def _told(field: str, found: Any, wanted: Any) -> Iterator[str]:
    if found == wanted:
        return
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in (*found, *(key for key in wanted if key not in found)):
            yield from _told(f"{field}.{key}" if field else str(key), found.get(key), wanted.get(key))
    elif isinstance(found, str) and isinstance(wanted, str) and "\n" in found + wanted:
        yield f"{field}:"
        lines = difflib.unified_diff(found.splitlines(), wanted.splitlines(), lineterm="", n=0)
        yield from (f"  {line}" for line in lines if not line.startswith(("---", "+++", "@@")))
    else:
        yield f"{field}: {_shown(found)} → {_shown(wanted)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else f"{text[:99]}…"

"""What stands in docker/ and in the docker pool's template, as the tools that read it see it; no engine needed."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dreamsweep import __version__
from dreamsweep.flows.deploy import Place, base_job_template

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SECRETS = {
    "PREFECT_AUTH": "someone:word-1",
    "REVIEW_AUTH": "viewer:word-7",
    "POSTGRES_PASSWORD": "word-2",
    "S3_ACCESS_KEY": "word-3",
    "S3_SECRET_KEY": "word-4",
    "S3_REVIEW_ACCESS_KEY": "word-5",
    "S3_REVIEW_SECRET_KEY": "word-6",
    "DOCKER_GROUP": "998",
}
ONCE = {"setup", "gpu"}


def compose(env_file: Path, *profile: str) -> "subprocess.CompletedProcess[str]":
    command = [str(BIN / "docker-compose"), "--env-file", str(env_file), "--file", "docker/compose.yaml", *profile]
    plain = {name: value for name, value in os.environ.items() if name not in SECRETS and not name.startswith("COMPOSE_")}
    return subprocess.run([*command, "config", "--format", "json"], cwd=ROOT, env=plain, capture_output=True, text=True, check=False)


@pytest.fixture
def services(tmp_path: Path) -> dict[str, dict[str, Any]]:
    example = (ROOT / "docker/.env.example").read_text()
    filled = re.sub(r"^(\w+)=$", lambda match: f"{match[1]}={SECRETS[match[1]]}", example, flags=re.MULTILINE)
    (tmp_path / "env").write_text(filled)
    read = compose(tmp_path / "env", "--profile", "gpu")
    assert read.returncode == 0, read.stderr
    services: dict[str, dict[str, Any]] = json.loads(read.stdout)["services"]
    return services


def test_the_linters_find_nothing() -> None:
    rules = "{extends: default, rules: {line-length: {max: 140}, document-start: disable}}"
    for command in (["hadolint", "docker/Dockerfile"], ["yamllint", "--strict", "--config-data", rules, "docker/compose.yaml"]):
        done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")


def test_compose_asks_for_every_secret_of_the_example() -> None:
    refused = compose(ROOT / "docker/.env.example")
    assert refused.returncode != 0
    missing = set(re.findall(r"required variable (\w+) is missing a value: set \1 in docker/.env", refused.stderr))
    assert missing == set(SECRETS)


def test_every_image_has_a_version(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+[\w.-]*$", service["image"]), name
    ours = {service["image"] for service in services.values() if service["image"].startswith("dreamsweep:")}
    assert ours == {f"dreamsweep:{__version__}", f"dreamsweep:{__version__}-cpu"}


def test_images_of_registries_are_pinned_by_their_digests(tmp_path: Path) -> None:
    """With a docker that knows three images; what the script writes is what Compose reads."""
    shutil.copy(ROOT / "docker/pin-images.sh", tmp_path)
    (tmp_path / "docker").write_text(
        '#!/bin/sh\n[ "$1" = pull ] && exit 0\nfor image; do :; done\n'
        'echo "${image%:*}@sha256:$(printf %s "$image" | sha256sum | cut -c1-64)"\n'
    )
    (tmp_path / "docker").chmod(0o755)
    command, plain = [str(tmp_path / "pin-images.sh")], {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    missing = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)
    assert missing.returncode == 2 and "copy .env.example first" in missing.stderr
    filled = "".join(f"{name}={value}\n" for name, value in SECRETS.items())
    (tmp_path / ".env").write_text(filled)
    for _ in range(2):
        subprocess.run(command, env=plain, capture_output=True, check=True)
    lines = (tmp_path / ".env").read_text().splitlines()
    assert len(lines) == len(set(lines)) == len(SECRETS) + 3 and filled.splitlines() == lines[: len(SECRETS)]
    read = json.loads(compose(tmp_path / ".env").stdout)["services"]
    used = [read["database"]["image"], read["seaweedfs"]["image"], read["prefect"]["build"]["args"]["BASE"]]
    assert used == [line.partition("=")[2] for line in lines[-3:]] and all("@sha256:" in image for image in used)


def test_the_script_pins_the_tags_of_the_compose_file() -> None:
    defaults = re.findall(r"\$\{(\w+_IMAGE):-([\w./:-]+[.:][\w.-]+)\}", (ROOT / "docker/compose.yaml").read_text())
    pinned = re.findall(r"^pin (\w+) (\S+)$", (ROOT / "docker/pin-images.sh").read_text(), flags=re.MULTILINE)
    assert {name: image for name, image in defaults if name != "SHARD_IMAGE"} == dict(pinned) and len(pinned) == 3


def test_ports_are_this_machine_s_alone(services: dict[str, dict[str, Any]]) -> None:
    published = {port["published"]: port["host_ip"] for service in services.values() for port in service.get("ports", ())}
    assert published == {"4200": "127.0.0.1", "4300": "127.0.0.1", "8333": "127.0.0.1"}


def test_prefect_removes_old_flow_runs(services: dict[str, dict[str, Any]]) -> None:
    vacuum = {key: value for key, value in services["prefect"]["environment"].items() if "DB_VACUUM" in key}
    assert sorted(vacuum.values()) == ["P90D", "events,flow_runs"]


def test_every_service_is_shut_in(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert (service["pids_limit"], service["cpus"], service["mem_limit"]) == (512, 1, str(2 << 30)), name
    with_socket = {name for name, service in services.items() if "docker.sock" in json.dumps(service.get("volumes", []))}
    assert with_socket == {"sweeps", "shards"}


def test_shards_reach_prefect_s_api_and_the_s3_port_alone(services: dict[str, dict[str, Any]]) -> None:
    networks = {name: {*service.get("networks", ())} for name, service in services.items()}
    assert networks == {
        "database": {"data"},
        "seaweedfs": {"storage"},
        "prefect": {"inner", "data"},
        "s3": {"inner", "page", "storage"},
        "setup": {"inner"},
        "sweeps": {"inner"},
        "shards": {"inner"},
        "review": {"page"},
        "gpu": set(),
    }
    assert "--variable network_mode=dreamsweep" in json.dumps(services["setup"]["command"])
    whole = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["networks"]
    assert {name for name, network in whole.items() if network.get("internal")} == {"data", "storage"}
    assert whole["inner"]["name"] == "dreamsweep"


def test_the_review_page_s_key_reads_and_leaves_marks(services: dict[str, dict[str, Any]]) -> None:
    (user,) = json.loads(services["seaweedfs"]["environment"]["USERS"])["identities"]
    assert user["credentials"] == [{"accessKey": "word-5", "secretKey": "word-6"}]
    rights: dict[str, set[str]] = {}
    for action in user["actions"]:
        name, _, where = action.partition(":")
        rights.setdefault(name, set()).add(where)
    reads = {"dreamsweep", "dreamsweep/runs/*"}
    assert rights == {"Read": reads, "List": reads, "Write": {f"dreamsweep/runs/*/appended/{table}/*" for table in ("ratings", "duels")}}
    store, review = services["shards"]["environment"], services["review"]["environment"]
    assert store["DREAMSWEEP_STORE"] == review["DREAMSWEEP_STORE"] == "s3://dreamsweep/runs"
    assert (store["AWS_ACCESS_KEY_ID"], review["AWS_ACCESS_KEY_ID"], review["AWS_SECRET_ACCESS_KEY"]) == ("word-3", "word-5", "word-6")


def test_each_starts_when_what_it_needs_is_there(services: dict[str, dict[str, Any]]) -> None:
    order = {name: {n: c["condition"] for n, c in service.get("depends_on", {}).items()} for name, service in services.items()}
    assert order == {
        "database": {},
        "seaweedfs": {},
        "s3": {"prefect": "service_started", "seaweedfs": "service_healthy"},
        "gpu": {},
        "prefect": {"database": "service_healthy"},
        "setup": {"prefect": "service_healthy", "s3": "service_healthy", "gpu": "service_completed_successfully"},
        "sweeps": {"setup": "service_completed_successfully"},
        "shards": {"setup": "service_completed_successfully"},
        "review": {"setup": "service_completed_successfully"},
    }
    assert {name for name, service in services.items() if service.get("healthcheck", {"disable": True}).get("disable")} == ONCE


def test_secrets_reach_those_who_need_them(services: dict[str, dict[str, Any]]) -> None:
    def holders(word: str) -> set[str]:
        return {name for name, service in services.items() if word in json.dumps(service)}

    assert holders("word-1") == {"prefect", "setup", "sweeps", "shards"}
    assert holders("word-2") == {"database", "prefect"}
    assert holders("word-4") == {"seaweedfs", "setup", "sweeps", "shards"}
    assert holders("word-6") == {"seaweedfs", "review"}
    assert holders("word-7") == {"review"}
    assert not any(name.startswith("PREFECT") for name in services["review"]["environment"])


@pytest.mark.parametrize("gpus", [0, 2])
def test_containers_of_the_pool_are_shut_in(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect_docker.worker import DockerWorkerJobConfiguration as Configuration

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-worker-s")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    at = Place(pool_type="docker", store="s3://bucket", image="dreamsweep:1-cpu", window=1, gpus=gpus, variables={"network_mode": "inner"})
    template = base_job_template(at, "gpu", gpus)
    job: Any = asyncio.run(Configuration.from_template_and_values(template, {"env": {"MORE": "1"}, "mem_limit": "8g"}, client=object()))
    assert (job.image, job.network_mode, job.mem_limit, job.auto_remove) == (
        "dreamsweep:1-cpu",
        "inner",
        "8g",
        False,
    )
    assert job.env["AWS_ACCESS_KEY_ID"] == "the-worker-s"
    assert (job.env["AWS_ENDPOINT_URL"], job.env["MORE"]) == ("", "1")
    more = job.container_create_kwargs
    assert (more["read_only"], more["cap_drop"], more["security_opt"]) == (True, ["ALL"], ["no-new-privileges"])
    assert more["pids_limit"] == 4096
    assert [request["Count"] for request in more["device_requests"]] == ([gpus] if gpus else [])
    assert not set(more) & set(Configuration.model_fields), "the worker would drop these in silence"


def test_the_template_s_image_is_this_version_s() -> None:
    template = json.loads((ROOT / "infra/pools/docker.json").read_text())
    assert template["variables"]["properties"]["image"]["default"] == f"dreamsweep:{__version__}"
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])

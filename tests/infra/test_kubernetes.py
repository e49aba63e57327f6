"""The manifests and the Jobs that a worker makes of the pool's template: strictly valid, and meaning one another."""

import asyncio
import ipaddress
import json
import re
import shutil
import subprocess
import textwrap
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect_kubernetes.credentials import KubernetesClusterConfig
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

from dreamsweep import __version__

INFRA = Path(__file__).parents[2] / "infra"
BASE = INFRA / "kubernetes" / "base"
OVERLAYS = sorted(path.parent for path in (INFRA / "kubernetes" / "overlays").glob("*/kustomization.yaml"))
TEMPLATE = json.loads((INFRA / "pools" / "kubernetes.json").read_text())
VERSIONS = ("1.33", "1.35", "1.37")
"""Of Kubernetes: from the oldest that is still kept to the newest."""
FLOW_RUN = {"app.kubernetes.io/component": "flow-run"}
SERVER, WORKER, POSTGRES, REVIEW = (
    {"app.kubernetes.io/name": name} for name in ("prefect-server", "prefect-worker", "postgres", "dreamsweep-review")
)
KUBECTL = shutil.which("kubectl")
Manifest = dict[str, Any]


def _documents(*files: Path) -> list[Manifest]:
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def _kustomization(folder: Path) -> Manifest:
    (kustomization,) = _documents(folder / "kustomization.yaml")
    return kustomization


MANIFESTS = _documents(*(BASE / name for name in _kustomization(BASE)["resources"]))
FROM_FILES = ("dreamsweep-store", "dreamsweep-review-store")
"""Secrets whose keys come from files, as `envFrom` reads them."""
SECRETS = {secret["metadata"]["name"]: set(secret["stringData"]) for secret in _documents(INFRA / "kubernetes" / "secret.example.yaml")}


def _of_kind(*kinds: str) -> list[Manifest]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] in kinds]


def _names(kind: str) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in _of_kind(kind)}


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def _job(**variables: Any) -> Manifest:
    """The Job that a worker makes of the template, by prefect-kubernetes' own classes."""
    rendered: Manifest = asyncio.run(_configuration(**variables)).job_manifest
    return rendered


async def _configuration(**variables: Any) -> KubernetesWorkerJobConfiguration:
    with temporary_settings({PREFECT_API_URL: "http://prefect-server:4200/api", PREFECT_API_AUTH_STRING: "admin:a-secret"}):
        nobody: Any = object()  # a client, which only blocks would ask
        job = await KubernetesWorkerJobConfiguration.from_template_and_values(TEMPLATE, variables, client=nobody)
        job.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), name="night-0123-1", flow_id=uuid.uuid4()))
        return job


JOBS = {"cpu": _job(gpus=0), "gpu": _job(gpus=2, runtime_class="nvidia", node_selector={"pool": "gpu"}), "defaults": _job()}
PODS = {
    **{_title(manifest): manifest["spec"]["template"] for manifest in _of_kind("Deployment", "StatefulSet")},
    **{f"Job-{name}": job["spec"]["template"] for name, job in JOBS.items()},
}


def _containers() -> Iterator[Manifest]:
    for pod in PODS.values():
        yield from (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])


@dataclass
class Cluster:
    """An API that says yes to everything, and what it was asked: method, path, body."""

    kubeconfig: Manifest
    requests: list[tuple[str, str, str]]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    requests: list[tuple[str, str, str]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
            requests.append((self.command, self.path.partition("?")[0], body))
            answer = (body if self.command == "POST" else "{}").encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_DELETE = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = {"server": f"http://127.0.0.1:{server.server_port}"}
        kubeconfig = {
            "clusters": [{"name": "here", "cluster": address}],
            "users": [{"name": "worker", "user": {"token": "a-token"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "worker"}}],
            "current-context": "here",
        }
        yield Cluster(kubeconfig, requests)
        server.shutdown()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", [*MANIFESTS, *_documents(INFRA / "kubernetes" / "secret.example.yaml")], ids=_title)
def test_manifest_is_strictly_valid(manifest: Manifest, version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
def test_job_of_the_template_is_strictly_valid(job: Manifest, version: str) -> None:
    kubernetes_validate.validate(job, version, strict=True)


def test_validation_is_strict() -> None:
    job = _job()
    job["spec"]["template"]["spec"]["parallelism"] = 1  # where prefect-kubernetes' default template has it
    with pytest.raises(kubernetes_validate.ValidationError, match="parallelism"):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed, which builds kustomizations")
@pytest.mark.parametrize("folder", [BASE, *OVERLAYS], ids=lambda folder: folder.name)
def test_kustomization_builds_what_is_valid(folder: Path) -> None:
    done = subprocess.run([str(KUBECTL), "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert len(built) >= len(MANIFESTS) - 1
    for manifest in built:
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)
    images = {
        container["image"]
        for manifest in built
        if manifest["kind"] in ("Deployment", "StatefulSet")
        for container in manifest["spec"]["template"]["spec"]["containers"]
    }
    assert {image.rpartition("/")[2] for image in images} == {f"dreamsweep:{__version__}-cpu", "postgres:17.6-bookworm"}


@pytest.mark.parametrize("folder", [BASE, *OVERLAYS], ids=lambda folder: folder.name)
def test_kustomization_lists_every_file(folder: Path) -> None:
    kustomization = _kustomization(folder)
    listed = {*kustomization["resources"], *(patch["path"] for patch in kustomization.get("patches", ()) if "path" in patch)}
    assert {name for name in listed if not name.startswith("..")} == {path.name for path in folder.iterdir()} - {"kustomization.yaml"}
    assert all((folder / name).exists() for name in listed)


def test_secrets_are_only_referred_to() -> None:
    assert not _of_kind("Secret")
    used = {
        (source["valueFrom"]["secretKeyRef"]["name"], source["valueFrom"]["secretKeyRef"]["key"])
        for container in _containers()
        for source in container.get("env", ())
        if "secretKeyRef" in source.get("valueFrom", {})
    }
    (settings,) = (m["data"] for m in _of_kind("ConfigMap") if m["metadata"]["name"] == "prefect-worker")
    prefix = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET"
    used.add((settings[f"{prefix}_NAME"], settings[f"{prefix}_KEY"]))
    assert used == {(name, key) for name, keys in SECRETS.items() if name not in FROM_FILES for key in keys}
    from_files = [(c["name"], s["secretRef"]["name"]) for c in _containers() for s in c.get("envFrom", ()) if "secretRef" in s]
    assert {secret for _, secret in from_files} == set(FROM_FILES)
    assert [secret for container, secret in from_files if container == "review"] == ["dreamsweep-review-store"]


GUIDE = (INFRA.parent / "docs" / "operate.md").read_text().partition("## A Kubernetes cluster")[2].partition("## A Dask or Ray")[0]


def test_guide_makes_the_secrets_and_names_what_there_is() -> None:
    commands = [line.partition("create secret generic ")[2] for line in GUIDE.replace("\\\n", " ").splitlines()]
    secrets = {command.split()[0]: set(re.findall(r"--from-literal=([\w-]+)=", command)) for command in commands if command}
    assert secrets == SECRETS | {name: set() for name in FROM_FILES}
    assert all(f"`{key}=…`" in GUIDE for key in SECRETS["dreamsweep-store"])
    variables = {name.rpartition(".")[2] for name in re.findall(r"--variable ([a-z_.]+)=", GUIDE)}
    assert len(variables) >= 8 and variables <= TEMPLATE["variables"]["properties"].keys()
    paths = [path for path in re.findall(r"infra/[\w./-]+\w", GUIDE) if "/mine" not in path]
    assert paths and [path for path in paths if not (INFRA.parent / path).exists()] == []


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed, which builds kustomizations")
def test_guides_own_kustomization_builds(tmp_path: Path) -> None:
    shutil.copytree(INFRA / "kubernetes", tmp_path, dirs_exist_ok=True)
    mine = tmp_path / "overlays" / "mine"
    mine.mkdir()
    text = textwrap.dedent(GUIDE.partition("kustomization.yaml <<END\n")[2].partition("    END\n")[0])
    (mine / "kustomization.yaml").write_text(text.replace("$IMAGE", "registry.example.org/dreamsweep"))
    done = subprocess.run([str(KUBECTL), "kustomize", str(mine)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "image: registry.example.org/dreamsweep:0.1.0-cpu" in done.stdout and "AWS_DEFAULT_REGION: eu-central-1" in done.stdout


def test_what_pods_refer_to_is_there() -> None:
    maps = {s["configMapRef"]["name"] for c in _containers() for s in c.get("envFrom", ()) if "configMapRef" in s}
    assert maps == _names("ConfigMap")
    for pod in PODS.values():
        spec = pod["spec"]
        assert spec.get("serviceAccountName", "default") in {*_names("ServiceAccount"), "default"}
        claims = {v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v}
        assert claims <= _names("PersistentVolumeClaim")
        mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
        templates = {"data"} if pod["metadata"]["labels"] == POSTGRES else set()
        assert mounted == {volume["name"] for volume in spec["volumes"]} | templates
    (binding,) = _of_kind("RoleBinding")
    assert binding["roleRef"]["name"] in _names("Role")
    assert {subject["name"] for subject in binding["subjects"]} <= _names("ServiceAccount")
    assert {m["metadata"].get("namespace", "dreamsweep") for m in MANIFESTS} == _names("Namespace") == {"dreamsweep"}


def test_selectors_find_their_pods() -> None:
    selectors = [service["spec"]["selector"] for service in _of_kind("Service")]
    selectors += [m["spec"]["selector"]["matchLabels"] for m in _of_kind("Deployment", "StatefulSet", "PodDisruptionBudget")]
    selectors += [labels for m in _of_kind("NetworkPolicy") if (labels := m["spec"]["podSelector"].get("matchLabels"))]
    assert len(selectors) > 5 and all(selectors)
    for selector in selectors:
        assert any(selector.items() <= pod["metadata"]["labels"].items() for pod in PODS.values()), selector


def test_ports_of_services_and_probes_are_those_of_containers() -> None:
    assert len(list(_of_kind("Service"))) > 1
    for service in _of_kind("Service"):
        (pod,) = (p for p in PODS.values() if service["spec"]["selector"].items() <= p["metadata"]["labels"].items())
        ports = {port["name"]: port["containerPort"] for c in pod["spec"]["containers"] for port in c["ports"]}
        assert all(ports[port["targetPort"]] == port["port"] for port in service["spec"]["ports"])
    for container in _containers():
        probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe") if name in container]
        names = {port["name"] for port in container.get("ports", ())}
        assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= names
    for container in PODS["Deployment-prefect-worker"]["spec"]["containers"]:
        (port,) = (entry["value"] for entry in container["env"] if entry["name"] == "PREFECT_WORKER_WEBSERVER_PORT")
        assert [p["containerPort"] for p in container["ports"]] == [int(port)]


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_pods_keep_to_the_restricted_standard(pod: Manifest) -> None:
    (namespace,) = _of_kind("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert not any("hostPath" in volume for volume in spec["volumes"])
    assert spec["automountServiceAccountToken"] is (spec.get("serviceAccountName") == "prefect-worker")
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys() and "memory" in container["resources"]["limits"]


def test_pods_run_as_the_images_user() -> None:
    dockerfile = (INFRA.parent / "docker" / "Dockerfile").read_text()
    users = {pod["spec"]["securityContext"]["runAsUser"] for name, pod in PODS.items() if "postgres" not in name}
    assert users == {10001} and "\nUSER 10001:10001\n" in dockerfile


@pytest.mark.parametrize(("variables", "limit"), [({"gpus": 0}, 0), ({"gpus": 2}, 2), ({}, 0)])
def test_gpus_are_asked_for(variables: Manifest, limit: int) -> None:
    (container,) = _job(**variables)["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == limit


def test_variables_reach_the_job() -> None:
    tolerations = [{"key": "spot", "operator": "Exists"}]
    spec = _job(
        image="registry/dreamsweep:7",
        node_selector={"gpu": "l4"},
        tolerations=tolerations,
        runtime_class="nvidia",
        weights_claim={"claimName": "elsewhere"},
        secret="other",
        grace_seconds=300,
        env={"DREAMSWEEP_OFFLINE": "1"},
    )["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "registry/dreamsweep:7"
    assert (spec["nodeSelector"], spec["tolerations"], spec["runtimeClassName"]) == ({"gpu": "l4"}, tolerations, "nvidia")
    assert {"name": "weights", "persistentVolumeClaim": {"claimName": "elsewhere"}} in spec["volumes"]
    assert {"secretRef": {"name": "other", "optional": True}} in container["envFrom"]
    assert {"name": "DREAMSWEEP_OFFLINE", "value": "1"} in container["env"]
    assert spec["terminationGracePeriodSeconds"] == 300


def test_every_variable_is_described_and_used() -> None:
    properties, template = TEMPLATE["variables"]["properties"], json.dumps(TEMPLATE["job_configuration"])
    assert all(schema["description"].endswith(".") for schema in properties.values())
    assert {name for name in properties if f"{{{{ {name} }}}}" not in template} == set()
    assert properties["image"]["default"] == f"dreamsweep:{__version__}"


def test_template_follows_prefects_own() -> None:
    """A newer prefect-kubernetes may want more of it."""
    own = KubernetesWorker.get_default_base_job_template()
    assert TEMPLATE["job_configuration"].keys() == own["job_configuration"].keys()
    assert own["variables"]["properties"].keys() - TEMPLATE["variables"]["properties"].keys() == {"backoff_limit"}


def test_prefect_tries_again_and_not_kubernetes() -> None:
    spec = _job()["spec"]
    assert spec["backoffLimit"] == 0 and spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["ttlSecondsAfterFinished"] > 0
    # two minutes: an iteration and a checkpoint, told by SIGTERM to the process that makes them
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 60
    assert spec["template"]["spec"]["containers"][0]["args"] == ["python", "-m", "prefect.engine"]


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        (WORKER, SERVER, 4200, True),
        (FLOW_RUN, SERVER, 4200, True),
        (SERVER, POSTGRES, 5432, True),
        (FLOW_RUN, "93.184.216.34", 443, True),
        (WORKER, "10.96.0.1", 443, True),
        (SERVER, "93.184.216.34", 443, True),
        (FLOW_RUN, "169.254.170.23", 80, True),
        (FLOW_RUN, "169.254.169.254", 80, False),
        (FLOW_RUN, "169.254.169.254", 443, False),
        (FLOW_RUN, "10.96.0.1", 6443, False),
        (FLOW_RUN, POSTGRES, 5432, False),
        (WORKER, POSTGRES, 5432, False),
        (FLOW_RUN, WORKER, 8080, False),
        ({}, SERVER, 4200, False),
        (REVIEW, "93.184.216.34", 443, True),
        (REVIEW, "169.254.169.254", 80, False),
        (REVIEW, SERVER, 4200, False),
        (FLOW_RUN, REVIEW, 4300, False),
    ],
)
def test_policies_allow_what_is_needed_and_no_more(source: Manifest, target: Manifest | str, port: int, allowed: bool) -> None:
    incoming = isinstance(target, str) or _allows("Ingress", target, source, port)
    assert (_allows("Egress", source, target, port) and incoming) is allowed


def test_the_review_page_knows_no_secret_but_its_own() -> None:
    (review,) = (container for container in _containers() if container["name"] == "review")
    secrets = {entry["valueFrom"]["secretKeyRef"]["name"] for entry in review["env"] if "valueFrom" in entry}
    secrets |= {source["secretRef"]["name"] for source in review["envFrom"] if "secretRef" in source}
    assert secrets == {"dreamsweep-review", "dreamsweep-review-store"}
    others = json.dumps([container for container in _containers() if container["name"] != "review"])
    assert "dreamsweep-review" not in others


def test_prefect_removes_old_flow_runs() -> None:
    (settings,) = (m["data"] for m in _of_kind("ConfigMap") if m["metadata"]["name"] == "prefect-server")
    assert sorted(value for key, value in settings.items() if "DB_VACUUM" in key) == ["P90D", "events,flow_runs"]


def test_worker_does_what_its_role_allows_and_tells_no_secret(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    (settings,) = (m["data"] for m in _of_kind("ConfigMap") if m["metadata"]["name"] == "prefect-worker")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    async def start_and_end() -> None:
        worker = KubernetesWorker(work_pool_name="gpu")
        configuration = await _configuration()
        configuration.cluster_config = KubernetesClusterConfig(config=cluster.kubeconfig, context_name="here")
        async with worker._get_configured_kubernetes_client(configuration) as client:
            await worker._create_job(configuration, client)
        await worker.kill_infrastructure("dreamsweep:night-0123-1-x7", configuration)

    asyncio.run(start_and_end())
    assert [(method, path) for method, path, _ in cluster.requests] == [
        ("POST", "/apis/batch/v1/namespaces/dreamsweep/jobs"),
        ("DELETE", "/apis/batch/v1/namespaces/dreamsweep/jobs/night-0123-1-x7"),
    ]
    (role,) = _of_kind("Role")
    (jobs,) = (rule for rule in role["rules"] if rule["apiGroups"] == ["batch"])
    assert jobs["resources"] == ["jobs"] and {"create", "delete"} <= set(jobs["verbs"])
    posted = json.loads(cluster.requests[0][2])
    kubernetes_validate.validate(posted, VERSIONS[-1], strict=True)
    assert {"name": "PREFECT_API_AUTH_STRING", "valueFrom": {"secretKeyRef": {"name": "prefect-api", "key": "auth-string"}}} in (
        posted["spec"]["template"]["spec"]["containers"][0]["env"]
    )
    assert "a-secret" not in json.dumps(posted)


def _allows(direction: str, pod: Manifest, other: Manifest | str, port: int) -> bool:
    """Whether the policies that select a pod let it speak to, or hear, another pod or address."""
    side, key = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
    policies = [
        policy["spec"]
        for policy in _of_kind("NetworkPolicy")
        if direction in policy["spec"]["policyTypes"] and policy["spec"]["podSelector"].get("matchLabels", {}).items() <= pod.items()
    ]
    assert policies
    rules = [rule for policy in policies for rule in policy.get(key, ())]
    return any(
        port in {entry["port"] for entry in rule["ports"]} and (side not in rule or any(_is_peer(peer, other) for peer in rule[side]))
        for rule in rules
    )


def _is_peer(peer: Manifest, other: Manifest | str) -> bool:
    if isinstance(other, str):
        block, address = peer.get("ipBlock", {}), ipaddress.ip_address(other)
        parts = [ipaddress.ip_network(part) for part in (block.get("cidr", "255.255.255.255"), *block.get("except", ()))]
        return address in parts[0] and not any(address in part for part in parts[1:])
    return "podSelector" in peer and peer["podSelector"]["matchLabels"].items() <= other.items()

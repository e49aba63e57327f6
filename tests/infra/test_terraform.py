"""The bucket, its roles and the cluster: formatted, valid, planned against a made-up account, and the rights enough but no more."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from dreamsweep.errors import StoreError
from dreamsweep.results.appended import append
from dreamsweep.store import open_store
from dreamsweep.tables.registry import APPENDED
from tests.conftest import moto_server

TERRAFORM = Path(__file__).parents[2] / "infra" / "terraform"
COMMAND = shutil.which("terraform")
PROVIDER = "registry.terraform.io/hashicorp/aws/5.100.0"
BUCKET, PREFIX = "arn:aws:s3:::a-bucket", "night"

Block = dict[str, Any]
needs_terraform = pytest.mark.skipif(COMMAND is None, reason="terraform is not installed")


def _plain(value: Any) -> Any:
    """Parsed HCL without the marks of its parser: quotes, comments, what is a block."""
    match value:
        case dict():
            return {_plain(key): _plain(inner) for key, inner in value.items() if key not in ("__is_block__", "__comments__")}
        case list():
            return [_plain(inner) for inner in value]
        case str() if value.startswith('"') and value.endswith('"'):
            return value[1:-1]
    return value


def _parsed(folder: Path) -> list[Block]:
    return [_plain(hcl2.loads(file.read_text())) for file in sorted(folder.glob("*.tf"))]


def _blocks(folder: Path, kind: str) -> Iterator[tuple[str, Block]]:
    """Every variable or output by name, every resource as `type.name`."""
    for file in _parsed(folder):
        for block in file.get(kind, ()):
            for name, body in block.items():
                if kind == "resource":
                    yield from ((f"{name}.{inner}", block) for inner, block in body.items())
                else:
                    yield name, body


RESOURCES = dict(_blocks(TERRAFORM, "resource"))


def _policy(name: str, prefix: str = PREFIX) -> Block:
    """As templatefile renders it."""
    text = (TERRAFORM / "policies" / f"{name}.json").read_text()
    appended = f"{BUCKET}/{prefix}/*/appended"
    for key, value in {"bucket": BUCKET, "objects": f"{BUCKET}/{prefix}/*", "prefix": f"{prefix}/*", "appended": appended}.items():
        text = text.replace(f"${{{key}}}", value)
    block: Block = json.loads(text)
    return block


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
    settings |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "AWS_EC2_METADATA_DISABLED": "true"}
    command = [str(COMMAND), f"-chdir={folder}", *arguments, "-no-color"]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with its provider, from a mirror of this machine: the folders that Terraform looks in by itself, or a package under /opt."""
    places = [Path.home() / ".terraform.d/plugins", Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins")]
    mirror = next((place for place in (*places, *Path("/opt").glob("*")) if (place / PROVIDER).is_dir()), None)
    if mirror is None:
        pytest.skip(f"no mirror on this machine has the provider {PROVIDER}")
    folder = tmp_path_factory.mktemp("terraform") / "copy"
    shutil.copytree(TERRAFORM, folder, ignore=shutil.ignore_patterns(".terraform*"))
    done = _run(folder, "init", "-backend=false", "-input=false", f"-plugin-dir={mirror}")
    assert done.returncode == 0, done.stderr
    return folder


@needs_terraform
def test_files_are_formatted() -> None:
    done = _run(TERRAFORM, "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout


@needs_terraform
def test_configuration_is_valid(initialised: Path) -> None:
    done = _run(initialised, "validate")
    assert done.returncode == 0, done.stderr


@needs_terraform
@pytest.mark.slow
def test_plans_are_as_promised(initialised: Path) -> None:
    done = _run(initialised, "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed" in done.stdout and done.stdout.count("... pass") == 9


def test_bucket_is_private_and_encrypted() -> None:
    closed = RESOURCES["aws_s3_bucket_public_access_block.store"]
    assert all(closed[name] for name in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"))
    assert RESOURCES["aws_s3_bucket_ownership_controls.store"]["rule"] == [{"object_ownership": "BucketOwnerEnforced"}]
    (rule,) = RESOURCES["aws_s3_bucket_server_side_encryption_configuration.store"]["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert "AES256" in default["sse_algorithm"] and "aws:kms" in default["sse_algorithm"]
    assert RESOURCES["aws_s3_bucket.store"]["force_destroy"] is False
    assert {statement["Effect"] for statement in _policy("bucket")["Statement"]} == {"Deny"}
    assert {"Bool": {"aws:SecureTransport": "false"}} in [statement["Condition"] for statement in _policy("bucket")["Statement"]]


def test_no_rule_removes_what_a_manifest_may_name() -> None:
    lifecycle = RESOURCES["aws_s3_bucket_lifecycle_configuration.store"]
    rules = [*lifecycle["rule"], *(content for block in lifecycle["dynamic"] for content in block["rule"]["content"])]
    assert len(rules) == 3
    expirations, transitions = ([each for rule in rules for each in rule.get(name, ())] for name in ("expiration", "transition"))
    assert [set(expiration) for expiration in expirations] == [{"expired_object_delete_marker"}]
    assert [transition["storage_class"] for transition in transitions] == ["INTELLIGENT_TIERING"]


def test_rights_are_named_one_by_one() -> None:
    reading, listing = {"s3:GetObject"}, {"s3:ListBucket"}
    writing = {"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads"}
    objects, *marks = f"{BUCKET}/{PREFIX}/*", *(f"{BUCKET}/{PREFIX}/*/appended/{table}/*.json" for table in APPENDED)
    reviewer = [(listing, BUCKET), (reading, objects), ({"s3:PutObject"}, *marks)]
    worker = [(listing | {"s3:ListBucketMultipartUploads"}, BUCKET), (reading | writing - {"s3:ListBucketMultipartUploads"}, objects)]
    for name, allowed in (("reviewer", reviewer), ("worker", worker)):
        assert [({*statement["Action"]}, *statement["Resource"]) for statement in _policy(name)["Statement"]] == allowed


def test_providers_are_pinned() -> None:
    for folder in (TERRAFORM, TERRAFORM / "cluster"):
        (settings,) = (block for file in _parsed(folder) for block in file.get("terraform", ()))
        assert [f"registry.terraform.io/{p['source']}/{p['version']}" for p in settings["required_providers"][0].values()] == [PROVIDER]


def test_variables_and_outputs_are_described() -> None:
    for folder in (TERRAFORM, TERRAFORM / "cluster"):
        described = [*_blocks(folder, "variable"), *_blocks(folder, "output")]
        assert described and [name for name, body in described if not body.get("description")] == []
    example = _plain(hcl2.loads((TERRAFORM / "terraform.tfvars.example").read_text()))
    variables = dict(_blocks(TERRAFORM, "variable"))
    assert example.keys() <= variables.keys()
    assert {name for name, body in variables.items() if "default" not in body} <= example.keys()


@pytest.mark.parametrize(("pods", "file"), [("flow_runs", "access.yaml"), ("review", "review.yaml")])
def test_pods_of_the_manifests_take_the_role(pods: str, file: str) -> None:
    (association,) = (body for name, body in _blocks(TERRAFORM / "cluster", "resource") if name.endswith(f"association.{pods}"))
    account = (TERRAFORM.parent / "kubernetes" / "base" / file).read_text()
    assert association["namespace"] == "dreamsweep"
    assert f"name: {association['service_account']}\n" in account
    assert f'"{association["service_account"]}"' in (TERRAFORM / "roles.tf").read_text()


@pytest.fixture(scope="module")
def granted() -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """An S3 server that checks rights; a bucket, and a user for each of our policies: address and keys."""
    import boto3

    with moto_server(no_auth_actions=7) as address:
        known = {"endpoint_url": address, "region_name": "us-east-1", "aws_access_key_id": "root", "aws_secret_access_key": "root"}
        iam, keys = boto3.client("iam", **known), {}
        for user in ("worker", "reviewer"):
            iam.create_user(UserName=user)
            iam.put_user_policy(UserName=user, PolicyName="store", PolicyDocument=json.dumps(_policy(user)))
            key = iam.create_access_key(UserName=user)["AccessKey"]
            keys[user] = (key["AccessKeyId"], key["SecretAccessKey"])
        boto3.client("s3", **known).create_bucket(Bucket="a-bucket")
        yield address, keys


def test_rights_are_enough_and_no_more(
    granted: tuple[str, dict[str, tuple[str, str]]], aws_settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address, keys = granted
    aws_settings.setenv("AWS_ENDPOINT_URL", address)
    aws_settings.setenv("AWS_DEFAULT_REGION", "us-east-1")

    def become(user: str) -> None:
        aws_settings.setenv("AWS_ACCESS_KEY_ID", keys[user][0])
        aws_settings.setenv("AWS_SECRET_ACCESS_KEY", keys[user][1])

    large = tmp_path / "large"
    large.write_bytes(bytes(9 << 20))  # goes in parts
    become("worker")
    store = open_store(f"s3://a-bucket/{PREFIX}")
    store.check()
    store.write("demo/manifest.json", b"{}")
    store.write_file("demo/tables/scores.parquet", large)
    store.delete("demo/missing")
    assert [*store.keys("demo/")] == ["demo/manifest.json", "demo/tables/scores.parquet"]
    assert not store.exists("demo/missing")
    with pytest.raises(StoreError, match="access denied"):
        open_store("s3://a-bucket/elsewhere").write("manifest.json", b"{}")

    become("reviewer")
    store = open_store(f"s3://a-bucket/{PREFIX}")
    assert store.read("demo/manifest.json") == b"{}" and [*store.folders()] == ["demo"]
    mark = append(store, "demo", "ratings", {"trial_id": "0" * 16, "kind": "pick", "value": 1.0, "rated_by": "somebody"})
    duel = append(store, "demo", "duels", {"left_trial_id": "0" * 16, "right_trial_id": "1" * 16, "winner": "tie", "rated_by": "somebody"})
    assert {*store.keys("demo/appended/")} == {f"demo/appended/ratings/{mark}.json", f"demo/appended/duels/{duel}.json"}
    for elsewhere in ("demo/appended/ratings/folded.parquet", "demo/appended/others/1.json", "demo/pictures/0/best.png", "new.json"):
        with pytest.raises(StoreError, match="access denied"):
            store.write(elsewhere, b"{}")
    with pytest.raises(StoreError, match="access denied"):
        store.delete(f"demo/appended/ratings/{mark}.json")
    with pytest.raises(StoreError, match="access denied"):
        store.write("demo/manifest.json", b"[]")
    with pytest.raises(StoreError, match="access denied"):
        store.delete("demo/manifest.json")
    assert store.read("demo/manifest.json") == b"{}"

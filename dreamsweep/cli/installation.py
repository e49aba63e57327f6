"""Check of this machine: what is installed, which devices and weights it has, whether the store can be written."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from dreamsweep import __version__
from dreamsweep.environment import unwritable
from dreamsweep.errors import DreamsweepError, UserError
from dreamsweep.text import counted


@dataclass(frozen=True)
class Finding:
    """Finding of `dreamsweep doctor`: one printed line."""

    what: str
    detail: str
    ok: bool
    needed: bool = True
    """True if a sweep fails without it."""


def findings(store: str) -> Iterator[Finding]:
    """Checks everything, and yields one finding after the other."""
    yield Finding("dreamsweep", __version__, ok=True)
    yield from _python_and_packages()
    yield _httpfs()
    yield from _devices()
    yield from _starter_weights()
    yield from _published_weights()
    yield from _folders()
    yield from _store(store)


def _python_and_packages() -> Iterator[Finding]:
    """Checks the interpreter and everything that the package's metadata asks for: a line for what is in order, one for each fault and
    extra.
    """
    from packaging.specifiers import SpecifierSet

    from dreamsweep.cli.packages import US, packages

    machine = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    try:
        versions, listed = (metadata.metadata(US).get_all("Requires-Python") or [""])[0], packages(US)
    except metadata.PackageNotFoundError:
        yield Finding("python", machine, ok=True)
        yield Finding("packages", f"{US} itself is not installed, so that nothing says what it needs; pip install -e .", ok=False)
        return
    right = SpecifierSet(versions).contains(platform.python_version(), prereleases=True)
    yield Finding("python", machine if right else f"{machine}, but {versions} is needed", ok=right)
    whole = [package for package in listed if not (package.extra or package.fault)]
    yield Finding("packages", ", ".join(f"{package.name} {package.version}" for package in whole), ok=True)
    for package in listed:
        if package.fault and not package.extra:
            yield Finding(f"package {package.name}", package.fault, ok=False)
        elif package.extra:
            text = f"{package.name} {package.fault or package.version}"
            # an extra that is not installed is a choice; one that is installed in a wrong version breaks what it is for
            yield Finding(f"extra {package.extra}", text, ok=not package.fault, needed=bool(package.version))


def _httpfs() -> Finding:
    """DuckDB's S3 reader, which comes as a package and must be for this very version of DuckDB."""
    try:
        import duckdb

        from dreamsweep.report.query import httpfs_extension
    except ImportError as error:
        return Finding("duckdb httpfs", f"DuckDB cannot be imported ({error})", ok=False)
    try:
        with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
            connection.load_extension(str(httpfs_extension()))
    except (DreamsweepError, duckdb.Error) as error:
        return Finding("duckdb httpfs", " ".join(str(error).split()), ok=False)
    return Finding("duckdb httpfs", f"loads into DuckDB {duckdb.__version__}", ok=True)


def _devices() -> Iterator[Finding]:
    try:
        import torch

        from dreamsweep.compute.devices import available_devices
        from dreamsweep.compute.threads import set_threads

        devices, threads = available_devices(), set_threads()
    except ImportError as error:
        yield Finding("devices", f"torch cannot be imported ({error})", ok=False)
        return
    except UserError as error:
        yield Finding("threads", str(error), ok=False)
        return
    details = {"cpu": f"{counted(threads.number, 'thread')} ({threads.reason})"}
    if "cuda" in devices:
        details["cuda"] = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    for device in ("cpu", "cuda", "mps"):
        available = device in devices
        yield Finding(f"device {device}", details.get(device, "there") if available else "not there", available, needed=device == "cpu")


def _starter_weights() -> Iterator[Finding]:
    from dreamsweep.weights.starter import STARTER_FOLDERS, STARTER_NAMES, expected_sha256, file_sha256, folder_sha256, weights_folder

    for name in (*STARTER_NAMES, *STARTER_FOLDERS):
        path = weights_folder() / (name if name in STARTER_FOLDERS else f"{name}.safetensors")
        try:
            expected = expected_sha256(name)
            actual = folder_sha256(path) if name in STARTER_FOLDERS else file_sha256(path, name)
        except DreamsweepError as error:
            yield Finding(f"weights {name}", str(error), ok=False)
            continue
        whole = actual == expected
        size = sum(file.stat().st_size for file in (path.rglob("*") if name in STARTER_FOLDERS else (path,)) if file.is_file())
        detail = f"{size / 1e6:.1f} MB, SHA-256 {actual[:12]}…"
        yield Finding(f"weights {name}", detail if whole else f"{detail}, but {expected[:12]}… was shipped; restore it with git", ok=whole)


def _published_weights() -> Iterator[Finding]:
    from dreamsweep.weights.cache import cache_folder
    from dreamsweep.weights.registry import registry

    try:
        folder = cache_folder()
    except UserError:  # told of with the folders
        return
    names = [name for name, model in registry().items() if all((folder / model.folder / file).is_file() for file in model.files)]
    detail = ", ".join(names) if names else f"none yet in {folder}; fetched when a sweep first names one, or by dreamsweep weights pull"
    yield Finding("published weights", detail, ok=bool(names), needed=False)


def _folders() -> Iterator[Finding]:
    """Folders in the user's home, or where the environment says: a plain run does without them."""
    from dreamsweep.cli.terminal import state_home
    from dreamsweep.flows.local_server import prefect_home
    from dreamsweep.weights.cache import cache_home

    for what, find in (("folder of logs", state_home), ("folder of weights", cache_home), ("Prefect's home", prefect_home)):
        try:
            variable, folder = find()
        except UserError as error:
            yield Finding(what, str(error), ok=False, needed=False)
            continue
        reason = unwritable(folder)
        yield Finding(what, f"{variable}: {reason}" if reason else f"{folder} can be written", ok=reason is None, needed=False)


WRITERS = {
    "kept": "If-Match and If-None-Match are kept: two runs of one sweep at a time are safe",
    "ignored": "the server ignores If-Match and If-None-Match: runs of one sweep at a time publish in turn, by leases beside its manifest",
    "refused": "the server has no If-Match and If-None-Match: runs of one sweep at a time publish in turn, by leases beside its manifest",
}
"""What follows from what an S3 server does with conditional writes."""


def _store(uri: str) -> Iterator[Finding]:
    from dreamsweep.store import open_store

    try:
        store = open_store(uri)
        store.check()
    except DreamsweepError as error:
        yield Finding("store", str(error), ok=False)
        return
    yield Finding("store", f"{store.uri} can be written", ok=True)
    if store.uri.startswith("s3://"):
        from dreamsweep.store.s3 import S3Store

        assert isinstance(store, S3Store)
        conditions = store.conditional_writes()
        yield Finding("conditional writes", WRITERS[conditions], ok=True, needed=False)

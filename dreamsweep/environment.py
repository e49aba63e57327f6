"""Switches, numbers, folders and proxies that the environment names."""

import errno
import importlib.util
import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

from dreamsweep.errors import UserError


def is_on(variable: str) -> bool:
    """Returns whether an environment variable is set, to anything but `0`, `false` or `no`."""
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no")


CHECKPOINT_SECONDS = 15.0
"""Between a shard's checkpoints, unless DREAMSWEEP_CHECKPOINT_SECONDS says otherwise: what a kill loses at most."""


def checkpoint_seconds() -> float:
    """Returns the seconds between a shard's checkpoints. Raises UserError where the environment says nonsense."""
    return seconds("DREAMSWEEP_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS)


PUBLISH_SECONDS = 120.0
"""Seconds between two publications of a sweep that is still running, unless DREAMSWEEP_PUBLISH_SECONDS says otherwise."""


def publish_seconds() -> float:
    """Returns the seconds between two publications of a running sweep. Raises UserError where the environment holds no such number."""
    return seconds("DREAMSWEEP_PUBLISH_SECONDS", PUBLISH_SECONDS)


def gibibytes(variable: str) -> int | None:
    """Bytes from an environment variable in GiB, such as 6.5; None where it is not set. Raises UserError where it holds something else."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 < size < float("inf"):
        raise UserError(f"{variable}: {text!r} is no size in GiB; write a number above 0, such as 6.5, or unset it.")
    return int(size * 2**30)


SHARDS_AT_ONCE = "DREAMSWEEP_SHARDS_AT_ONCE"
"""Variable that says how many shards this machine makes at once; work pools of processes and Docker containers set it."""


def count(variable: str, default: int) -> int:
    """Returns the count, 1 or more, that an environment variable holds. Raises UserError where it holds something else."""
    text = os.environ.get(variable, "").strip() or str(default)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UserError(f"{variable}: {text!r} is no count; write a whole number from 1 on, or unset it.")
    return int(text)


def seconds(variable: str, default: float) -> float:
    """Returns the seconds that an environment variable holds. Raises UserError where it holds something else."""
    text = os.environ.get(variable, "").strip()
    try:
        value = float(text or default)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UserError(f"{variable}: {text!r} is no span of seconds; write 0 or more, such as {default:g}.")
    return value


def home() -> Path:
    """Returns the user's home folder. Raises UserError where the system knows none."""
    try:
        return Path.home()
    except RuntimeError:
        raise UserError("HOME is not set, and the system knows no home of this user; set HOME to a folder that can be written.") from None


def writable_folder(variable: str, folder: Path) -> Path:
    """Returns the folder, made where it is missing. Raises UserError, which names the variable, where nothing can be written in it."""
    if reason := unwritable(folder):
        raise UserError(f"{variable}: {reason}; set {variable} to a folder that can be written.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{variable}: {_reason(folder, error)}; set {variable} to a folder that can be written.") from None
    return folder


def unwritable(folder: Path) -> str | None:
    """Returns why nothing can be written in a folder, or it cannot be made; None if it can. Nothing is written or made."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        return _reason(folder, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest)))
    if not os.access(nearest, os.W_OK | os.X_OK):
        return _reason(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest)))
    return None


def _reason(folder: Path, error: OSError) -> str:
    place = str(error.filename or folder)
    at = f" at {place!r}" if place != str(folder) else ""
    return f"{str(folder)!r} cannot be written ({error.strerror or error}{at})"


LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
ENDPOINTS = ("PREFECT_API_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "DREAMSWEEP_WEIGHTS_MIRROR")
"""Variables that name servers."""


def is_loopback(host: str) -> bool:
    """Returns whether a host is this machine, by a name or an address of its own loopback interface."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def bypass_proxies_on_loopback() -> None:
    """Has this process, and those that it starts, reach servers on the loopback address directly, whatever proxies are set.

    Their names are added to NO_PROXY. Proxies that httpx would fail at are taken out of the environment: SOCKS proxies where the package
    socksio is not installed, and what is no address.
    """
    proxies = [name for name in os.environ if name.lower() in PROXIES and os.environ[name].strip()]
    for name in proxies:
        if not _is_usable(os.environ[name]):
            del os.environ[name]
    if not any(name in os.environ for name in proxies):
        return
    given = [host.strip() for host in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")).split(",") if host.strip()]
    if "*" not in given:
        servers = [urlsplit(os.environ.get(name, "")).hostname or "" for name in ENDPOINTS]
        hosts = dict.fromkeys((*given, *LOOPBACK, *filter(is_loopback, filter(None, servers))))
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(hosts)


def _is_usable(proxy: str) -> bool:
    """Returns whether httpx takes it for a proxy; any other fails each client, whatever address it asks."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        _ = parts.port  # raises for what is no number
    except ValueError:
        return False
    if parts.scheme in ("socks5", "socks5h"):
        return importlib.util.find_spec("socksio") is not None
    return parts.scheme in ("http", "https") and bool(parts.hostname)

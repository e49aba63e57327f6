"""A name in, checked files out: what lies in the cache is compared with what is known of it, what is missing is downloaded first."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dreamsweep.environment import is_on
from dreamsweep.errors import WeightsError
from dreamsweep.weights import hub
from dreamsweep.weights.cache import Pin, cache_folder, file_sha256, pin, pins_file, read_pin, read_sha256, remember
from dreamsweep.weights.download import Report, download, mirrored
from dreamsweep.weights.progress import showing
from dreamsweep.weights.registry import Published, PublishedFile, find

_log = logging.getLogger(__name__)


def offline() -> bool:
    """Whether DREAMSWEEP_OFFLINE forbids the network."""
    return is_on("DREAMSWEEP_OFFLINE")


def entry(name: str) -> Published:
    """What is known of a model: from the registry, or, for a hub's `owner/name` outside it, from the hub, once, and then from the pins."""
    known = find(name)
    if known is not None:
        return known
    found = read_pin(name)
    if not found.files:
        url, place = hub.listing_url(name), cache_folder() / "hub" / name
        if offline():
            raise WeightsError(f"weights {name!r}: no file of it is in {place} and DREAMSWEEP_OFFLINE is set; {_unlisted_cure(place)}.")
        try:
            found = pin(name, *_fields(hub.listing(name)))
        except ConnectionError as error:
            raise WeightsError(f"weights {name!r}: {url} cannot be read ({error}); {_unlisted_cure(place)}.") from None
    return Published(folder=f"hub/{name}", hub=name, revision=found.revision, files={file: PublishedFile() for file in found.files})


def folder(name: str) -> Path:
    """Where a model's files lie, or would, whether they are there or not."""
    return cache_folder() / entry(name).folder


def paths(name: str) -> dict[str, Path]:
    """The files of a model, checked, and downloaded first where they are not here yet (see `dreamsweep.weights.paths`)."""
    model = entry(name)
    found = {file: cache_folder() / model.folder / file for file in model.files}
    missing = [file for file, path in found.items() if not _is_whole(name, model, file, path)]
    if missing and offline():
        first = missing[0]
        raise WeightsError(
            f"weights {name!r}: {first} is not here and DREAMSWEEP_OFFLINE is set; put {_url(name, model, first)} at {found[first]} "
            f"by hand, or use {model.instead}, which ships with dreamsweep."
        )
    if missing:
        with _alone(name, model):
            for file in missing:
                if not _is_whole(name, model, file, found[file]):  # another process may have fetched it meanwhile
                    _fetch(name, model, file, found[file])
    return found


def sha256(name: str) -> dict[str, str]:
    """The SHA-256 of each file of a model that `paths` has made sure of, by file name."""
    return {file: file_sha256(path) for file, path in paths(name).items()}


def digest(name: str) -> str:
    """One SHA-256 for a whole model: its file's, or, of several, that over their names and hashes."""
    found = sha256(name)
    if len(found) == 1:
        return next(iter(found.values()))
    return hashlib.sha256("".join(f"{file}:{found[file]}\n" for file in sorted(found)).encode()).hexdigest()


def expected(name: str, model: Published, file: str) -> str | None:
    """What a file must hash to: as published, or else as pinned; None before its first use."""
    return model.files[file].sha256 or read_pin(name).files.get(file)


def check(name: str, model: Published, file: str, path: Path, afresh: bool = False) -> None:
    """Compares a file with what it must hash to, and pins its hash if nobody knows it. Raises WeightsError when they differ."""
    try:
        found = file_sha256(path, afresh)
    except OSError as error:
        raise WeightsError(f"weights {name!r}: {path} cannot be read ({error.strerror}); make it readable, or delete it.") from None
    wanted = expected(name, model, file) or pin(name, files={file: found}).files[file]
    if found != wanted:
        told = _differs(model, file, found, wanted)
        raise WeightsError(f"weights {name!r}: {path} {told}; delete it to fetch it again{_unpin(model, file)}.")


def _is_whole(name: str, model: Published, file: str, path: Path) -> bool:
    if not path.is_file():
        return False
    check(name, model, file, path)
    return True


def _fetch(name: str, model: Published, file: str, path: Path) -> None:
    """Downloads one file beside its place, compares its hash, and only then moves it there."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        url = _url(name, model, file, ask=True)
        _log.info("fetching %s", url)
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = expected(name, model, file)
        with showing(f"{name} {file}" if len(model.files) > 1 else name) as report:
            found = _download(url, partial, report, wanted)
    except ConnectionError as error:
        url = _url(name, model, file)
        raise WeightsError(
            f"weights {name!r}: {file} cannot be fetched from {url} ({error}); put it at {path} by hand, or use {model.instead}, "
            "which ships with dreamsweep."
        ) from None
    except OSError as error:
        raise WeightsError(
            f"weights {name!r}: {path} cannot be written ({error.strerror}); make room there, or set DREAMSWEEP_WEIGHTS to another folder."
        ) from None
    if wanted is not None and found != wanted:
        partial.unlink()
        raise WeightsError(
            f"weights {name!r}: what {url} gave for {file} {_differs(model, file, found, wanted)}, and was thrown away; "
            f"put the right file at {path} by hand, set DREAMSWEEP_WEIGHTS_MIRROR to another place{_unpin(model, file)}."
        )
    partial.replace(path)
    remember(path, found)
    check(name, model, file, path)


def _download(url: str, partial: Path, report: Report, wanted: str | None) -> str:
    """Fetches into `partial` and returns its SHA-256; once more from the start if earlier bytes turn out to have been spoilt."""
    resumed = download(url, partial, report, hash_is_known=wanted is not None)
    found = read_sha256(partial)
    if resumed and wanted is not None and found != wanted:
        partial.unlink()
        download(url, partial, report, hash_is_known=True)
        found = read_sha256(partial)
    return found


def _url(name: str, model: Published, file: str, ask: bool = False) -> str:
    """Where a file is to come from now: at the commit that is pinned; `ask` asks the hub for one, and pins it, where there is none yet."""
    revision = model.revision or read_pin(name).revision
    if model.hub is not None and revision is None and ask:
        first = next(iter(model.files))
        newest = hub.newest_commit(model.hub, model.files[first].origin or first)
        revision = pin(name, revision=newest).revision
    return mirrored(model.url(file, revision or "main"))


@contextmanager
def _alone(name: str, model: Published) -> Iterator[None]:
    """One process at a time fetches into a folder; the others wait, and then find what it fetched."""
    place = cache_folder() / ".locks" / f"{model.folder.replace('/', '--')}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _log.info("another process fetches %s; waiting for it", name)
            lock.acquire()
    except OSError as error:
        raise WeightsError(
            f"weights {name!r}: {cache_folder()} cannot be written ({error.strerror}); `dreamsweep weights pull` them before that "
            "folder is mounted, or set DREAMSWEEP_WEIGHTS to another."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _differs(model: Published, file: str, found: str, wanted: str | None) -> str:
    by_whom = "was published" if model.files[file].sha256 else "was pinned when it was first used"
    return f"has SHA-256 {found[:12]}…, but {str(wanted)[:12]}… {by_whom}"


def _unpin(model: Published, file: str) -> str:
    """How to accept a change, where nobody has published what is right."""
    return "" if model.files[file].sha256 else f", or, if the change is meant, take its line out of {pins_file()}"


def _unlisted_cure(place: Path) -> str:
    return f"give the engine the folder of a copy in the format of diffusers as its model (such as {place}), or use weights: starter"


def _fields(found: Pin) -> tuple[str | None, dict[str, str | None]]:
    return found.revision, dict(found.files)

"""Published weights from a name to checked files: compares what is cached with its known hash, and downloads what is missing first."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dreamsweep.environment import bypass_proxies_on_loopback, is_on
from dreamsweep.errors import DownloadError, WeightsError
from dreamsweep.weights.cache import Pin, cache_folder, file_sha256, pin, pins_file, read_pin, read_sha256, remember
from dreamsweep.weights.download import AccessDeniedError, ProgressCallback, TemporaryDownloadError, download, mirrored
from dreamsweep.weights.progress import show_progress
from dreamsweep.weights.registry import Published, PublishedFile, find
from dreamsweep.weights.starter import hash_of_hashes

OFFLINE_SETTINGS = ("DREAMSWEEP_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables that forbid the network."""
_log = logging.getLogger(__name__)


def offline_setting() -> str | None:
    """Returns the environment variable that forbids the network, if one is set."""
    return next(filter(is_on, OFFLINE_SETTINGS), None)


def entry(name: str) -> Published:
    """Returns what is known of a model, from the registry; a repository `owner/name` outside it is looked up on the hub once, and pinned.

    Raises WeightsError when there is no such model.
    """
    listed = find(name)
    if listed is not None:
        return listed
    pinned = read_pin(name)
    if not pinned.files:
        pinned = _look_up(name)
    return Published(folder=f"hub/{name}", hub=name, revision=pinned.revision, files={file: PublishedFile() for file in pinned.files})


def _look_up(name: str) -> Pin:
    """Asks the hub which files a repository has, and pins them with its commit."""
    from dreamsweep.weights import hub  # huggingface_hub takes half a second to import

    folder = cache_folder() / "hub" / name
    cure = f"give the engine the folder of a copy in the format of diffusers as its model (such as {folder}), or use weights: starter"
    if setting := offline_setting():
        raise WeightsError(f"weights {name!r}: no file of it is in {folder} and {setting} is set; {cure}.")
    bypass_proxies_on_loopback()
    try:
        listing = hub.listing(name)
    except ConnectionError as error:
        raise _download_error(
            error, f"weights {name!r}: the hub cannot list {mirrored(hub.page_url(name))} ({error}); {_access(error, name)}{cure}."
        ) from None
    return pin(name, listing.revision, dict(listing.files))


def missing_files(model: Published) -> list[str]:
    """Returns the files of a model that are not in the cache. Nothing is downloaded, and no hash is compared."""
    return [file for file in model.files if not (cache_folder() / model.folder / file).is_file()]


def folder(name: str) -> Path:
    """Returns the folder of a model's files, whether they are in it yet or not."""
    return cache_folder() / entry(name).folder


def paths(name: str) -> dict[str, Path]:
    """Returns a model's files, checked, and downloaded first where they are missing (see `dreamsweep.weights.paths`)."""
    model = entry(name)
    files = {file: cache_folder() / model.folder / file for file in model.files}
    missing = [file for file, path in files.items() if not _is_complete(name, model, file, path)]
    if missing and (setting := offline_setting()):
        first = missing[0]
        raise WeightsError(
            f"weights {name!r}: {first} is missing and {setting} is set; put {_url(name, model, first)} at {files[first]} by hand"
            f"{_instead(model)}."
        )
    if missing:
        bypass_proxies_on_loopback()
        with _locked(name, model):
            for file in missing:
                if not _is_complete(name, model, file, files[file]):  # another process may have fetched it meanwhile
                    _fetch(name, model, file, files[file])
    return files


def sha256(name: str) -> dict[str, str]:
    """Returns the SHA-256 of each file of a model by file name, after `paths` has checked them."""
    return {file: file_sha256(path) for file, path in paths(name).items()}


def digest(name: str) -> str:
    """Returns one SHA-256 for a whole model: its file's, or, for several files, the one over their names and hashes."""
    hashes = sha256(name)
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hash_of_hashes(sorted(hashes.items()))


def expected(name: str, model: Published, file: str) -> str | None:
    """Returns what a file must hash to: as published, or else as pinned; None before its first use."""
    return model.files[file].sha256 or read_pin(name).files.get(file)


def check(name: str, model: Published, file: str, path: Path, reread: bool = False) -> None:
    """Compares a file with what it must hash to, and pins its hash if none is known. Raises WeightsError when they differ."""
    try:
        actual = file_sha256(path, reread)
    except OSError as error:
        raise WeightsError(f"weights {name!r}: {path} cannot be read ({error.strerror}); make it readable, or delete it.") from None
    wanted = expected(name, model, file)
    if wanted is None and _may_be(model, file, actual):
        wanted = pin(name, files={file: actual}).files[file]
    if actual != wanted:
        difference = _difference(model, file, actual, wanted)
        raise WeightsError(f"weights {name!r}: {path} {difference}; delete it to fetch it again{_unpin(model, file)}.")


def _may_be(model: Published, file: str, actual: str) -> bool:
    """Returns whether a SHA-256 begins as the published one does, where only its first digits were published."""
    return actual.startswith(model.files[file].sha256_start or "")


def _is_complete(name: str, model: Published, file: str, path: Path) -> bool:
    if not path.is_file():
        return False
    check(name, model, file, path)
    return True


def _fetch(name: str, model: Published, file: str, path: Path) -> None:
    """Downloads one file beside its place, compares its hash, and only then moves it there."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        url = _pinned_url(name, model, file)
        _log.info("fetching %s", url)
        path.parent.mkdir(parents=True, exist_ok=True)
        wanted = expected(name, model, file)
        with show_progress(f"{name} {file}" if len(model.files) > 1 else name) as on_progress:
            actual = _download(url, partial, on_progress, wanted, _headers(model, file))
    except ConnectionError as error:
        url = _url(name, model, file)
        raise _download_error(
            error,
            f"weights {name!r}: {file} cannot be fetched from {url} ({error}); {_access(error, model.hub)}put it at {path} by hand"
            f"{_instead(model)}.",
        ) from None
    except OSError as error:
        raise WeightsError(
            f"weights {name!r}: {path} cannot be written ({error.strerror}); make room there, or set DREAMSWEEP_WEIGHTS to another folder."
        ) from None
    if (wanted is not None and actual != wanted) or not _may_be(model, file, actual):
        partial.unlink()
        raise WeightsError(
            f"weights {name!r}: {file} from {url} {_difference(model, file, actual, wanted)}, and was deleted; "
            f"put the right file at {path} by hand, set DREAMSWEEP_WEIGHTS_MIRROR to another place{_unpin(model, file)}."
        )
    partial.replace(path)
    remember(path, actual)
    check(name, model, file, path)


def _instead(model: Published) -> str:
    """Returns the end of a sentence: what to use where a model cannot be had."""
    return (
        f", or use {model.instead}, which ships with dreamsweep" if model.instead else "; nothing that ships with dreamsweep does the same"
    )


def _download_error(error: ConnectionError, sentence: str) -> DownloadError | WeightsError:
    """Returns the error to raise for a failed download: whether it may pass by itself is decided here and nowhere else."""
    return DownloadError(sentence) if isinstance(error, TemporaryDownloadError) else WeightsError(sentence)


def _access(error: ConnectionError, repository: str | None) -> str:
    """Says how to get access to a repository that refuses it."""
    if not isinstance(error, AccessDeniedError) or repository is None:
        return ""
    return f"if it is private or has a licence to accept, accept it at https://huggingface.co/{repository} and set HF_TOKEN; else "


def _download(url: str, partial: Path, on_progress: ProgressCallback, wanted: str | None, headers: dict[str, str]) -> str:
    """Downloads into `partial` and returns its SHA-256; starts over once if earlier bytes turn out to be corrupt."""
    resumed = download(url, partial, on_progress, hash_is_known=wanted is not None, headers=headers)
    actual = read_sha256(partial)
    if resumed and wanted is not None and actual != wanted:
        partial.unlink()
        download(url, partial, on_progress, hash_is_known=True, headers=headers)
        actual = read_sha256(partial)
    return actual


def _headers(model: Published, file: str) -> dict[str, str]:
    """Returns what to send with the request for a file: the user's token, to the hub alone."""
    if model.hub is None or model.files[file].url is not None:
        return {}
    from dreamsweep.weights import hub

    return hub.request_headers()


def _pinned_url(name: str, model: Published, file: str) -> str:
    """Returns the address to fetch a file from; pins the newest commit of a hub repository first, where none is pinned yet."""
    if model.hub is not None and _revision(name, model) is None:
        from dreamsweep.weights import hub

        first = next(iter(model.files))
        pin(name, revision=hub.newest_commit(model.hub, model.files[first].origin or first))
    return _url(name, model, file)


def _url(name: str, model: Published, file: str) -> str:
    """Returns the address of a file, at the mirror if there is one."""
    published = model.files[file]
    if published.url is not None or model.hub is None:
        return mirrored(str(published.url))
    from dreamsweep.weights import hub

    return hub.file_url(model.hub, published.origin or file, _revision(name, model) or "main")


def _revision(name: str, model: Published) -> str | None:
    return model.revision or read_pin(name).revision


@contextmanager
def _locked(name: str, model: Published) -> Iterator[None]:
    """Lets one process at a time fetch into a folder; the others wait, and then use what it fetched."""
    path = cache_folder() / ".locks" / f"{model.folder.replace('/', '--')}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
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


def _difference(model: Published, file: str, actual: str, wanted: str | None) -> str:
    start = model.files[file].sha256_start
    if start is not None and not actual.startswith(start):
        return f"has SHA-256 {actual[:12]}…, but {start}… was published"
    origin = "was published" if model.files[file].sha256 else "was pinned when it was first used"
    return f"has SHA-256 {actual[:12]}…, but {str(wanted)[:12]}… {origin}"


def _unpin(model: Published, file: str) -> str:
    """Says how to accept a change, where no right hash was published."""
    return "" if model.files[file].sha256 else f", or, if the change is meant, take its line out of {pins_file()}"

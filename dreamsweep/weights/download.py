"""Downloads of single files over HTTP: resumes a partial file, and never mistakes it for a complete one.

huggingface_hub is not used for this: it starts an interrupted file from zero in the next process, and knows no plain URLs
(docs/decisions.md compares the two, promise by promise).
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from dreamsweep.errors import WeightsError

RETRY_DELAYS = (0.5, 1.0, 2.0)
"""Seconds before each retry after an attempt that brought nothing."""
TEMPORARY_STATUSES = (408, 425, 429, 500, 502, 503, 504)
"""HTTP statuses after which a retry may succeed."""
TIMEOUT = httpx2.Timeout(30.0, connect=10.0)

ProgressCallback = Callable[[int, int | None], None]
"""Function that receives the number of bytes so far, and the total if that is known."""
T = TypeVar("T")


class TemporaryDownloadError(ConnectionError):
    """Network failure or server error that may pass by itself: a timeout, a cut connection, 503."""


class PermanentDownloadError(ConnectionError):
    """Answer that a retry would not change, such as 404 Not Found."""


class AccessDeniedError(PermanentDownloadError):
    """401 or 403: the file is private, or its licence has to be accepted first."""


def mirrored(url: str) -> str:
    """Replaces scheme and host of a URL by DREAMSWEEP_WEIGHTS_MIRROR, where that is set."""
    mirror = os.environ.get("DREAMSWEEP_WEIGHTS_MIRROR", "").strip()
    if not mirror:
        return url
    if not mirror.startswith(("http://", "https://")) or not urlsplit(mirror).hostname:
        raise WeightsError(f"DREAMSWEEP_WEIGHTS_MIRROR={mirror!r}: it must be http:// or https:// and a host.")
    original = urlsplit(url)
    return mirror.rstrip("/") + original.path + (f"?{original.query}" if original.query else "")


def download(url: str, partial: Path, on_progress: ProgressCallback, hash_is_known: bool, headers: Mapping[str, str] | None = None) -> bool:
    """Downloads a file into `partial`, resuming what is in it; returns whether any earlier bytes were kept.

    Without a hash to check the whole file by, it resumes only if the server confirms (by ETag or Last-Modified) that the file has
    not changed. Raises TemporaryDownloadError or PermanentDownloadError with the reason, OSError when `partial` cannot be written.
    """
    resumed = False

    def attempt() -> bool:
        nonlocal resumed
        resumed |= _attempt(session, url, partial, on_progress, hash_is_known, dict(headers or {}))
        return resumed

    with httpx2.Client(follow_redirects=True, timeout=TIMEOUT) as session:
        return with_retries(attempt, progress=lambda: _size(partial))


def with_retries(attempt: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
    """Calls `attempt` until it succeeds, or has failed four times in a row while `progress` did not grow.

    Raises PermanentDownloadError at once where a retry would not help, else TemporaryDownloadError in the end.
    """
    failures = 0
    while True:
        before = progress()
        try:
            return attempt()
        except httpx2.HTTPError as error:
            status = _status(error)
            if status in (401, 403):
                raise AccessDeniedError(_reason(error)) from None
            if not _is_temporary(error):
                raise PermanentDownloadError(_reason(error)) from None
            failures = 1 if progress() > before else failures + 1
            if failures > len(RETRY_DELAYS):
                raise TemporaryDownloadError(_reason(error)) from None
            time.sleep(RETRY_DELAYS[failures - 1])


def _status(error: httpx2.HTTPError) -> int | None:
    """Returns the HTTP status of an error that is an answer; huggingface_hub has a class of its own for these."""
    response = getattr(error, "response", None)
    return response.status_code if isinstance(response, httpx2.Response) else None


def _is_temporary(error: httpx2.HTTPError) -> bool:
    status = _status(error)
    if status is not None:
        return status in TEMPORARY_STATUSES
    if isinstance(error, httpx2.UnsupportedProtocol) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    return isinstance(error, httpx2.TransportError)


def _reason(error: httpx2.HTTPError) -> str:
    """Says why a request failed, as the middle of a sentence."""
    response = getattr(error, "response", None)
    if isinstance(response, httpx2.Response):
        return f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
    if isinstance(error, httpx2.TimeoutException):
        return "the server did not answer in time"
    text = re.sub(r"^\[[^]]*\] ", "", str(error)).rstrip(".")
    return text[:1].lower() + text[1:] if text else type(error).__name__


def _attempt(
    session: httpx2.Client, url: str, partial: Path, on_progress: ProgressCallback, hash_is_known: bool, headers: dict[str, str]
) -> bool:
    """Makes one request; returns whether it resumed earlier bytes. Raises httpx2.HTTPError when the file is incomplete after it."""
    validator_file = partial.with_name(f"{partial.name}.validator")
    have, validator = _size(partial), validator_file.read_text() if validator_file.exists() else ""
    headers |= {"Accept-Encoding": "identity"}
    if have and (validator or hash_is_known):
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": validator} if validator else {})
    with session.stream("GET", url, headers=headers) as response:
        if response.status_code == 416 and _total(response) == have:
            return True  # it was complete, and only its renaming was interrupted
        if response.status_code == 416:
            partial.unlink(missing_ok=True)
            raise httpx2.RemoteProtocolError("the server's file is shorter than the partial one")
        response.raise_for_status()
        resumes = response.status_code == 206
        total = _total(response)
        if resumes and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise httpx2.RemoteProtocolError("the server sent another range than the one requested")
        validator_file.write_text(_validator(response))
        done = have if resumes else 0
        with partial.open("ab" if resumes else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                done += len(chunk)
                on_progress(done, total)
    if total is not None and done != total:
        raise httpx2.RemoteProtocolError(f"received {done:,} of {total:,} bytes")
    validator_file.unlink(missing_ok=True)
    return resumes


def _validator(response: httpx2.Response) -> str:
    """Returns what If-Range may be sent with: a strong ETag, or else the date.

    Returns nothing for a response that was encoded although we asked for identity: further bytes could not be appended to decoded ones.
    """
    if "Content-Encoding" in response.headers:
        return ""
    etag = str(response.headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _total(response: httpx2.Response) -> int | None:
    """Returns the whole file's size, from Content-Range or Content-Length."""
    content_range = re.fullmatch(r"bytes (?:[\d-]+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    if content_range:
        return int(content_range[1])
    length = response.headers.get("Content-Length", "")
    is_whole = response.status_code == 200 and "Content-Encoding" not in response.headers
    return int(length) if is_whole and length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

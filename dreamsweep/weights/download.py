"""One file over HTTP: it goes on where it was cut, and is never taken for whole before it is."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from dreamsweep.errors import WeightsError

WAITS = (0.5, 1.0, 2.0)
"""Seconds before each further attempt after one that brought nothing."""
RETRIED = (408, 425, 429, 500, 502, 503, 504)
"""Answers that another attempt may mend."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)

Report = Callable[[int, int | None], None]
"""Told how many bytes there are, and of how many, if that is known."""


def mirrored(url: str) -> str:
    """The address with its scheme and host replaced by DREAMSWEEP_WEIGHTS_MIRROR, where that is set."""
    mirror = os.environ.get("DREAMSWEEP_WEIGHTS_MIRROR", "").strip()
    if not mirror:
        return url
    if not mirror.startswith(("http://", "https://")) or not urlsplit(mirror).hostname:
        raise WeightsError(f"DREAMSWEEP_WEIGHTS_MIRROR={mirror!r}: it must be http:// or https:// and a host.")
    where = urlsplit(url)
    return mirror.rstrip("/") + where.path + (f"?{where.query}" if where.query else "")


def download(url: str, partial: Path, report: Report, hash_is_known: bool) -> bool:
    """Fetches a file into `partial`, going on from what is there; returns whether some of it was there before.

    Without a hash to check the whole by, it goes on only if the server vouches (ETag or Last-Modified) that the file is still the same.
    Raises ConnectionError with the reason when it cannot be had, OSError when it cannot be written.
    """
    resumed, failures = False, 0
    with client() as session:
        while True:
            before = _size(partial)
            try:
                resumed |= _attempt(session, url, partial, report, hash_is_known)
                return resumed
            except httpx.HTTPError as error:
                if not _worth_another(error):
                    raise ConnectionError(reason(error)) from None
                failures = 1 if _size(partial) > before else failures + 1
                if failures > len(WAITS):
                    raise ConnectionError(reason(error)) from None
                time.sleep(WAITS[failures - 1])


def client() -> httpx.Client:
    """A session that follows redirects, as hubs send them."""
    return httpx.Client(follow_redirects=True, timeout=TIMEOUT)


def reason(error: Exception) -> str:
    """Why it failed, in the words of a sentence's middle."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"the server answered {error.response.status_code} {error.response.reason_phrase}".rstrip()
    if isinstance(error, httpx.TimeoutException):
        return "the server did not answer in time"
    text = re.sub(r"^\[[^]]*\] ", "", str(error)).rstrip(".")
    return text[:1].lower() + text[1:] if text else type(error).__name__


def _worth_another(error: httpx.HTTPError) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in RETRIED
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _attempt(session: httpx.Client, url: str, partial: Path, report: Report, hash_is_known: bool) -> bool:
    """One request; returns whether it went on from earlier bytes. Raises httpx.HTTPError when the file is not whole after it."""
    voucher = partial.with_name(f"{partial.name}.same-as")
    have, same_as = _size(partial), voucher.read_text() if voucher.exists() else ""
    headers = {"Accept-Encoding": "identity"}
    if have and (same_as or hash_is_known):
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": same_as} if same_as else {})
    with session.stream("GET", url, headers=headers) as response:
        if response.status_code == 416 and _total(response) == have:
            return True  # it was whole, and only its renaming was cut
        if response.status_code == 416:
            partial.unlink(missing_ok=True)
            raise httpx.RemoteProtocolError("the server has less than was here")
        response.raise_for_status()
        goes_on = response.status_code == 206
        total = _total(response)
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise httpx.RemoteProtocolError("the server sent another range than was asked for")
        voucher.write_text(_vouched(response))
        done = have if goes_on else 0
        with partial.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                done += len(chunk)
                report(done, total)
    if total is not None and done != total:
        raise httpx.RemoteProtocolError(f"{done:,} of {total:,} bytes came")
    voucher.unlink(missing_ok=True)
    return goes_on


def _vouched(response: httpx.Response) -> str:
    """What tells this version of the file from another, as If-Range wants it: a strong ETag, or else the date.

    Nothing of what came encoded against our wish: the rest of it could not be joined to what was decoded.
    """
    if "Content-Encoding" in response.headers:
        return ""
    etag = str(response.headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _total(response: httpx.Response) -> int | None:
    """The whole file's size, from Content-Range or Content-Length."""
    ranged = re.fullmatch(r"bytes (?:[\d-]+|\*)/(\d+)", response.headers.get("Content-Range", ""))
    if ranged:
        return int(ranged[1])
    length = response.headers.get("Content-Length", "")
    whole = response.status_code == 200 and "Content-Encoding" not in response.headers
    return int(length) if whole and length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

"""Repositories on huggingface.co: which commit, and, for those that the registry does not list, which files."""

import re
from pathlib import PurePosixPath
from typing import Any

import httpx

from dreamsweep.weights import download
from dreamsweep.weights.cache import Pin
from dreamsweep.weights.registry import HUB, HUB_SUFFIXES

_VARIANT = re.compile(r"\.(fp16|fp32|bf16|ema|non_ema)\b")
"""Other precisions and averages of files that are there without such a word, too."""
_LEFT_OUT = ("safety_checker/",)
"""1.2 GB that nothing here uses."""


def newest_commit(repository: str, a_file: str) -> str:
    """The commit that `main` is at: hubs name it in the header of any file. `main` itself where a plain mirror names none.

    Raises ConnectionError with the reason when there is no answer.
    """
    address = download.mirrored(f"{HUB}/{repository}/resolve/main/{a_file}")
    with download.client() as session:
        try:
            response = session.head(address)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise ConnectionError(download.reason(error)) from None
    named = (answer.headers.get("X-Repo-Commit") for answer in (*response.history, response))
    return next((str(commit) for commit in named if commit), "main")


def listing_url(repository: str) -> str:
    """Where a hub tells what a repository holds."""
    return f"{HUB}/api/models/{repository}/revision/main?blobs=true"


def listing(repository: str) -> Pin:
    """A repository's newest commit and its files in the format of diffusers, with the hashes that the hub tells of the large ones.

    Raises ConnectionError with the reason when there is no answer, or it is not a listing.
    """
    with download.client() as session:
        try:
            response = session.get(download.mirrored(listing_url(repository)))
            response.raise_for_status()
            found: dict[str, Any] = response.json()
            files = {entry["rfilename"]: (entry.get("lfs") or {}).get("sha256") for entry in found["siblings"]}
            wanted = {name: digest for name, digest in files.items() if _is_wanted(name)}
            return Pin(revision=str(found["sha"]), files=wanted)
        except httpx.HTTPError as error:
            raise ConnectionError(download.reason(error)) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConnectionError("the answer is not a hub's listing") from None


def _is_wanted(name: str) -> bool:
    """Whether a file belongs to the folder that diffusers reads: one checkpoint for everything at the top does not."""
    path = PurePosixPath(name)
    if path.suffix not in HUB_SUFFIXES or _VARIANT.search(path.name) or name.startswith(_LEFT_OUT):
        return False
    return len(path.parts) == 2 or name == "model_index.json"

"""Repositories on Hugging Face's hub, asked through `huggingface_hub`: the commit of `main`, the files, the address of each.

HF_ENDPOINT and HF_TOKEN (or `hf auth login`) work as elsewhere; DREAMSWEEP_WEIGHTS_MIRROR comes first, and is sent no token.
"""

import os
import re
from pathlib import PurePosixPath

from huggingface_hub import HfApi, constants, get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import HFValidationError

from dreamsweep.weights.cache import Pin
from dreamsweep.weights.download import PermanentDownloadError, mirrored, with_retries
from dreamsweep.weights.registry import HUB_SUFFIXES

TIMEOUT = 30.0
"""Seconds to wait for an answer of the hub."""
_VARIANT = re.compile(r"\.(fp16|fp32|bf16|ema|non_ema)\b")
"""Suffixes of other precisions and averages of files that the repository has without such a suffix, too."""
_LEFT_OUT = ("safety_checker/",)
"""Folders that nothing here uses: 1.2 GB."""


def file_url(repository: str, file: str, revision: str) -> str:
    """Returns the address of a file, at the mirror if there is one."""
    return mirrored(hf_hub_url(repository, file, revision=revision))


def page_url(repository: str) -> str:
    """Returns the address of a repository's page."""
    return f"{constants.ENDPOINT}/{repository}"


def request_headers() -> dict[str, str]:
    """Returns the header that sends the user's token with a request for a file, if there is a token and no mirror answers."""
    token = None if _token() is False or constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def newest_commit(repository: str, file: str) -> str:
    """Returns the commit that `main` points to, from the header of one of its files; `main` where a plain mirror names none.

    Raises TemporaryDownloadError or PermanentDownloadError.
    """
    url = file_url(repository, file, "main")
    metadata = with_retries(lambda: get_hf_file_metadata(url, token=_token(), timeout=TIMEOUT))
    return metadata.commit_hash or "main"


def listing(repository: str) -> Pin:
    """Returns a repository's newest commit and its files in the format of diffusers, with the hashes that the hub has of large ones.

    Raises TemporaryDownloadError or PermanentDownloadError.
    """
    hub = HfApi(endpoint=mirrored(constants.ENDPOINT), token=_token(), library_name="dreamsweep")
    try:
        model = with_retries(lambda: hub.model_info(repository, revision="main", files_metadata=True, timeout=TIMEOUT))
        files = {entry.rfilename: entry.lfs.sha256 if entry.lfs else None for entry in model.siblings or ()}
        if not model.sha:
            raise ValueError("no commit")
        return Pin(revision=model.sha, files={name: digest for name, digest in files.items() if _is_wanted(name)})
    except HFValidationError as error:
        raise PermanentDownloadError(str(error).split("\n")[0].rstrip(".")) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PermanentDownloadError("the answer is not a hub's listing") from None


def _token() -> bool | None:
    """Returns False, for no token, where a mirror answers; None leaves it to huggingface_hub."""
    return False if os.environ.get("DREAMSWEEP_WEIGHTS_MIRROR", "").strip() else None


def _is_wanted(name: str) -> bool:
    """Returns whether a file belongs to the folder that diffusers reads: one checkpoint for everything at the top does not."""
    path = PurePosixPath(name)
    if path.suffix not in HUB_SUFFIXES or _VARIANT.search(path.name) or name.startswith(_LEFT_OUT):
        return False
    return len(path.parts) == 2 or name == "model_index.json"

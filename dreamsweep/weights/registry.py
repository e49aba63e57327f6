"""Registry of published weights: `registry.yaml` beside this module, and the entries that DREAMSWEEP_WEIGHTS_REGISTRY adds or replaces."""

import difflib
import os
import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from dreamsweep.errors import WeightsError
from dreamsweep.spec import Spec

HUB_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
"""Suffixes of files that may be fetched from a hub repository: none of a file that could be a pickle."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.@-]*"
FileName = Annotated[str, StringConstraints(pattern=rf"^{_PART}(/{_PART})*$")]
"""Path below the model's folder; it can never lead out of it."""


class PublishedFile(Spec):
    """File of a model; `sha256` is None where nobody has published it."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    sha256: Sha256 | None = None
    sha256_start: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,63}$")] | None = None
    """First digits of the SHA-256, where only these were published."""
    origin: FileName | None = Field(default=None, alias="from")
    """Name of the file on the hub, where that differs."""


class Published(Spec):
    """Entry of the registry: one model (registry.yaml says what each word means)."""

    folder: FileName
    licence: str | None = None
    megabytes: float | None = None
    source: str = ""
    instead: str | None = "weights: starter"
    hub: Annotated[str, StringConstraints(pattern=rf"^{_PART}/{_PART}$")] | None = None
    revision: str | None = None
    files: dict[FileName, PublishedFile]

    @model_validator(mode="after")
    def _has_addresses(self) -> "Published":
        for name, file in self.files.items():
            if self.hub is None and file.url is None:
                raise ValueError(f"{name} needs a url, or the entry a hub")
            if self.hub is not None and PurePosixPath(name).suffix not in HUB_SUFFIXES:
                raise ValueError(f"{name}: from a hub only {', '.join(HUB_SUFFIXES)} are taken")
        return self


_Registry = TypeAdapter(dict[str, Published])


def registry() -> dict[str, Published]:
    """Returns every model by name, in the registry's order. Raises WeightsError when DREAMSWEEP_WEIGHTS_REGISTRY is not a registry."""
    user_file = os.environ.get("DREAMSWEEP_WEIGHTS_REGISTRY")
    return {**_read(Path(__file__).with_name("registry.yaml")), **(_read(Path(user_file)) if user_file else {})}


def is_published(sha256: str) -> bool:
    """Returns whether a SHA-256 is that of a file in the registry."""
    return any(file.sha256 == sha256 for model in registry().values() for file in model.files.values())


def find(name: str) -> Published | None:
    """Returns a model of the registry; None for the `owner/name` of a hub repository that it does not list.

    Raises WeightsError for anything else, with the most similar names.
    """
    known = registry()
    if name in known:
        return known[name]
    similar = difflib.get_close_matches(name, known, n=3, cutoff=0.75)
    if re.fullmatch(f"{_PART}/{_PART}", name) and not similar:
        return None
    choices = " or ".join(map(repr, similar)) if similar else ", ".join(known)
    raise WeightsError(f"weights {name!r}: the registry has no weights of that name; use {choices}, or a hub repository's owner/name.")


@cache
def _read(path: Path) -> dict[str, Published]:
    try:
        return _Registry.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise WeightsError(f"weights registry {path}: it cannot be read ({error.strerror}); correct DREAMSWEEP_WEIGHTS_REGISTRY.") from None
    except yaml.YAMLError as error:
        raise WeightsError(f"weights registry {path}: it is not YAML ({' '.join(str(error).split())}).") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise WeightsError(f"weights registry {path}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None

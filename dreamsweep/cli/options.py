"""Options that several commands share."""

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SweepFile = Annotated[Path, typer.Argument(metavar="FILE", help="A sweep file, as `dreamsweep new` writes one.", show_default=False)]
StoreUri = Annotated[str, typer.Option("--store", envvar="DREAMSWEEP_STORE", help="A folder, or s3://bucket/prefix.")]


def store_option(store: str) -> str:
    """Returns ` --store …` as a further command needs it; nothing for the store that it takes by itself."""
    return "" if store == (os.environ.get("DREAMSWEEP_STORE") or "runs") else f" --store {shlex.quote(store)}"


class Device(StrEnum):
    """Device to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class PoolType(StrEnum):
    """Type of a work pool: how its worker starts flow runs."""

    process = "process"
    docker = "docker"
    kubernetes = "kubernetes"


class ExportFormat(StrEnum):
    """Format of an export, as `export.formats` has them."""

    pictures = "pictures"
    sheet = "sheet"
    csv = "csv"
    parquet = "parquet"
    gallery = "gallery"
    imagefolder = "imagefolder"
    webdataset = "webdataset"
    pairs = "pairs"
    pickapic = "pickapic"


class MarksFilter(StrEnum):
    """Filter by reviewers' marks, as on the review page."""

    unreviewed = "unreviewed"
    suggested = "suggested"
    picked = "picked"
    rejected = "rejected"
    tagged = "tagged"
    noted = "noted"


class Way(StrEnum):
    """Way to draw more of a selection, as `export.again` has them."""

    more_seeds = "more-seeds"
    new_prompts = "new-prompts"
    from_pictures = "from-pictures"

"""What several commands are asked in the same way."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SweepFile = Annotated[Path, typer.Argument(metavar="FILE", help="A sweep file, such as prompts/demo.yaml.", show_default=False)]
StoreUri = Annotated[str, typer.Option("--store", envvar="DREAMSWEEP_STORE", help="A folder, or s3://bucket/prefix.")]


class Device(StrEnum):
    """What to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class PoolType(StrEnum):
    """What a worker starts flow runs as."""

    process = "process"
    docker = "docker"
    kubernetes = "kubernetes"

"""Checkpoints of a batch: its tensors as safetensors, and in the header which trials, artefacts and weights they are of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dreamsweep.engines.protocol import State
from dreamsweep.generation.batch_log import BatchLog


@dataclass(frozen=True)
class Checkpoint:
    """A batch after one of its iterations."""

    state: State
    """The engine's."""
    log: BatchLog
    trials: Sequence[str]
    """Ids, in the order of the batch."""
    artefacts: Mapping[str, Sequence[str]]
    """Names of the artefacts that each trial has left, by trial id; none in checkpoints of older versions."""
    weights: Mapping[str, str] = field(default_factory=dict)
    """Name and SHA-256 of the weights used; none in checkpoints of older versions."""


def checkpoint_bytes(checkpoint: Checkpoint) -> bytes:
    """Encodes a checkpoint."""
    tensors: Mapping[str, Tensor] = {**checkpoint.state, **checkpoint.log.state()}
    stored = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    header = {"trials": list(checkpoint.trials), "artefacts": checkpoint.artefacts, "weights": checkpoint.weights}
    return save(stored, {name: json.dumps(value) for name, value in header.items()})


def read_checkpoint(data: bytes) -> Checkpoint | None:
    """Decodes a checkpoint; None if it cannot be read."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = {name: json.loads(text) for name, text in json.loads(data[8 : 8 + length])["__metadata__"].items()}
        tensors = load(data)
        state = {name: value for name, value in tensors.items() if not BatchLog.owns(name)}
        return Checkpoint(state, BatchLog.from_state(tensors), header["trials"], header.get("artefacts", {}), header.get("weights", {}))
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None

"""Checkpoints of a batch: its tensors as safetensors, and in the header which trials, artefacts and weights they are of, and a SHA-256."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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

    @property
    def size(self) -> int:
        """Bytes of its tensors."""
        return sum(value.nbytes for value in (*self.state.values(), *self.log.state().values()))


def checkpoint_bytes(checkpoint: Checkpoint) -> bytes:
    """Encodes a checkpoint."""
    tensors: Mapping[str, Tensor] = {**checkpoint.state, **checkpoint.log.state()}
    stored = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    header = {"trials": list(checkpoint.trials), "artefacts": checkpoint.artefacts, "weights": checkpoint.weights}
    return _with_sum(save(stored, {name: json.dumps(value) for name, value in header.items()}))


def read_checkpoint(data: bytes) -> Checkpoint | None:
    """Decodes a checkpoint; None if it cannot be read, or its SHA-256 is another. Those of older versions have none."""
    try:
        whole, body = _parts(data)
        header = {name: json.loads(text) for name, text in whole["__metadata__"].items()}
        if header.get("sha256", "") != (_digest(whole, body) if "sha256" in header else ""):
            return None
        tensors = load(data)
        state = {name: value for name, value in tensors.items() if not BatchLog.owns(name)}
        return Checkpoint(state, BatchLog.from_state(tensors), header["trials"], header.get("artefacts", {}), header.get("weights", {}))
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None


def _with_sum(data: bytes) -> bytes:
    """Returns a safetensors file with the SHA-256 of its header and tensors among its metadata."""
    header, body = _parts(data)
    header["__metadata__"]["sha256"] = json.dumps(_digest(header, body))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return b"".join((len(text).to_bytes(8, "little"), text, body))


def _parts(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Returns the header of a safetensors file, and the bytes of its tensors."""
    end = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:end])
    return header, memoryview(data)[end:]


def _digest(header: Mapping[str, Any], body: memoryview) -> str:
    metadata = {name: text for name, text in header["__metadata__"].items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps({**header, "__metadata__": metadata}, sort_keys=True).encode())
    digest.update(body)
    return digest.hexdigest()

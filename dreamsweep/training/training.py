"""A training that goes on where it stopped: Adam, a cosine, a running average, checkpoints that are whole or not there."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Run:
    """How one network is trained."""

    steps: int
    batch: int
    learning_rate: float
    seed: int = 0
    every: int = 250
    """Steps between checkpoints."""
    average: float = 0.999
    """Decay of the running average of the weights, which is what ships."""
    minutes: float | None = None
    """Time limit, over all legs together: the learning rate has fallen to nothing by then. Without one, `steps` alone decide, and an
    interrupted training gives the same weights as one that was not."""

    def at(self, step: int) -> torch.Generator:
        """Returns the randomness of one step, whether or not the training was interrupted before it."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + step)


def fit(network: nn.Module, loss_of: Callable[[int], Tensor], run: Run, checkpoint: Path) -> Path:
    """Minimises `loss_of(step)` over the network's weights, going on from the checkpoint where there is one; returns its path.

    The checkpoint holds `step`, `seconds` (spent so far), `network`, `average` (of the weights) and, but for weights that were restored
    from those that ship, `optimizer`.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=run.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    average = {key: value.detach().clone() for key, value in network.state_dict().items()}
    done, seconds = 0, 0.0
    if checkpoint.exists():
        record = torch.load(checkpoint, weights_only=True, map_location=next(network.parameters()).device)
        done, seconds, average = record["step"], record.get("seconds", 0.0), record["average"]
        network.load_state_dict(record["network"])
        if "optimizer" in record:
            optimizer.load_state_dict(record["optimizer"])
    begun, before, started, losses = done, seconds, time.monotonic() - seconds, list[float]()
    while (share := _share_done(run, done, seconds)) < 1:
        optimizer.param_groups[0]["lr"] = run.learning_rate * min(1.0, (done + 1) / 200) * 0.5 * (1 + math.cos(math.pi * share))
        loss = loss_of(done)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        _follow(average, network, min(run.average, (1 + done) / (10 + done)))
        losses.append(float(loss.detach()))
        done, seconds = done + 1, time.monotonic() - started
        if done % run.every == 0 or _share_done(run, done, seconds) >= 1:
            mean, pace = sum(losses) / len(losses), (seconds - before) / (done - begun)
            print(f"{checkpoint.stem}: step {done}/{run.steps} loss {mean:.4f} {pace:.2f} s/step", flush=True)  # noqa: T201
            losses.clear()
            record = {"step": done, "seconds": seconds, "network": network.state_dict(), "average": average}
            save_checkpoint(record | {"optimizer": optimizer.state_dict()}, checkpoint)
    return checkpoint


def _share_done(run: Run, done: int, seconds: float) -> float:
    """Returns how much of a training is behind it, 1 at its end."""
    return max(done / run.steps, seconds / (60 * run.minutes) if run.minutes else 0.0)


@torch.no_grad()
def _follow(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for key, value in network.state_dict().items():
        average[key].lerp_(value, 1 - decay) if value.is_floating_point() else average[key].copy_(value)


def save_checkpoint(record: dict[str, Any], checkpoint: Path) -> None:
    """Writes a checkpoint that is whole or not there."""
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_suffix(".partial")
    torch.save(record, partial)
    partial.replace(checkpoint)


def averaged(checkpoint: Path) -> dict[str, Tensor]:
    """Returns the running average of the weights that a training has left."""
    state: dict[str, Tensor] = torch.load(checkpoint, weights_only=True, map_location="cpu")["average"]
    return state

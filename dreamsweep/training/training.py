"""A training that goes on where it stopped: Adam, a cosine, a running average, checkpoints that are whole or not there."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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

    def at(self, step: int) -> torch.Generator:
        """Returns the randomness of one step, whether or not the training was interrupted before it."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + step)


def fit(network: nn.Module, loss_of: Callable[[int], Tensor], run: Run, checkpoint: Path) -> Path:
    """Minimises `loss_of(step)` over the network's weights, going on from the checkpoint where there is one; returns its path.

    The checkpoint holds `step`, `network`, `average` (of the weights) and `optimizer`.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=run.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    average = {key: value.detach().clone() for key, value in network.state_dict().items()}
    begun = 0
    if checkpoint.exists():
        record = torch.load(checkpoint, weights_only=True, map_location=next(network.parameters()).device)
        begun, average = record["step"], record["average"]
        network.load_state_dict(record["network"])
        optimizer.load_state_dict(record["optimizer"])
    started, losses = time.monotonic(), []
    for step in range(begun, run.steps):
        optimizer.param_groups[0]["lr"] = run.learning_rate * min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / run.steps))
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        decay = min(run.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for key, value in network.state_dict().items():
                average[key].lerp_(value, 1 - decay) if value.is_floating_point() else average[key].copy_(value)
        losses.append(float(loss.detach()))
        done = step + 1
        if done % run.every == 0 or done == run.steps:
            pace = (time.monotonic() - started) / (done - begun)
            print(f"{checkpoint.stem}: step {done}/{run.steps} loss {sum(losses) / len(losses):.4f} {pace:.2f} s/step", flush=True)  # noqa: T201
            losses.clear()
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = checkpoint.with_suffix(".partial")
            torch.save({"step": done, "network": network.state_dict(), "average": average, "optimizer": optimizer.state_dict()}, partial)
            partial.replace(checkpoint)
    return checkpoint


def averaged(checkpoint: Path) -> dict[str, Tensor]:
    """Returns the running average of the weights that a training has left."""
    state: dict[str, Tensor] = torch.load(checkpoint, weights_only=True, map_location="cpu")["average"]
    return state

"""Optimizers by name over batched parameters, and their state as plain tensors."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dreamsweep.compute.graphs import Count
from dreamsweep.engines.protocol import State
from dreamsweep.engines.schedules import at_iteration, rate_share
from dreamsweep.spec import DescentSpec, OptimizerName, OptimizerSpec

PREFIX = "optimizer."
"""Start of the names of an optimizer's tensors in a state."""
_CLASSES: dict[OptimizerName, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
}
CAPTURABLE = {"adam", "adamw", "rmsprop", "adadelta"}
"""Optimizers of torch that count their steps on the device when asked to; SGD counts none, and Adagrad cannot."""


def make_optimizer(
    spec: OptimizerSpec, parameters: Sequence[Tensor], rates: Sequence[float] | None = None, recorded: bool = False
) -> torch.optim.Optimizer:
    """Returns the optimizer over batched parameters, `b …` each; `rates` scales the learning rate of each parameter (all 1 without it).

    Every optimizer here works element by element, so a batch descends exactly as its trials would alone. AdamW decays nothing:
    pulling codes or points towards zero is no regulariser here. `recorded`: rates are tensors, and so is all that changes with a step.
    """
    if spec.learning_rate is None:
        raise ValueError("an engine's spec resolves its optimizer's learning rate")
    scales = rates or [1.0] * len(parameters)
    rates = [spec.learning_rate * scale for scale in scales]
    groups = [
        {"params": [p], "lr": torch.tensor(rate, device=p.device) if recorded else rate, "initial_lr": rate}
        for p, rate in zip(parameters, rates, strict=True)
    ]
    extra: dict[str, Any] = {"weight_decay": 0.0} if spec.name == "adamw" else {}
    if recorded and parameters[0].is_cuda:
        extra |= {"capturable": True} if spec.name in CAPTURABLE else {"fused": True} if spec.name == "sgd" else {}
    return _CLASSES[spec.name](groups, **extra)


def set_rates(optimizer: torch.optim.Optimizer, spec: DescentSpec, iteration: Count, iterations: int, groups: int | None = None) -> None:
    """Gives the first so many groups, or all, the learning rates of an iteration, counted from 1.

    A rate is a function of the iteration alone, so that a resumed trial needs to know of none.
    """
    share = at_iteration(lambda number: rate_share(spec, number, iterations), iterations, iteration)
    for group in optimizer.param_groups[:groups]:
        if isinstance(share, Tensor):
            group["lr"].copy_((group["initial_lr"] * share)[0])
        else:
            group["lr"] = group["initial_lr"] * share


def pack_optimizer(optimizer: torch.optim.Optimizer) -> State:
    """Returns the optimizer's moments and counts, as flat tensors."""
    packed: State = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            if value is not None:
                packed[f"{PREFIX}{index}.{key}"] = torch.as_tensor(value).detach().clone()
    return packed


def unpack_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Puts back what `pack_optimizer` took; entries of other things in `state` are left alone."""
    entries: dict[int, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name.startswith(PREFIX):
            index, key = name.removeprefix(PREFIX).split(".", 1)
            entries.setdefault(int(index), {})[key] = value.clone()  # the optimizer works in place
    record = optimizer.state_dict()
    record["state"] = entries
    optimizer.load_state_dict(record)


def take_step(
    optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], loss: Float[Tensor, " b"], alive: Bool[Tensor, " b"]
) -> Bool[Tensor, " b"]:
    """Returns one step down a batch's losses by the trials that are alive; says which still are.

    A trial whose loss, gradient or parameters (`b …` each) are no longer finite stays exactly where it was, though an
    optimizer's momentum would carry it on; its batch-mates move as if it were not there.
    """
    alive = alive & torch.isfinite(loss.detach())
    optimizer.zero_grad()
    torch.where(alive, loss, 0.0).sum().backward()
    alive = alive & _finite([p.grad for p in parameters if p.grad is not None], alive)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = torch.where(_rows(alive, parameter), parameter.grad, 0.0)
        before = [parameter.clone() for parameter in parameters]
        optimizer.step()
        alive = alive & _finite(parameters, alive)
        for parameter, old in zip(parameters, before, strict=True):
            parameter.copy_(torch.where(_rows(alive, parameter), parameter, old))
    return alive


def _rows(alive: Tensor, tensor: Tensor) -> Tensor:
    """Returns `b` in the shape `b 1 1 …` of a tensor."""
    return alive.reshape(-1, *[1] * (tensor.ndim - 1))


def _finite(tensors: Sequence[Tensor], alive: Tensor) -> Bool[Tensor, " b"]:
    """Returns which trials' rows are finite in all of the tensors, `b …` each."""
    return torch.stack([torch.isfinite(tensor).flatten(1).all(1) for tensor in tensors] or [alive]).all(0)

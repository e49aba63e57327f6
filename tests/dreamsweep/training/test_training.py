"""The loop that all later recipes share."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dreamsweep.training.training import Run, averaged, fit

RUN = Run(steps=6, batch=4, learning_rate=0.1, every=2)


def line(stops_at: int | None = None) -> tuple[nn.Module, list[int]]:
    """A line to fit, and the steps that were asked for; interrupted at one of them."""
    torch.manual_seed(0)
    network, steps = nn.Linear(2, 1), list[int]()

    def loss_of(step: int) -> Tensor:
        steps.append(step)
        if step == stops_at:
            raise KeyboardInterrupt
        x = torch.randn(RUN.batch, 2, generator=RUN.at(step))
        loss: Tensor = (network(x) - x.sum(1, keepdim=True)).pow(2).mean()
        return loss

    network.loss_of = loss_of  # type: ignore[assignment]
    return network, steps


def train(folder: Path, stops_at: int | None = None) -> list[int]:
    network, steps = line(stops_at)
    fit(network, network.loss_of, RUN, folder / "line.pt")  # type: ignore[arg-type]
    return steps


def test_an_interrupted_training_is_the_one_that_was_not(tmp_path: Path) -> None:
    assert train(tmp_path / "whole") == [0, 1, 2, 3, 4, 5]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stops_at=3)
    assert train(tmp_path / "cut") == [2, 3, 4, 5]  # from the checkpoint, which is every two steps
    whole, cut = (torch.load(tmp_path / name / "line.pt", weights_only=True) for name in ("whole", "cut"))
    for part in ("network", "average"):
        for name, value in whole[part].items():
            assert torch.equal(value, cut[part][name]), (part, name)


def test_a_time_limit_ends_a_training_over_all_its_legs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 10))  # every look at the clock is ten seconds later than the one before
    monkeypatch.setattr("dreamsweep.training.training.time.monotonic", lambda: float(next(clock)))
    network, steps = line()
    run = replace(RUN, steps=1000, minutes=1.0)
    fit(network, network.loss_of, run, tmp_path / "line.pt")  # type: ignore[arg-type]
    assert steps == [0, 1, 2, 3, 4, 5], "a step looks once"
    assert torch.load(tmp_path / "line.pt", weights_only=True)["seconds"] == 60
    fit(network, network.loss_of, run, tmp_path / "line.pt")  # type: ignore[arg-type]
    assert len(steps) == 6, "the minute is over"
    fit(network, network.loss_of, replace(run, minutes=1.5), tmp_path / "line.pt")  # type: ignore[arg-type]
    assert steps[6:] == [6, 7, 8]


def test_the_average_trails_the_weights_and_ships(tmp_path: Path) -> None:
    train(tmp_path)
    record = torch.load(tmp_path / "line.pt", weights_only=True)
    assert not torch.equal(record["average"]["weight"], record["network"]["weight"])
    assert torch.equal(averaged(tmp_path / "line.pt")["weight"], record["average"]["weight"])
    assert not (tmp_path / "line.partial").exists()


def test_a_training_learns(tmp_path: Path) -> None:
    network, _ = line()
    fit(network, network.loss_of, Run(steps=400, batch=4, learning_rate=0.1), tmp_path / "line.pt")  # type: ignore[arg-type]
    assert torch.allclose(network.weight, torch.ones(1, 2), atol=0.05)  # type: ignore[arg-type]

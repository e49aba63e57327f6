"""The recipe of a perceptor: it learns, goes on where it stopped, and is marked fairly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dreamsweep.perceptors.vocabulary import Vocabulary
from dreamsweep.training import train_clip
from dreamsweep.training.captions import Captions
from dreamsweep.training.train_clip import ClipRun, HeldOut, TrainState, learning_rate_share, retrieval_among
from tests.dreamsweep.training.made_art import CLIP, made_art, small_clip

__all__ = ["small_clip"]
ART = made_art()
RUN = ClipRun(seed=3, steps=12)


def saved(path: Path) -> dict[str, torch.Tensor]:
    record = torch.load(path, weights_only=True)
    return {**record["model"], **{f"average.{k}": v for k, v in record["average"].items()}, "bank": record["bank"]}


@pytest.mark.usefixtures("small_clip")
def test_a_run_that_was_cut_off_is_the_run_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = saved(train_clip.train_clip(ART, RUN, tmp_path / "whole"))
    step = train_clip.train_step
    done: list[int] = []

    def stops_at_five(state: TrainState, *rest: object) -> str:
        if state.step == 5 and not done:
            done.append(state.step)
            state.save(tmp_path / "cut" / "clip-3.pt")
            raise KeyboardInterrupt
        return step(state, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(train_clip, "train_step", stops_at_five)
    with pytest.raises(KeyboardInterrupt):
        train_clip.train_clip(ART, RUN, tmp_path / "cut")
    resumed = saved(train_clip.train_clip(ART, RUN, tmp_path / "cut"))
    assert done == [5]
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


@pytest.mark.usefixtures("small_clip")
@pytest.mark.parametrize("attack_from", [0.2, 2.0])
def test_it_learns_to_tell_names_apart(tmp_path: Path, attack_from: float) -> None:
    run = ClipRun(seed=0, steps=60, learning_rate=3e-3, attack_from=attack_from)
    checkpoint = train_clip.train_clip(ART, run, tmp_path)
    vocabulary = Vocabulary.of(Captions(ART).every_text(), CLIP.context)
    state = TrainState(run, vocabulary, len(ART.names))
    held_out = HeldOut(ART, "twemoji", CLIP.resolution)
    before = retrieval_among(held_out.similarities(state.model.eval(), vocabulary), len(ART.names))[1]
    state.load(torch.load(checkpoint, weights_only=True))
    after = retrieval_among(held_out.similarities(state.model.eval(), vocabulary), len(ART.names))[1]
    assert after > before + 0.2


def test_an_attack_moves_a_picture_at_most_so_far(small_clip: None) -> None:
    vocabulary = Vocabulary.of(Captions(ART).every_text(), CLIP.context)
    run = replace(RUN, attack_radius=2.0)
    state = TrainState(run, vocabulary, len(ART.names))
    clean, target = torch.rand(6, 3, 32, 32) * 0.5 + 0.25, torch.arange(6)
    texts = torch.nn.functional.normalize(torch.randn(6, CLIP.embed), dim=1)
    attacked = train_clip._attack(state, run, clean, texts, target, torch.Generator().manual_seed(0))
    moved = (attacked - clean).flatten(1).norm(dim=1)
    assert (moved > 0).all() and (moved <= 2.0 * 1.3 + 1e-4).all()
    assert attacked.min() >= 0 and attacked.max() <= 1


def test_retrieval_counts_ranks() -> None:
    similarity = torch.eye(8)
    assert retrieval_among(similarity, 8) == (1.0, 1.0)
    similarity[0, 1:4] = 2.0  # three wrong pictures before the right one: out of the first, within five
    first_rate, top_five = retrieval_among(similarity, 8)
    assert (first_rate, top_five) == (7 / 8, 1.0)
    similarity[0, 4:7] = 2.0
    assert retrieval_among(similarity, 8) == (7 / 8, 7 / 8)
    assert 7 / 8 <= retrieval_among(similarity, 4)[0] < 1


def test_held_out_styles_are_never_trained_on() -> None:
    trained = {ART.styles[i] for i in ART.style_of[ART.of_styles("train")]}
    assert trained.isdisjoint({"twemoji", "openmoji"}) and len(trained) == 8
    assert len(HeldOut(ART, "twemoji", 32).names) == len(ART.names)


def test_the_learning_rate_falls_and_can_start_again() -> None:
    run = ClipRun(seed=0, steps=9000, restart=(7000, 0.4))
    assert learning_rate_share(0, run) < 0.01 and learning_rate_share(4500, run) == pytest.approx(0.5)
    assert learning_rate_share(7000, run) == pytest.approx(0.4) and learning_rate_share(8999, run) < 1e-5

"""The log of a batch: rows, best pictures, and where trials stop."""

import math

import torch

from dreamsweep.engines.protocol import Step
from dreamsweep.generation.batch_log import BatchLog, Row, is_due, is_judged


def a_step(iteration: int, loss: list[float]) -> Step:
    pictures = torch.full((len(loss), 3, 4, 4), iteration / 10)
    return Step(iteration, torch.tensor(loss), torch.tensor([0.1] * len(loss)), 0.5, draw=lambda: pictures, state=dict)


def mark(log: BatchLog, step: Step, marks: list[float]) -> None:
    log.mark(step.iteration, step.draw(), torch.tensor(marks), torch.zeros(len(marks), 2))


def test_the_best_picture_is_kept_not_the_last() -> None:
    log = BatchLog.empty(1, 4)
    for iteration, value in enumerate([0.1, 0.7, 0.3, 0.2], start=1):
        step = a_step(iteration, [1.0])
        log.add([Row.of(step, 0.0)])
        mark(log, step, [value])
    assert log.best_iteration.tolist() == [2]
    assert log.best[0, 0, 0, 0] == round(0.2 * 255) and log.final[0, 0, 0, 0] == round(0.4 * 255)


def test_of_equal_scores_the_first_picture_is_kept() -> None:
    log = BatchLog.empty(1, 3)
    for iteration, value in enumerate([0.1, 0.7, 0.7], start=1):
        step = a_step(iteration, [1.0])
        log.add([Row.of(step, 0.0)])
        mark(log, step, [value])
    assert log.best_iteration.tolist() == [2] and log.best[0, 0, 0, 0] == round(0.2 * 255)


def test_a_diverged_trial_stops_and_its_mates_go_on() -> None:
    log = BatchLog.empty(2, 3)
    for iteration, losses in enumerate([[1.0, 1.0], [math.nan, 1.0], [math.nan, 0.5]], start=1):
        step = a_step(iteration, losses)
        log.add([Row.of(step, 0.0)])
        mark(log, step, [0.5, 0.5])
    assert log.diverged.tolist() == [True, False]
    assert log.stopped_at.tolist() == [2, 3]
    assert torch.isnan(log.loss[0, 2]) and log.loss[1, 2] == 0.5
    assert log.final[0, 0, 0, 0] == round(0.1 * 255)  # its last picture that was whole


def test_early_stop_waits_for_marks_that_no_longer_rise() -> None:
    log = BatchLog.empty(2, 10)
    for iteration in range(1, 11):
        step = a_step(iteration, [1.0, 1.0])
        log.add([Row.of(step, 0.0)])
        mark(log, step, [0.9 if iteration == 2 else 0.1, iteration / 10])
        log.stop_stale(iteration, judge_every=1, patience=3)
    assert log.stopped_at.tolist() == [5, 10]
    assert torch.isnan(log.loss[0, 5:]).all() and torch.isfinite(log.loss[1]).all()


def test_scores_of_snapshots_decide_nothing_about_an_early_stop() -> None:
    """Snapshots must not decide pixels: the same trial stops at the same iteration, with snapshots or without."""
    stopped = []
    for snapshots in ((), (5,), range(1, 13)):
        log = BatchLog.empty(1, 12)
        for iteration in range(1, 13):
            step = a_step(iteration, [1.0])
            log.add([Row.of(step, 0.0)])
            judged = is_judged(iteration, 4, 12)
            if judged or iteration in snapshots:
                mark(log, step, [0.9 if iteration == 5 else 0.1])
            if judged:
                log.stop_stale(iteration, judge_every=4, patience=6)
        stopped.append(int(log.stopped_at))
    assert stopped == [8, 8, 8]


def test_a_log_survives_its_checkpoint() -> None:
    log = BatchLog.empty(2, 3)
    step = a_step(1, [1.0, 2.0])
    log.add([Row.of(step, 1.5)])
    mark(log, step, [0.1, 0.2])
    again = BatchLog.from_state(log.state())
    for name, value in vars(log).items():
        assert torch.equal(value.nan_to_num(-9), vars(again)[name].nan_to_num(-9)), name


def test_what_is_due() -> None:
    assert [i for i in range(1, 8) if is_due(i, 3, 7)] == [3, 6, 7]
    assert not any(is_due(i, 0, 7) for i in range(1, 8))

"""Progress travels as log records: a few a second, and each change of status."""

import logging
from pathlib import Path

import pytest

from dreamsweep.expand import plan, shards, trials
from dreamsweep.planned import Progress
from dreamsweep.sweepfile import parse_sweep
from tasks.progress import announce, report

SWEEP = parse_sweep({"name": "t", "prompts": ["a", "b"], "engines": ["dalle", "strokes"], "iterations": 10}, Path(), "test")


def test_a_thousand_steps_are_a_few_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dreamsweep.progress")
    shard = next(shards(SWEEP))
    steps = [Progress(shard.shard_id, "dalle", i, 1000, 2, None, 1.0, "running") for i in range(1000)]
    report([*steps, Progress(shard.shard_id, "dalle", 1000, 1000, 2, None, 1.0, "done")])
    told = [vars(record)["progress"] for record in caplog.records]
    assert 2 <= len(told) < 10
    assert (told[0].iteration, told[-1].status) == (0, "done")


def test_what_is_made_already_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dreamsweep.progress")
    first = next(trials(SWEEP))
    announce(SWEEP, plan(SWEEP), {first.id, "of another sweep"})
    told = vars(caplog.records[0])
    assert told["made"] == 1
    assert told["left"] == {"dalle": 10, "strokes": 20}

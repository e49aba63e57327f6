"""A made-up night that two people have reviewed."""

from pathlib import Path

import pytest

from dreamsweep.report.query import query
from dreamsweep.results.appended import append
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample

PROMPTS = ["a red heart", "قلب أحمر", "=cmd|'/c calc'!A1 <script>alert(1)</script>"]
ENGINES = ["dalle", {"engine": "strokes", "num_paths": [64, 256]}]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Eighteen trials: of each prompt anna picks the first two by their ids and rejects the third, ben gives the first four stars."""
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=PROMPTS, engines=ENGINES, seeds=[0, 1])
    for prompt in PROMPTS:
        first, second, third = ids(store, prompt)[:3]
        for trial, value in ((first, 1), (second, 1), (third, -1)):
            rate(store, trial, "pick", value, "anna")
        rate(store, first, "stars", 4, "ben")
    rate(store, ids(store, PROMPTS[0])[0], "tag", 1, "anna", "cover")
    return store


def ids(store: Store, prompt: str) -> list[str]:
    """Ids of a prompt's trials, sorted."""
    rows = query(store, "SELECT prompt, trial_id FROM trials ORDER BY trial_id").to_pylist()
    return [row["trial_id"] for row in rows if row["prompt"] == prompt]


def rate(store: Store, trial: str, kind: str, value: float, person: str, text: str | None = None, sweep: str = "made-up") -> None:
    """Leaves a mark."""
    append(store, sweep, "ratings", {"trial_id": trial, "kind": kind, "value": float(value), "text": text, "rated_by": person})

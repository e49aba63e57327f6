"""Blind duels: what is taken and refused, which of them hold, the ranking, the judges' agreement, and which pairs come next."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from dreamsweep.report.query import query
from dreamsweep.results.appended import fold
from dreamsweep.review import duels as module
from dreamsweep.review.app import make_app
from dreamsweep.review.duels import pairs
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample

ADDRESS = "/api/sweeps/made-up/duels"
FROM_THE_PAGE = {"X-Dreamsweep-Mark": "1"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle"], seeds=[*range(5)])
    return store


@pytest.fixture
def client(store: Store) -> TestClient:
    return TestClient(make_app(store))


@pytest.fixture
def hearts(client: TestClient) -> list[str]:
    """Trials of one prompt, by the judge's rank."""
    return [tile["id"] for tile in client.get("/api/sweeps/made-up").json()["tiles"] if tile["prompt"] == "a red heart"]


def duel(number: int, left: str, right: str, winner: str = "left", by: str = "anna") -> dict[str, Any]:
    return {"id": f"20260101T000000000000-{number:08x}", "left": left, "right": right, "winner": winner, "by": by}


def leave(client: TestClient, *duels: dict[str, Any], **headers: str) -> int:
    (code,) = {client.post(ADDRESS, json=each, headers={**FROM_THE_PAGE, **headers}).status_code for each in duels}
    return code


def test_the_last_duel_of_one_person_and_pair_holds(client: TestClient, store: Store, hearts: list[str]) -> None:
    a, b, c, *_ = hearts
    left = [duel(1, a, b), duel(2, b, a), duel(3, a, c, "tie"), duel(4, b, c), duel(5, c, b, "none"), duel(6, b, a, "right", "ben")]
    assert leave(client, *left, left[0]) == 204
    mine = client.get(f"{ADDRESS}?by=anna").json()
    assert (mine["duels"], mine["people"], [ranking["prompt"] for ranking in mine["rankings"]]) == (2, ["anna", "ben"], ["a red heart"])
    assert [(row["trial"], row["duels"]) for row in mine["rankings"][0]["strengths"]] == [(b, 1), (c, 1), (a, 2)]
    assert client.get(ADDRESS).json()["duels"] == 3 and query(store, "FROM duels").num_rows == 6
    assert fold(store, "made-up", "duels") == 6 and client.get(f"{ADDRESS}?by=anna").json() == mine
    assert client.get(f"{ADDRESS}?by=cleo").json()["rankings"] == []


def test_strengths_are_log_odds_with_intervals(client: TestClient, hearts: list[str]) -> None:
    numbers = iter(range(100))
    won = [duel(next(numbers), hearts[i], hearts[j], by=f"p{k}") for i in range(5) for j in range(i + 1, 5) for k in range(2)]
    leave(client, *won)
    (ranking,) = client.get(ADDRESS).json()["rankings"]
    assert [row["trial"] for row in ranking["strengths"]] == hearts and ranking["duels"] == 20
    assert all(row["low"] < row["strength"] < row["high"] and row["duels"] == 8 for row in ranking["strengths"])
    assert sum(row["strength"] for row in ranking["strengths"]) == pytest.approx(0, abs=1e-9)


def test_how_often_a_judge_agrees(client: TestClient, hearts: list[str]) -> None:
    a, b, c, d, _ = hearts
    leave(client, duel(1, a, b), duel(2, b, c), duel(3, c, d, "right"), duel(4, a, d, "tie"), duel(5, b, a, by="ben"))
    (judge,) = client.get(f"{ADDRESS}?by=anna").json()["judges"]
    assert (judge["judge"], judge["duels"]) == ("starter-judge", 3) and judge["share"] == pytest.approx(2 / 3)
    assert (judge["low"], judge["high"]) == pytest.approx((0.2077, 0.9385), abs=1e-4), "Wilson's interval of two of three"
    assert client.get(ADDRESS).json()["judges"][0]["share"] == pytest.approx(2 / 4)


def test_next_pairs_are_new_of_one_prompt_and_sides_are_drawn(client: TestClient, store: Store, hearts: list[str]) -> None:
    every = client.get(f"{ADDRESS}/next?by=anna&number=100").json()
    assert len({frozenset((pair["left"], pair["right"])) for pair in every}) == len(every) == 20
    assert [pair["prompt"] for pair in every] in (
        [p] * 10 + [q] * 10 for p, q in (("a red heart", "a rocket"), ("a rocket", "a red heart"))
    )
    leave(client, *(duel(n, pair["left"], pair["right"]) for n, pair in enumerate(every[:12])))
    rest = client.get(f"{ADDRESS}/next?by=anna&number=100").json()
    assert {frozenset((pair["left"], pair["right"])) for pair in rest} == {frozenset((p["left"], p["right"])) for p in every[12:]}
    assert len(client.get(f"{ADDRESS}/next?by=ben").json()) == 10
    (only,) = client.get(f"{ADDRESS}/next?by=ben&among={hearts[0]},{hearts[3]}").json()
    assert {only["left"], only["right"]} == {hearts[0], hearts[3]} and only["prompt"] == "a red heart"
    sides = {pairs(store, "made-up", "ben", 1, frozenset(hearts[:2]), np.random.default_rng(n))[0].left for n in range(20)}
    assert sides == {*hearts[:2]}


def test_of_many_trials_those_that_rank_highest_meet(client: TestClient, hearts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONTENDERS", 2)
    shown = {trial for pair in client.get(f"{ADDRESS}/next?by=anna").json() for trial in (pair["left"], pair["right"])}
    assert len(shown) == 4 and {*hearts[:2]} <= shown
    leave(client, duel(1, hearts[0], hearts[4]))
    shown = {trial for pair in client.get(f"{ADDRESS}/next?by=anna").json() for trial in (pair["left"], pair["right"])}
    assert {*shown} & {*hearts} == {hearts[0], hearts[1], hearts[4]}, "one that was in a duel stays"


@pytest.mark.parametrize("changes", [{"winner": "both"}, {"left": "../../manifest"}, {"id": "1"}, {"by": " "}, {"sweep": "other"}])
def test_anything_else_is_refused(client: TestClient, store: Store, hearts: list[str], changes: dict[str, str]) -> None:
    assert leave(client, {**duel(1, *hearts[:2]), **changes}) == 422
    assert list(store.keys("made-up/appended/")) == []


def test_duels_are_of_two_trials_of_one_prompt(client: TestClient, store: Store, hearts: list[str]) -> None:
    tiles = client.get("/api/sweeps/made-up").json()["tiles"]
    rocket = next(tile["id"] for tile in tiles if tile["prompt"] == "a rocket")
    assert leave(client, duel(1, hearts[0], rocket), duel(2, hearts[0], hearts[0]), duel(3, hearts[0], "0" * 16)) == 404
    assert list(store.keys("made-up/appended/")) == []


def test_other_sites_and_pages_that_only_read_leave_none(client: TestClient, store: Store, hearts: list[str]) -> None:
    assert leave(client, duel(1, *hearts[:2]), Origin="http://evil.example") == 403
    assert client.post(ADDRESS, json=duel(1, *hearts[:2])).status_code == 403
    reading = TestClient(make_app(store, writable=False))
    assert leave(reading, duel(1, *hearts[:2])) == 405 and reading.get(f"{ADDRESS}/next?by=anna").status_code == 404
    assert reading.get(ADDRESS).json() == {"writable": False, "people": [], "duels": 0, "rankings": [], "judges": []}
    assert leave(TestClient(make_app(store, "someone:secret")), duel(1, *hearts[:2])) == 401
    assert list(store.keys("made-up/appended/")) == []

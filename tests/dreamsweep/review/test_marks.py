"""Marks that people leave: what is taken, what is refused, which of them hold."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dreamsweep.report.query import query
from dreamsweep.results.appended import fold
from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample

ADDRESS = "/api/sweeps/made-up/marks"
FROM_THE_PAGE = {"X-Dreamsweep-Mark": "1"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle"])
    return store


@pytest.fixture
def client(store: Store) -> TestClient:
    return TestClient(make_app(store))


@pytest.fixture
def trial(client: TestClient) -> str:
    return str(client.get("/api/sweeps/made-up").json()["tiles"][0]["id"])


def mark(number: int, trial: str, **changes: Any) -> dict[str, Any]:
    return {"id": f"20260101T000000000000-{number:08x}", "trial": trial, "kind": "pick", "value": 1, "by": "anna", **changes}


def leave(client: TestClient, *marks: dict[str, Any], **headers: str) -> int:
    (code,) = {client.post(ADDRESS, json=mark, headers={**FROM_THE_PAGE, **headers}).status_code for mark in marks}
    return code


def held(client: TestClient) -> list[tuple[Any, ...]]:
    return sorted((m["by"], m["kind"], m["value"], m["text"] or "") for m in client.get(ADDRESS).json()["marks"])


def test_the_last_mark_of_one_person_and_kind_holds(client: TestClient, store: Store, trial: str) -> None:
    left = [
        mark(1, trial),
        mark(2, trial, value=-1),
        mark(3, trial, by="ben"),
        mark(4, trial, kind="stars", value=4),
        mark(5, trial, kind="tag", text="cover"),
        mark(6, trial, kind="tag", text="odd"),
        mark(7, trial, kind="tag", value=0, text="odd"),
        mark(8, trial, kind="note", text=" the hat is <b>nice</b> 🎩 "),
        mark(9, trial, by="ben", kind="note", text="gone"),
        mark(10, trial, by="ben", kind="note", text=""),
    ]
    assert leave(client, *left) == 204
    expected = [
        ("anna", "note", 1.0, "the hat is <b>nice</b> 🎩"),
        ("anna", "pick", -1.0, ""),
        ("anna", "stars", 4.0, ""),
        ("anna", "tag", 1.0, "cover"),
        ("ben", "pick", 1.0, ""),
    ]
    assert held(client) == expected
    assert len(list(store.keys("made-up/appended/ratings/"))) == query(store, "FROM ratings").num_rows == len(left)
    assert fold(store, "made-up", "ratings") == len(left) and held(client) == expected


def test_a_mark_that_is_sent_again_counts_once(client: TestClient, store: Store, trial: str) -> None:
    assert leave(client, mark(1, trial), mark(1, trial), mark(2, trial, by="ben")) == 204
    assert query(store, "FROM ratings").num_rows == 2


def test_many_at_once_lose_none(client: TestClient, store: Store, trial: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = set(pool.map(lambda n: leave(client, mark(n, trial, by=f"person {n % 4}", kind="stars", value=n % 6)), range(40)))
    assert codes == {204} and query(store, "FROM ratings").num_rows == 40


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 2},
        {"kind": "stars", "value": 6},
        {"kind": "duel"},
        {"kind": "tag"},
        {"kind": "tag", "text": "  "},
        {"kind": "tag", "text": "x" * 65},
        {"kind": "note", "text": "x" * 2001},
        {"text": "a pick has none"},
        {"by": "  "},
        {"by": "x" * 65},
        {"trial": "../../manifest"},
        {"id": "../../manifest"},
        {"sweep": "other"},
    ],
)
def test_anything_else_is_refused(client: TestClient, store: Store, trial: str, changes: dict[str, Any]) -> None:
    assert leave(client, {**mark(1, trial), **changes}) == 422
    assert list(store.keys("made-up/appended/")) == []


def test_marks_are_for_trials_of_the_sweep(client: TestClient, store: Store, trial: str) -> None:
    answer = client.post(ADDRESS, json=mark(1, "0" * 16), headers=FROM_THE_PAGE)
    assert answer.status_code == 404 and "has no trial '0000000000000000'" in answer.json()["detail"]
    assert client.post("/api/sweeps/none/marks", json=mark(1, trial), headers=FROM_THE_PAGE).status_code == 404
    assert client.post("/api/sweeps/..%2Fother/marks", json=mark(1, trial), headers=FROM_THE_PAGE).status_code in (404, 405, 422)
    assert list(store.keys("made-up/appended/")) == []


def test_other_sites_can_leave_none(client: TestClient, store: Store, trial: str) -> None:
    foreign = ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"})
    assert [leave(client, mark(1, trial), **headers) for headers in foreign] == [403] * 4
    assert client.post(ADDRESS, json=mark(1, trial)).status_code == 403, "a form of another site cannot send the header"
    assert client.options(ADDRESS, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}).status_code == 405
    assert list(store.keys("made-up/appended/")) == []
    assert leave(client, mark(1, trial), **{"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}) == 204


def test_nothing_else_is_written(client: TestClient, store: Store, trial: str) -> None:
    before = {key: store.read(key) for key in store.keys("")}
    assert leave(client, mark(1, trial)) == 204
    assert client.post("/api/sweeps/made-up/wall", json={}, headers=FROM_THE_PAGE).status_code == 200
    after = {key: store.read(key) for key in store.keys("")}
    assert {*after} - {*before} == {"made-up/appended/ratings/20260101T000000000000-00000001.json"}
    assert {key: after[key] for key in before} == before
    routes: Any = make_app(store).routes
    methods = {route.path: {*(getattr(route, "methods", None) or ())} for route in routes}
    writing = [path for path, used in methods.items() if used & {"POST", "PUT", "PATCH", "DELETE"}]
    reading = {f"/api/sweeps/{{sweep}}/{what}" for what in ("wall", "grid", "curves", "scatter", "new-sweep")} | {"/api/ask"}
    assert {*writing} - reading == {"/api/sweeps/{sweep}/marks", "/api/sweeps/{sweep}/duels"}


def test_a_page_that_only_reads_takes_none(store: Store, trial: str) -> None:
    client = TestClient(make_app(store, writable=False))
    assert leave(client, mark(1, trial)) == 405 and client.get(ADDRESS).json() == {"writable": False, "marks": [], "agreement": None}
    assert list(store.keys("made-up/appended/")) == []


def test_a_login_is_asked_for_before_a_mark_is_taken(store: Store, trial: str) -> None:
    assert leave(TestClient(make_app(store, "someone:secret")), mark(1, trial)) == 401
    assert list(store.keys("made-up/appended/")) == []


def test_agreement_of_two(client: TestClient, trial: str) -> None:
    other = next(tile["id"] for tile in client.get("/api/sweeps/made-up").json()["tiles"] if tile["id"] != trial)
    leave(client, mark(1, trial), mark(2, other, value=-1), mark(3, trial, by="ben"), mark(4, other, by="ben", value=-1))
    assert client.get(ADDRESS).json()["agreement"] == {"reviewers": ["anna", "ben"], "pictures": 2, "kappa": 1.0, "method": "Cohen"}

"""Downloads and new sweeps by the review page's addresses: what the filters select, and nothing written."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from dreamsweep.export.formats import FORMATS
from dreamsweep.planning.sweep_file import parse_text
from dreamsweep.review import takeaway
from dreamsweep.review.app import make_app
from dreamsweep.store import Store
from tests.dreamsweep.export.conftest import PROMPTS, ids, store

__all__ = ["store"]
HEADERS = {"X-Dreamsweep-Mark": "1"}
EXPORT = "/api/sweeps/made-up/export"


@pytest.fixture
def client(store: Store) -> TestClient:
    return TestClient(make_app(store))


def rows(client: TestClient, **filters: Any) -> list[dict[str, str]]:
    answer = client.get(f"{EXPORT}/csv", params=filters)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_every_format_is_offered_and_downloaded(client: TestClient, store: Store) -> None:
    before = list(store.keys(""))
    offered = client.get(EXPORT).json()
    assert list(offered["formats"]) == list(FORMATS) and offered["submits"] is False
    for name, form in FORMATS.items():
        answer = client.get(f"{EXPORT}/{name}")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, form.media_type)
        assert answer.headers["content-disposition"].endswith(f'{form.ending}"') and "content-encoding" not in answer.headers
    with zipfile.ZipFile(io.BytesIO(client.get(f"{EXPORT}/pictures?marks=picked&by=anna").content)) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 7
    assert list(store.keys("")) == before


@pytest.mark.parametrize(
    ("filters", "trials"),
    [
        ({"q": "heart seed:1", "sort": "judge", "group": "prompt", "size": "200"}, 3),
        ({"engine": ["dalle", "strokes"]}, 18),
        ({"marks": "stars4"}, 3),
        ({"marks": "picked", "by": "anna"}, 6),
        ({"marks": "unreviewed", "by": "*"}, 9),
        ({"best": 1}, 3),
    ],
)
def test_filters_are_those_of_the_page(client: TestClient, filters: dict[str, Any], trials: int) -> None:
    assert len(rows(client, **filters)) == trials


def test_mistakes_are_sentences(client: TestClient) -> None:
    for filters, status, sentence in (
        ({"marks": "picked", "by": "nobody"}, 400, "no trial is selected by marks 'picked', by 'nobody'"),
        ({"marks": "stars9"}, 400, "stars 9: input should be less than or equal to 5."),
        ({"marks": "loved"}, 400, "marks 'loved': input should be"),
        ({"trial": "x"}, 400, "trials 'x': it is no trial's id"),
    ):
        answer = client.get(f"{EXPORT}/csv", params=filters)
        assert answer.status_code == status and sentence in answer.json()["detail"]
    assert client.get("/api/sweeps/made-upp/export/csv").status_code == 404
    assert client.get(f"{EXPORT}/exe").status_code == 422
    assert client.head(f"{EXPORT}/csv").status_code == 405


def test_other_sites_and_too_many_at_once_are_refused(client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get(f"{EXPORT}/csv", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get(f"{EXPORT}/csv", headers={"Sec-Fetch-Site": "none"}).status_code == 200
    for _ in range(5):  # a refused one takes no room
        assert client.get(f"{EXPORT}/csv?by=nobody&marks=picked").status_code == 400
    assert client.get(f"{EXPORT}/csv").status_code == 200
    monkeypatch.setattr(takeaway, "AT_ONCE", 0)
    busy = TestClient(make_app(store)).get(f"{EXPORT}/csv")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "10")


def make(client: TestClient, **wanted: Any) -> Any:
    return client.post("/api/sweeps/made-up/new-sweep", json={"filters": {}, **wanted}, headers=HEADERS)


def test_a_sweep_of_a_selection(client: TestClient, store: Store) -> None:
    before = list(store.keys(""))
    answer = make(client, filters={"marks": "picked", "by": "anna"}, way="more-seeds", seeds=3).json()
    sweep = parse_text(answer["text"], Path(), "the answer")
    assert (sweep.name, answer["name"], answer["trials"], answer["address"]) == ("made-up-more", "made-up-more", 18, None)
    five = make(client, filters={"trial": ids(store, PROMPTS[0])[:5]}, way="from-pictures").json()
    assert five["trials"] == 5 and f"{store.uri}/made-up/pictures/" in five["text"]
    assert make(client, way="new-prompts").json()["detail"].startswith("new-prompts: there are none")
    assert client.post("/api/sweeps/made-up/new-sweep", json={"filters": {}, "way": "more-seeds"}).status_code == 403
    assert list(store.keys("")) == before


def test_a_sweep_is_started_where_a_server_is_configured_and_the_page_is_writable(store: Store) -> None:
    submitted: list[tuple[str, str]] = []

    def submit(text: str, uri: str) -> str:
        submitted.append((text, uri))
        return "http://prefect.example/run"

    client = TestClient(make_app(store, submit=submit))
    assert client.get(EXPORT).json()["submits"] is True
    assert make(client, way="more-seeds", submit=True).json()["address"] == "http://prefect.example/run"
    ((text, uri),) = submitted
    assert text.startswith("name: made-up-more") and uri == store.uri
    for refusing in (TestClient(make_app(store)), TestClient(make_app(store, submit=submit, writable=False))):
        assert make(refusing, way="more-seeds", submit=True).status_code == 403 and len(submitted) == 1

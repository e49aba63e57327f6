"""The review page's server: what it gives to whom, and what it does not."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from dreamsweep.report import catalogue
from dreamsweep.report.catalogue import Catalogue
from dreamsweep.report.query import Session
from dreamsweep.results.appended import write_judged
from dreamsweep.review.app import make_app
from dreamsweep.store import Store, open_store
from tests.dreamsweep.sample_sweep import publish_sample
from tests.outages import Outage, make_stores_fail


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    publish_sample(store, prompts=["a red heart"], engines=["dalle"], snapshots=(30, 60))
    return store


@pytest.fixture
def client(store: Store) -> TestClient:
    return TestClient(make_app(store))


def trial_of(client: TestClient) -> str:
    (tile,) = client.get("/api/sweeps/made-up").json()["tiles"]
    return str(tile["id"])


def test_it_tells_of_sweeps_and_trials(client: TestClient) -> None:
    assert [card["sweep"] for card in client.get("/api/sweeps").json()] == ["made-up"]
    answer = client.get(f"/api/sweeps/made-up/trials/{trial_of(client)}").json()
    assert answer["prompt"] == "a red heart" and answer["snapshots"] == {"30": "000030.png", "60": "000060.png"}
    assert client.get("/health").json() == {"status": "ok"}


def test_a_wall_is_computed_again_once_it_is_published_anew_or_judged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []

    def make_catalogue(session: Session) -> Catalogue:
        computed.append(len(session.manifests))
        return catalogue.make_catalogue(session)

    monkeypatch.setattr("dreamsweep.review.catalogues.make_catalogue", make_catalogue)
    client = TestClient(make_app(store))
    first = client.get("/api/sweeps/made-up").json()
    assert client.get("/api/sweeps/made-up").json() == first and len(computed) == 1
    judged = {"trial_id": trial_of(client), "picture": "best.png", "judge": "starter-auditor", "version": "1", "score": 0.5}
    write_judged(store, "made-up", "judgements", [judged], "somebody")
    assert client.get("/api/sweeps/made-up").json()["tiles"][0]["ranked_by"] != first["tiles"][0]["ranked_by"] and len(computed) == 2
    publish_sample(store, prompts=["a red heart", "a rocket"], engines=["dalle"])
    assert len(client.get("/api/sweeps/made-up").json()["tiles"]) == 2 and len(computed) == 3


def test_pictures_come_whole_or_small(client: TestClient, store: Store) -> None:
    trial = trial_of(client)
    whole = client.get(f"/pictures/made-up/{trial}/000030.png")
    assert whole.content == store.read(f"made-up/pictures/{trial}/000030.png")
    assert whole.headers["content-type"] == "image/png" and "max-age" in whole.headers["cache-control"]
    small = client.get(f"/pictures/made-up/{trial}/best.png?side=64")
    assert Image.open(io.BytesIO(small.content)).size == (64, 64) and small.headers["content-type"] == "image/webp"
    large = client.get(f"/pictures/made-up/{trial}/best.png?side=1024")
    assert Image.open(io.BytesIO(large.content)).size == (128, 128), "a small picture is not blown up"


@pytest.mark.parametrize(
    "path",
    [
        "made-up/../manifest.json",
        "made-up/..%2F..%2Fmanifest.json",
        "made-up/ID/..%2F..%2F..%2Fmanifest.json",
        "made-up/ID/manifest.json",
        "%2e%2e/ID/best.png",
    ],
)
def test_nothing_but_pictures_is_given(client: TestClient, path: str) -> None:
    answer = client.get(f"/pictures/{path.replace('ID', trial_of(client))}")
    assert answer.status_code in (404, 422) and b"spec_sha256" not in answer.content


def test_what_is_gone_or_damaged_is_told_in_a_sentence(client: TestClient, store: Store) -> None:
    trial = trial_of(client)
    gone = client.get(f"/pictures/made-up/{trial}/000031.png")
    assert gone.status_code == 404 and "000031.png" in gone.json()["detail"]
    store.write(f"made-up/pictures/{trial}/best.png", b"no picture")
    damaged = client.get(f"/pictures/made-up/{trial}/best.png?side=64")
    assert damaged.status_code == 404 and damaged.json()["detail"] == "this is no picture any more: its file is damaged."
    assert "did you mean 'made-up'?" in client.get("/api/sweeps/made-upp").json()["detail"]


def test_a_page_is_there_for_every_address_and_runs_only_its_own_script(client: TestClient) -> None:
    for address in ("/", "/sweeps/made-up"):
        answer = client.get(address)
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff"
    for writing in (client.post, client.put, client.delete):
        assert writing("/api/sweeps").status_code == 405


def test_every_file_of_the_page_is_asked_for_at_once(client: TestClient) -> None:
    """A module is else asked for when the one that imports it has come: five round trips before the first trial."""
    page = client.get("/sweeps/made-up").text
    (first,) = re.findall(r'<script type="module" src="/page/([a-z]+\.js)">', page)
    modules, left = set[str](), {first}
    while left:
        modules |= left
        left = {name for module in left for name in re.findall(r'from "\./([a-z]+\.js)"', client.get(f"/page/{module}").text)} - modules
    assert sorted(re.findall(r'<link rel="modulepreload" href="/page/([a-z]+\.js)">', page)) == sorted(modules - {first})
    assert all(client.get(f"/page/{name}").status_code == 200 for name in [*modules, "review.css"])


def test_a_login_is_asked_for_everywhere_but_health(store: Store) -> None:
    client = TestClient(make_app(store, "someone:a pässword"))
    for path in ("/", "/api/sweeps", "/page/review.js", "/pictures/made-up/0000000000000000/best.png"):
        answer = client.get(path)
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic ") and answer.text == "log in"
    assert client.get("/health").status_code == 200
    assert client.get("/api/sweeps", auth=("someone", "a password")).status_code == 401
    assert client.get("/api/sweeps", headers={"Authorization": "Basic %%%"}).status_code == 401
    assert client.get("/api/sweeps", auth=("someone", "a pässword")).status_code == 200


def test_it_answers_only_by_its_names(store: Store) -> None:
    app = make_app(store, hosts=["[::1]", "::1", "pictures.example"])
    assert TestClient(app, base_url="http://[::1]:4300").get("/api/sweeps").status_code == 200
    assert TestClient(app, base_url="http://pictures.example").get("/api/sweeps").status_code == 200
    assert TestClient(app, base_url="http://rebound.example").get("/api/sweeps").status_code == 400


def test_a_bucket_s_pictures_come_through_it(s3_bucket: str) -> None:
    store = open_store(f"s3://{s3_bucket}/night")
    publish_sample(store, prompts=["a red heart"], engines=["dalle"])
    client = TestClient(make_app(store))
    trial = trial_of(client)
    assert client.get(f"/pictures/made-up/{trial}/best.png").content == store.read(f"made-up/pictures/{trial}/best.png")
    assert client.get(f"/pictures/made-up/{trial}/final.png").status_code == 404


def test_a_store_that_does_not_answer_is_503_and_what_is_not_there_404(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, outage = trial_of(client), Outage()
    make_stores_fail(outage, monkeypatch)
    away = TestClient(make_app(open_store(store.uri)))
    outage.is_away = lambda operation: True
    pages = ("/api/sweeps", "/api/sweeps/made-up", f"/api/sweeps/made-up/trials/{trial}", f"/pictures/made-up/{trial}/best.png")
    for page in (*pages, "/api/sweeps/made-up/state", f"/pictures/made-up/{trial}/best.png?side=64"):
        answer = away.get(page)
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "10"), page
        assert answer.json()["detail"].startswith("store does not answer")
    assert away.get("/health").status_code == 200
    outage.is_away = lambda operation: False
    assert [away.get(page).status_code for page in pages] == [200] * 4
    gone = away.get("/api/sweeps/none")
    assert gone.status_code == 404 and "Retry-After" not in gone.headers


def test_a_table_that_is_damaged_is_no_outage(client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamsweep.report.query.PAUSE", 0.0)
    for key in list(store.keys("made-up/tables/")):
        store.write(key, b"no Parquet")
    answer = client.get("/api/sweeps/made-up")
    assert answer.status_code == 500 and "Retry-After" not in answer.headers
    assert "it is missing or damaged, and running its sweep again writes it anew" in answer.json()["detail"]

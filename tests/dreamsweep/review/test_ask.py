"""Questions in SQL over HTTP: the tested ones are answered, attacks are refused, limits hold; and as they are asked on the page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from starlette.testclient import TestClient

from dreamsweep.report.questions import questions
from dreamsweep.review import ask as asking
from dreamsweep.review.app import make_app
from dreamsweep.store import open_store
from dreamsweep.store.local import LocalStore
from tests.browser import chromium, empty_page, serving
from tests.conftest import free_socket
from tests.dreamsweep.report.test_sandbox import ATTACKS, IN_S3, SECRET, files_below, store

__all__ = ["store"]
CHROMIUM = chromium()
IN_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium")
HEADERS = {"X-Dreamsweep-Mark": "1"}


@pytest.fixture
def client(store: LocalStore) -> TestClient:
    return TestClient(make_app(store))


def ask(client: TestClient, sql: str, **more: Any) -> Any:
    return client.post("/api/ask", json={"sql": sql, **more}, headers=HEADERS)


def test_an_answer_is_columns_and_rows(client: TestClient) -> None:
    answer = ask(
        client,
        "SELECT prompt, count(*) AS n, avg(judge_best) AS judge, list(DISTINCT engine ORDER BY engine) AS engines FROM trials GROUP BY 1",
    ).json()
    assert [(column["name"], column["type"]) for column in answer["columns"]] == [
        *(("prompt", "text"), ("n", "number")),
        *(("judge", "number"), ("engines", "text")),
    ]
    assert len(answer["rows"]) == 3 and answer["rows"][0][3] == '["dalle", "strokes"]' and answer["has_more"] is False


def test_values_that_json_lacks(client: TestClient) -> None:
    answer = ask(
        client, "SELECT 'nan'::DOUBLE AS a, 2::BIGINT ** 60 AS b, repeat('x', 5000) AS c, DATE '2026-01-02' AS d, 1.5::DECIMAL(4,1) AS e"
    ).json()
    ((nan, large, text, date, decimal),) = answer["rows"]
    assert nan is None and large in (2**60, str(2**60), float(2**60)) and len(text) == 2_000 and text.endswith("…")
    assert (date, decimal) == ("2026-01-02", 1.5)
    assert ask(client, "SELECT 9007199254740993::BIGINT AS n").json()["rows"] == [["9007199254740993"]]


def test_the_tested_questions_are_offered_and_answered(client: TestClient) -> None:
    offered = client.get("/api/questions").json()
    assert offered == questions() and len(offered) > 15
    for words, sql in list(offered.items())[:4]:
        assert ask(client, sql).status_code == 200, words


def test_one_sweep_or_all(client: TestClient) -> None:
    assert ask(client, "SELECT count(*) FROM trials", sweep="demo").json()["rows"] == [[24]]
    refused = ask(client, "SELECT count(*) FROM trials", sweep="dem")
    assert refused.status_code == 400 and "did you mean 'demo'?" in refused.json()["detail"]


@pytest.mark.parametrize("attack", [*ATTACKS, *IN_S3])
def test_attacks(client: TestClient, tmp_path: Path, attack: str) -> None:
    before, variable_of_python = files_below(tmp_path), SECRET
    answer = ask(client, attack.format(folder=tmp_path))
    assert SECRET not in answer.text and variable_of_python
    if attack in ATTACKS:
        assert answer.status_code == 400 and "\n" not in answer.json()["detail"]
    assert files_below(tmp_path) == before


def test_settings_cannot_be_changed_and_nothing_is_spilled(client: TestClient) -> None:
    assert ask(client, "SET memory_limit = '100GB'").status_code == 400
    settings = ask(
        client, "SELECT current_setting('memory_limit') AS m, current_setting('temp_directory') AS t, current_setting('threads') AS n"
    )
    assert settings.json()["rows"] == [["953.6 MiB", "", 2]]
    too_much = ask(client, "SELECT list(range) FROM range(1000000000)")
    assert too_much.status_code == 400 and "memory" in too_much.json()["detail"].lower()


def test_rows_and_time_are_limited(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask(client, "SELECT * FROM range(100000000000)").json()
    assert len(answer["rows"]) == 1_000 and answer["has_more"]
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    answer = ask(client, "SELECT count(*) FROM range(10000000000000) a, range(10000000000000) b")
    assert answer.status_code == 400 and "took longer than" in answer.json()["detail"]
    answer = ask(client, "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n % 7 FROM r) SELECT count(*) FROM r")
    assert answer.status_code == 400
    assert re.search("took longer than|Out of Memory", answer.json()["detail"])  # on a busy machine, its rows fill the memory first


def test_questions_come_from_the_page_alone_and_a_few_at_a_time(
    client: TestClient, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post("/api/ask", json={"sql": "SELECT 1"}).status_code == 403
    assert client.post("/api/ask", json={"sql": "SELECT 1"}, headers={**HEADERS, "Origin": "https://evil.example"}).status_code == 403
    monkeypatch.setattr(asking, "AT_ONCE", 0)
    busy = TestClient(make_app(store)).post("/api/ask", json={"sql": "SELECT 1"}, headers=HEADERS)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")


def test_an_empty_store_is_said(tmp_path: Path) -> None:
    client = TestClient(make_app(open_store(str(tmp_path / "empty"))))
    answer = ask(client, "SELECT 1")
    assert answer.status_code == 400 and "no published sweep" in answer.json()["detail"]


@pytest.fixture
def page(opened_browser: Browser, store: LocalStore) -> Iterator[Page]:
    with free_socket() as listening, serving(make_app(store), listening) as address, empty_page(opened_browser) as page:
        page.goto(address)
        yield page


@IN_BROWSER
def test_the_page_takes_a_question_once_it_can_answer_and_then_has_the_focus(page: Page) -> None:
    held: list[Route] = []
    page.route("**/api/questions", lambda route: held.append(route))
    page.goto(f"{page.url}ask?sweep=demo")
    expect(page.locator("#sql")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("SELECT")
    expect(page.locator("#sql")).to_have_value("")
    held.pop().continue_()
    expect(page.locator("#sql")).to_be_focused()
    page.keyboard.type("SELECT count(*) FROM trials")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer tbody")).to_have_text("24")


@IN_BROWSER
def test_the_page_says_why_it_cannot_answer(page: Page) -> None:
    page.route("**/api/questions", lambda route: route.fulfill(status=503, json={"detail": "The store does not answer."}))
    page.goto(f"{page.url}ask")
    expect(page.get_by_role("status")).to_have_text("The store does not answer.")

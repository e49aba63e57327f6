"""Prefect's run form in a headless browser, used as a person uses it."""

import re
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Locator, Page, expect


def open_form(page: Page, ui: str, deployment_id: str) -> None:
    """The run form of a deployment, on the server at `ui`, as its page's own button opens it."""
    page.goto(f"{ui}/v2/deployments/deployment/{deployment_id}")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Custom run").click()
    page.get_by_role("heading", name="Parameters").wait_for()


def choose(page: Page, tab: str) -> None:
    """A tab of the form: `By name`, or an engine."""
    page.get_by_role("tab", name=tab, exact=True).click()


def fill(page: Page, values: Mapping[str, str]) -> None:
    """Fields by their labels; what else a field is called (`(Optional)`) does not matter."""
    for label, value in values.items():
        page.get_by_label(re.compile(rf"^{re.escape(label)}( \(Optional\))?$")).fill(value)


def field(page: Page, label: str) -> Locator:
    """The part of the form that holds a field, its label and what is wrong with it."""
    return page.locator("div.group").filter(has=page.get_by_label(re.compile(rf"^{re.escape(label)}( \(Optional\))?$"))).last


def submit(page: Page) -> str:
    """Starts the flow run, and returns its id: from the server's answer, as the page's own word of it fades within seconds.

    A server whose SQLite is locked answers 503, and the page asks for another press.
    """
    for _ in range(5):
        with page.expect_response(lambda answer: answer.url.endswith("/create_flow_run")) as response:
            page.get_by_role("button", name="Submit").click()
        if response.value.status != 503:
            break
        page.wait_for_timeout(2_000)
    assert response.value.ok, response.value.text()
    return str(response.value.json()["id"])


def show_run(page: Page, ui: str, flow_run_id: str, tab: str = "Logs") -> None:
    """A flow run's page."""
    page.goto(f"{ui}/v2/runs/flow-run/{flow_run_id}")
    page.get_by_role("tab", name=tab).click()


def wait_until_completed(page: Page, seconds: float) -> None:
    """Until the page itself says so, which asks the server every few seconds."""
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=seconds * 1000)


def open_artifact(page: Page, ui: str, flow_run_id: str, key: str) -> None:
    """An artifact of a flow run, by way of the run's page and the list of the key's versions."""
    show_run(page, ui, flow_run_id, "Artifacts")
    page.get_by_text(key, exact=True).click()
    page.get_by_role("link", name=re.compile(r"^[0-9a-f]{8}$")).first.click()
    page.wait_for_url(re.compile("/artifacts/artifact/"))


def picture(page: Page, path: Path, height: int | None = None) -> None:
    """A screenshot."""
    page.wait_for_timeout(700)  # pages fade in
    page.screenshot(path=path, clip=None if height is None else {"x": 0, "y": 0, "width": 1180, "height": height})

"""From Prefect's run form to pictures, in a headless browser: a real server with its pages, real workers, real flow runs."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolUpdate

from dreamsweep.flows import SWEEPS
from dreamsweep.flows.deploy import NIGHTLY
from dreamsweep.report.query import query
from dreamsweep.results.manifest import read_manifest
from dreamsweep.review.address import ADDRESS
from dreamsweep.review.app import make_app
from dreamsweep.store import open_store
from tests.browser import address_of, browser, chromium, serving
from tests.conftest import free_socket
from tests.flows import run_form as form
from tests.flows.test_services import until

ROOT = Path(__file__).parents[2]
CHROMIUM = chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: Debian's package chromium"),
]


@pytest.fixture
def page(full_server: str) -> Iterator[Page]:
    assert CHROMIUM
    with browser(CHROMIUM) as page:
        yield page


@pytest.fixture
def client(full_server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def deployment_id(client: SyncPrefectClient) -> str:
    return str(client.read_deployment_by_name(NIGHTLY).id)


@pytest.fixture
def review_socket(full_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where the review page will be, as workers that start after it know."""
    with free_socket() as listening:
        monkeypatch.setenv(ADDRESS, address_of(listening))
        yield listening


@pytest.mark.usefixtures("review_socket", "workers")
def test_a_form_filled_in_becomes_pictures(
    full_server: str, deployed_store: str, page: Page, client: SyncPrefectClient, review_socket: socket.socket
) -> None:
    form.open_form(page, full_server, deployment_id(client))
    form.fill(page, {"Name": "garden", "Prompts": "a red heart\na green apple", "Iterations": "6"})
    form.choose(page, "strokes")
    form.fill(page, {"Num Paths": "4", "Cutouts": "2"})
    started = form.submit(page)
    page.goto("about:blank")  # a page that moves takes as much of the machine as the flow runs
    until(lambda: client.read_flow_run(started).state.is_final())  # type: ignore[arg-type, union-attr]
    form.show_run(page, full_server, started)
    form.wait_until_completed(page, 900)

    manifest = read_manifest(open_store(deployed_store), "garden")
    assert manifest is not None and (manifest.trials, manifest.done) == (2, 2)
    rows = query(
        open_store(deployed_store), "SELECT prompt, iterations, strokes.num_paths AS paths FROM trials ORDER BY prompt"
    ).to_pylist()
    assert rows == [{"prompt": prompt, "iterations": 6, "paths": 4} for prompt in ("a green apple", "a red heart")]

    form.open_artifact(page, full_server, started, "garden-summary")
    artifact = page.get_by_test_id("markdown-display")
    expect(artifact).to_contain_text("2 trials, 2 of them done")
    expect(artifact).to_contain_text("garden/summary/contact-sheet.png")
    for prompt in ("a red heart", "a green apple"):
        expect(artifact.get_by_role("cell", name=prompt)).to_be_visible()
    pictures = artifact.locator("img[src^='data:image/webp']")
    expect(pictures).to_have_count(4)  # contact sheet, curves, two thumbnails
    assert all(width > 30 for width in pictures.evaluate_all("images => images.map(image => image.naturalWidth)"))
    with serving(make_app(open_store(deployed_store)), review_socket):
        page.goto(artifact.get_by_role("link", name="/sweeps/garden").get_attribute("href") or "")
        expect(page.locator(".tile")).to_have_count(2)


@pytest.fixture
def nobody_works(deployed_store: str, client: SyncPrefectClient) -> Iterator[None]:
    client.update_work_pool(SWEEPS, WorkPoolUpdate(is_paused=True))
    yield
    client.update_work_pool(SWEEPS, WorkPoolUpdate(is_paused=False))


@pytest.mark.usefixtures("nobody_works")
@pytest.mark.parametrize(
    ("tab", "label", "value", "sent"),
    [("By name", "Name", "engines", {"stored": "engines"}), ("Sweep file", "", "name: t\nprompts: [a]\nengines: dalle\n", None)],
)
def test_the_other_tabs_send_what_they_say(
    tab: str, label: str, value: str, sent: object, full_server: str, page: Page, client: SyncPrefectClient
) -> None:
    form.open_form(page, full_server, deployment_id(client))
    form.choose(page, tab)
    if label:
        form.fill(page, {label: value})
    else:
        page.get_by_role("tabpanel", name=tab).get_by_role("textbox").fill(value)
    started = client.read_flow_run(form.submit(page))  # type: ignore[arg-type]
    assert started.parameters["request"]["sweep"] == (sent or value)


@pytest.mark.usefixtures("nobody_works")
def test_a_mistake_is_told_in_the_form_and_starts_nothing(full_server: str, page: Page, client: SyncPrefectClient) -> None:
    form.open_form(page, full_server, deployment_id(client))
    before = len(client.read_flow_runs())
    form.fill(page, {"Name": "No Name", "Iterations": "0"})
    page.get_by_role("button", name="Submit").click()
    for field, mistake in {"Name": "'small letters, digits, dots and dashes, such as", "Iterations": "0 is less than or equal"}.items():
        expect(form.field(page, field).get_by_text(mistake)).to_be_visible()
    assert len(client.read_flow_runs()) == before

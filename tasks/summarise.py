"""The contact sheet and the curves: into the store, and as artifacts for Prefect's pages."""

import base64
import io

from PIL import Image
from prefect import task
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from dreamsweep.query import query
from dreamsweep.review.address import review_page
from dreamsweep.store import Store, open_store
from dreamsweep.summary import write_summary
from tasks.policy import RETRY_DELAYS, worth_retrying
from tasks.progress import artifact_key

TABLE_ROWS = 100
WEEK = 7 * 24 * 3600
IMAGE_BYTES = 200_000
"""Prefect refuses events over 1.5 MB, and shows an image artifact only from a URL."""


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=RETRY_DELAYS, retry_condition_fn=worth_retrying)
def summarise(sweep: str, store: str) -> float | None:
    """Draws the published sweep's contact sheet and curves, and shows them in Prefect. Gives the judge's best mark."""
    opened = open_store(store)
    sheet, curves = write_summary(opened, sweep)
    key = artifact_key(sweep)
    told, best = _told(opened, sweep, sheet, curves)
    create_markdown_artifact(told, key=f"{key}-summary")
    create_table_artifact(_best_trials(opened, sweep), key=f"{key}-best", description=f"The best trials of sweep {sweep}, by the judge")
    picture = _thumbnail(opened.read(sheet))
    if picture:
        create_image_artifact(picture, key=f"{key}-contact-sheet", description=f"Best pictures of sweep {sweep}")
    return best


def _told(store: Store, sweep: str, sheet: str, curves: str) -> tuple[str, float | None]:
    """The summary, and the judge's best mark."""
    sql = "SELECT count(*) AS trials, count(*) FILTER (status = 'done') AS done, max(judge_best) AS best FROM trials"
    (row,) = query(store, sql, sweep).to_pylist()
    best: float | None = row["best"]
    told = (
        f"# {sweep}\n\n{row['trials']} trials, {row['done']} of them done; the judge's best mark is "
        f"{'none' if best is None else f'{best:.3f}'}.\n\n"
        f"- review page: {_review(store, sweep)}\n"
        f"- contact sheet: {_linked(store, sheet)}\n- curves: {_linked(store, curves)}\n"
    )
    return told, best


def _review(store: Store, sweep: str) -> str:
    page = review_page(sweep)
    return f"[{page}]({page})" if page else f"`dreamsweep review {sweep} --store {store.uri}`"


def _linked(store: Store, key: str) -> str:
    """An object's address, which Prefect's page opens for a week where the store is a bucket; no browser opens a file from there."""
    link, told = store.link(key, WEEK), f"`{store.uri_of(key)}`"
    return f"[{told}]({link})" if link.startswith("http") else told


def _best_trials(store: Store, sweep: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = query(
        store,
        "SELECT trial_id, prompt, engine, seed, round(judge_best::DOUBLE, 3) AS judge_best, round(guide_best::DOUBLE, 3) AS guide_best, "
        "status, best_uri "
        f"FROM trials ORDER BY judge_best DESC NULLS LAST, trial_id LIMIT {TABLE_ROWS}",
        sweep,
    ).to_pylist()
    return rows


def _thumbnail(png: bytes) -> str | None:
    """The contact sheet as a small `data:` URI; None where it cannot be made small."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for side in (1200, 800, 500):
        small = image.copy()
        small.thumbnail((side, side))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=80)
        if out.tell() <= IMAGE_BYTES:
            return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
    return None

"""Artifacts for Prefect's pages: what a sweep comes to, and of a published one its sheet, curves, and the best of each prompt.

Pictures lie in it as `data:` URIs, as a browser has no credentials for the store; links that open without any would be a secret.
"""

import base64
import io
import itertools
import re
import shlex

from PIL import Image
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from dreamsweep.generation.foresight import forecast, unread_texts
from dreamsweep.planning.prompt_notes import prompt_notes
from dreamsweep.report.best import BestTrial, best_trials
from dreamsweep.report.query import query
from dreamsweep.report.stored_pictures import read_picture, warn_of_unreadable
from dreamsweep.report.summary import Summary, ensure_summary
from dreamsweep.results.manifest import read_manifest
from dreamsweep.review.address import review_page
from dreamsweep.spec import Sweep
from dreamsweep.store import Store, keys, open_store, without_login
from dreamsweep.tasks.policy import RETRIES, retry_delays, worth_retrying
from dreamsweep.tasks.progress import artifact_key

ROWS = 40
"""Maximum number of pictures in the table."""
PROMPT = 200
"""Maximum number of characters of a prompt in the table."""
SHEET, CURVES, THUMBNAIL = (1_500, 180_000), (1_100, 80_000), (112, 5_000)
"""Sides in pixels and sizes in bytes that pictures have at most. Prefect refuses artifacts over 1.5 MB; all together stay below 650 kB."""


@task(cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=retry_delays, retry_condition_fn=worth_retrying)
def show_summary(sweep: str, store: str) -> float | None:
    """Shows the published sweep's contact sheet, curves and best trials in Prefect; returns the judge's best mark.

    Shows nothing where nothing is published.
    """
    opened = open_store(store)
    manifest = read_manifest(opened, sweep)
    if manifest is None:
        return None
    text, best = summary_page(opened, sweep, ensure_summary(opened, manifest))
    create_markdown_artifact(text, key=f"{artifact_key(sweep)}-summary", description=f"What sweep {sweep} has drawn")
    return best


@task(cache_policy=NO_CACHE, retries=RETRIES, retry_delay_seconds=retry_delays, retry_condition_fn=worth_retrying)
def show_plan(sweep: Sweep, store: str) -> str:
    """Shows in Prefect what the sweep comes to, what is in the store already, and what will not be read; returns the numbers of trials."""
    rows = forecast(sweep, open_store(store))
    notes = [*prompt_notes(sweep), *unread_texts(sweep)]
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {escaped(value)} |" for name, value in rows)])
    text = "\n\n".join([f"# {sweep.name}, planned", table, *(f"- {escaped(note)}" for note in notes)])
    create_markdown_artifact(text + "\n", key=f"{artifact_key(sweep.name)}-plan", description=f"What sweep {sweep.name} comes to")
    return f"trials {dict(rows)['trials']}, to be made {dict(rows)['to be made']}"


def summary_page(store: Store, sweep: str, summary: Summary) -> tuple[str, float | None]:
    """Returns the summary as Markdown, and the judge's best score."""
    sql = "SELECT count(*) AS trials, count(*) FILTER (status = 'done') AS done, max(judge_best) AS best FROM trials"
    (row,) = query(store, sql, sweep).to_pylist()
    best: float | None = row["best"]
    mark = "none" if best is None else f"{best:.3f}"
    sheet, curves = (data_uri(read_picture(store, key), *most) for key, most in ((summary.sheets[0], SHEET), (summary.curves, CURVES)))
    parts = [
        f"# {sweep}",
        f"{row['trials']} trials, {row['done']} of them done; the judge's best mark is {mark}.",
        f"All pictures, on the review page: {_review(store, sweep)}",
        f"![Contact sheet]({sheet})" if sheet else "",
        f"![Curves of the scores]({curves})" if curves else "",
        _best_of_each(store, sweep),
        f"Contact sheet: {_address(store, summary.sheets[0])}{_further(summary)}. Curves: {_address(store, summary.curves)}.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n", best


def _best_of_each(store: Store, sweep: str) -> str:
    """Returns a table of the best trial of each prompt and engine, with its picture."""
    trials = best_trials(store, sweep)
    lines = [_row(store, sweep, trial) for trial in trials[:ROWS]]
    if not lines:
        return ""
    title = "## The best of each prompt and engine" + (f": {ROWS} of {len(trials):,}" if len(trials) > ROWS else "")
    judges = ", ".join(dict.fromkeys(trial.judges for trial in trials))
    said = f"Ranked within each prompt by {judges}."
    return "\n".join(
        [title, "", said, "", "| picture | prompt | engine | seed | rank | judge | trial |", "|---|---|---|--:|--:|--:|---|", *lines]
    )


def _row(store: Store, sweep: str, trial: BestTrial) -> str:
    key = keys.picture(sweep, trial.trial_id, keys.BEST)
    if (best := read_picture(store, key)) is None:
        warn_of_unreadable([key])
    picture = data_uri(best, *THUMBNAIL)
    shown = f"![{trial.trial_id}]({picture})" if picture else "–"
    return f"| {shown} | {escaped(trial.prompt)} | {trial.engine} | {trial.seed} | {trial.rank} | {trial.judge:.3f} | `{trial.trial_id}` |"


def escaped(text: str) -> str:
    """Returns the start of a text as a cell of a Markdown table shows it, whatever it holds: on one line, no mark-up, no HTML."""
    line = " ".join(text.split())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line if len(line) <= PROMPT else f"{line[: PROMPT - 1]}…")


def _further(summary: Summary) -> str:
    """Returns the number of further pages, and their address."""
    if len(summary.sheets) == 1:
        return ""
    return f", the first of {len(summary.sheets)} pages; the others lie beside it, up to `{summary.sheets[-1].rpartition('/')[2]}`"


def _review(store: Store, sweep: str) -> str:
    page = review_page(sweep)
    if page is None:
        return f"`{shlex.join(['dreamsweep', 'review', sweep, '--store', without_login(store.uri)])}`"
    return f"[{without_login(page)}]({without_login(page)})"


def _address(store: Store, key: str) -> str:
    return f"`{without_login(store.uri_of(key))}`"


def data_uri(image: Image.Image | None, side: int, size: int) -> str | None:
    """Returns a picture as a `data:` URI of at most so many pixels and bytes; None if there is none, or it cannot be made as small."""
    if image is None:
        return None
    for smaller, quality in itertools.product((1, 1.5, 2, 3), (80, 50, 30)):
        small = image.copy()
        small.thumbnail((round(side / smaller),) * 2)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=quality)
        if out.tell() <= size:
            return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
    return None

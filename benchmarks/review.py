"""How fast the review page is: its first wall, filters and sorting, and marks by the keyboard, in a headless Chromium.

    python benchmarks/review.py
    python benchmarks/review.py --trials 1_000_000 --store-delay 0.5

Publishes made-up trials (200 prompts, one engine, their best pictures of 128 px) in a folder for temporary files, and serves them. First
wall: from the navigation until the first tiles are drawn, and until every picture in sight is there, by the page's own clock, in a
browser that has not seen the page yet; with a server that has just started, then once more. Filter and sort: from the event until the
answer is drawn, the box's own 120 ms of waiting for further letters left out; the next when all pictures in sight are there. Mark: from
the key until the frame with the mark, while the store takes its time to write it. Medians.
"""

import argparse
import itertools
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import gather as stages  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import uvicorn  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Page  # noqa: E402

from dreamsweep.report.kept_catalogue import keep_catalogue  # noqa: E402
from dreamsweep.results.manifest import stage_shard  # noqa: E402
from dreamsweep.results.publishing import gather, publish  # noqa: E402
from dreamsweep.review.app import make_app  # noqa: E402
from dreamsweep.review.catalogues import Catalogues  # noqa: E402
from dreamsweep.review.patience import PatientProtocol  # noqa: E402
from dreamsweep.review.wall import PageOfWall, Walls  # noqa: E402
from dreamsweep.store import BYTES  # noqa: E402
from dreamsweep.store.local import LocalStore  # noqa: E402
from tests.browser import address_of, browser, chromium  # noqa: E402
from tests.conftest import free_socket  # noqa: E402

SWEEP, PROMPTS, ITERATIONS, A_SHARD, PICTURES, PICTURED = stages.SWEEP, 200, 2, 10_000, 64, 10_000
AIMS = "aims: first wall of 10,000 trials < 1 s, of 1,000,000 < 3 s; filter and sort < 200 ms; mark < 50 ms"
REVIEWER = "if (location.protocol === 'http:') localStorage.setItem('dreamsweep reviewer', 'anna')"
FIRST_WALL = """new MutationObserver((_, observer) => {
    if (!document.querySelector('.tile')) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => (window.tilesDrawn = performance.now())));
    const inSight = ({ top, bottom }) => bottom > 0 && top < innerHeight;
    const look = () => {
        const pictures = [...document.querySelectorAll('.tile img')].filter((image) => inSight(image.getBoundingClientRect()));
        if (pictures.every((image) => image.complete)) window.picturesDrawn = performance.now();
        else setTimeout(look, 10);
    };
    requestAnimationFrame(() => setTimeout(look));
}).observe(document, { childList: true, subtree: true });"""
"""Notes the milliseconds from the navigation until the first tiles are drawn, and until every picture in sight is there."""
IN_SIGHT = """() => [...document.querySelectorAll('.tile img')].filter((image) => {
    const box = image.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
}).every((image) => image.complete)"""
TIMED = """async ([id, value, kind]) => {
    const field = document.getElementById(id), wall = document.getElementById('wall'), start = performance.now();
    const redrawn = new Promise((drawn) => new MutationObserver(drawn).observe(wall, { childList: true }));
    field.value = value;
    field.dispatchEvent(new Event(kind, { bubbles: true }));
    await redrawn;
    await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    return performance.now() - start;
}"""
"""Sets a field, and returns the milliseconds until the wall is drawn anew and the frame after it is there."""
MARKED = """async (key) => {
    const tile = document.querySelectorAll('.tile')[3];
    tile.focus();
    const start = performance.now();
    tile.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    while (!tile.querySelector('.signs b')) await new Promise((next) => setTimeout(next));
    await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    return performance.now() - start;
}"""


class SlowStore(LocalStore):
    """Folder that takes its time to write."""

    delay = 0.0

    def write(self, key: str, data: bytes, content_type: str = BYTES) -> None:
        time.sleep(self.delay)
        super().write(key, data, content_type)


def main() -> None:
    options = _options()
    executable = chromium()
    assert executable, "needs a browser: Debian's package chromium"
    with tempfile.TemporaryDirectory(prefix="dreamsweep-benchmark-") as folder:
        start = time.monotonic()
        store = SlowStore(Path(folder) / "runs")
        _publish(store, options.trials)
        print(f"published {options.trials:,} trials in {time.monotonic() - start:.0f} s; load {os.getloadavg()[0]:.1f}", flush=True)
        kept = Path(folder) / "thumbnails"
        print("| | ms |\n|---|---|")
        start = time.monotonic()
        keep_catalogue(store, SWEEP)
        print(
            f"| end of the run: catalogue computed and kept, of large sweeps alone | {1e3 * (time.monotonic() - start):,.0f} |", flush=True
        )
        _link_first_pictures(store, kept)
        if not options.kept:
            for file in kept.glob("*.npz"):
                file.unlink()
        with _serving(folder, options.store_delay) as (address, server):
            walls = []
            for last in [*[False] * options.repeats, True]:
                with browser(executable) as page:
                    page.goto(f"{address}/health")
                    page.wait_for_timeout(2_000)  # the time that a browser takes to start is not ours
                    page.context.add_init_script(REVIEWER)
                    walls.append(_first_wall(page, f"{address}/sweeps/{SWEEP}"))
                    if last:
                        _print_walls(walls)
                        _measure_the_rest(page, options.repeats)
                        _measure_memory(page, server)
    print(stages._machine())
    print(f"load {os.getloadavg()[0]:.1f}")
    print(AIMS)


@contextmanager
def _serving(folder: str, delay: float) -> Iterator[tuple[str, int]]:
    """Serves the store from a process of its own; yields its address and its process's number."""
    with free_socket() as listening:
        server = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, delay, listening))
        server.start()
        try:
            yield address_of(listening), server.pid or 0
        finally:
            server.terminate()
            server.join()


def _serve(folder: str, delay: float, listening: socket.socket) -> None:
    store = SlowStore(Path(folder) / "runs")
    store.delay = delay
    app = make_app(store, folder=Path(folder) / "thumbnails")
    uvicorn.Server(uvicorn.Config(app, http=PatientProtocol, log_level="warning")).run(sockets=[listening])


def _first_wall(page: Page, address: str) -> tuple[float, float]:
    """Opens a wall; returns the milliseconds until its tiles and their pictures are there."""
    page.add_init_script(FIRST_WALL)
    page.goto(address, wait_until="commit")
    page.wait_for_function("() => window.picturesDrawn", polling=100)
    return page.evaluate("window.tilesDrawn"), page.evaluate("window.picturesDrawn")


def _print_walls(walls: list[tuple[float, float]]) -> None:
    for number, what in enumerate(("first wall", "its pictures in sight")):
        first, *later = (wall[number] for wall in walls)
        print(f"| {what}, a server just started | {first:,.0f} |")
        print(f"| {what}, again | {statistics.median(later):,.0f} (at most {max(later):,.0f}) |", flush=True)


def _measure_memory(page: Page, server: int) -> None:
    """Prints the memory of the script's heap, and of the server's process."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    (line,) = (line for line in Path(f"/proc/{server}/status").read_text().splitlines() if line.startswith("VmRSS"))
    print(f"| heap of the page, MiB | {heap / 2**20:,.0f} |\n| resident memory of the server, MiB | {int(line.split()[1]) / 1024:,.0f} |")


def _measure_the_rest(page: Page, repeats: int) -> None:
    cases = {
        "sort": [("sort", value, "change") for value in ("judge", "prompt", "seed", "best")],
        "filter by marks": [("marks", value, "change") for value in ("unreviewed", "suggested", "picked", "")],
        "group": [("group", value, "change") for value in ("prompt", "seed", "")],
        "filter by words": [("words", value, "search") for value in ("prompt 17", "judge>0.5", "seed:3|4", "-red", "")],
    }
    for name, steps in cases.items():
        times = []
        for step in steps * repeats:
            times.append(page.evaluate(TIMED, [*step]))
            page.wait_for_function(IN_SIGHT, polling=100)
        print(f"| {name} | {statistics.median(times):,.0f} (at most {max(times):,.0f}) |", flush=True)
    times = []
    for _ in range(repeats * 2):
        times.append(page.evaluate(MARKED, "4"))
        page.keyboard.press("z")
        page.wait_for_timeout(100)
    print(f"| mark | {statistics.median(times):,.0f} (at most {max(times):,.0f}) |", flush=True)


def _publish(store: LocalStore, trials: int) -> None:
    """Publishes the trials."""
    ids, random = stages._ids(trials), np.random.default_rng(0)
    records, scores, embeddings = stages._template(min(A_SHARD, trials), ITERATIONS)
    for shard in range(-(-trials // A_SHARD)):
        mine = list(itertools.islice(ids, A_SHARD))
        number, name = len(mine), f"{shard:016x}"
        columns = {
            "trial_id": pa.array(mine),
            "shard_id": pa.array([name] * number),
            "prompt": pa.array([f"a made-up prompt {at % PROMPTS}" for at in range(number)]),
            "seed": pa.array(np.arange(number) // PROMPTS + shard * A_SHARD // PROMPTS),
            "best_uri": pa.array([f"pictures/{trial}/best.png" for trial in mine]),
            **{column: pa.array(random.random(number, dtype=np.float32)) for column in ("judge_best", "guide_best")},
        }
        rows = records.slice(0, number)
        for column, values in columns.items():
            rows = stages._with(rows, column, values)
        curves = stages._with(scores.slice(0, number * ITERATIONS), "trial_id", pa.array(np.repeat(mine, ITERATIONS)))
        vectors = stages._with(embeddings.slice(0, number), "trial_id", pa.array(mine))
        stage_shard(store, SWEEP, name, {"trials": rows, "scores": curves, "embeddings": vectors})
    publish(store, gather(store, SWEEP, set(stages._ids(trials)), "0" * 64))


def _link_first_pictures(store: LocalStore, folder: Path) -> None:
    """Links the pictures of those trials that the wall's first pages show; more would take longer than all else."""
    walls = Walls(Catalogues(store, folder))
    tiles = [tile for offset in range(0, PICTURED, 1_000) for tile in walls.page(SWEEP, PageOfWall(offset=offset, limit=1_000)).tiles]
    _link_pictures(store.folder, [tile.id for tile in tiles], np.random.default_rng(0))


def _link_pictures(folder: Path, trials: Iterable[str], random: np.random.Generator) -> None:
    files = []
    for number in range(PICTURES):
        files.append(folder / f"{number}.png")
        noise = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC).save(files[-1])
    for number, trial in enumerate(trials):
        place = folder / SWEEP / "pictures" / trial
        place.mkdir(parents=True)
        os.link(files[number % PICTURES], place / "best.png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kept", action="store_true", help="measure a server of a machine that has shown this state before")
    parser.add_argument("--store-delay", type=float, default=0.5, metavar="SECONDS", help="of each write")
    return parser.parse_args()


if __name__ == "__main__":
    main()

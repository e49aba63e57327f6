"""How fast a wall of the review page steps through its runs, in a headless Chromium.

    python benchmarks/wall.py
    python benchmarks/wall.py --trials 600 --snapshots 12 --width 3840 --height 2560

Publishes a made-up sweep with snapshots in a folder for temporary files, serves it, and opens its wall with tiles as small as they go.
Strips, cold: from the click on Steps until every tile in sight has its strip, which the server makes. Warm: the same once more, in a new
page. Steps a second: the slider moves with every frame that the browser draws, without a GPU; the script's share of it told apart.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from dreamsweep.review.app import make_app
from dreamsweep.store import open_store
from tests.browser import browser, chromium, serving
from tests.conftest import free_socket
from tests.dreamsweep import sample_sweep

SWEEP, SECONDS = "made-up", 10
FLOOR = "aim: 500 visible tiles at 10 steps a second"
STEP = """(seconds) => new Promise((finished) => {
    const slider = document.querySelector("#steps input"), start = performance.now();
    let steps = 0, scripted = 0;
    function frame() {
        const now = performance.now();
        if (now - start > seconds * 1000) return finished([(steps / (now - start)) * 1000, scripted / steps]);
        slider.value = steps++ % (Number(slider.max) + 1);
        slider.dispatchEvent(new Event("input"));
        scripted += performance.now() - now;
        requestAnimationFrame(frame);
    }
    frame();
})"""
"""Steps for some seconds, as often as frames are drawn; returns the steps a second, and the milliseconds of each one's script."""
IN_SIGHT = """all => all.filter((tile) => {
    const box = tile.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
}).length"""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="dreamsweep-benchmark-") as folder:
        start = time.monotonic()
        _publish(f"{folder}/runs", options.trials, options.snapshots)
        print(
            f"published {options.trials:,} trials with {options.snapshots} snapshots each in {time.monotonic() - start:.0f} s", flush=True
        )
        app = make_app(open_store(f"{folder}/runs"), folder=Path(folder) / "thumbnails")
        with free_socket() as listening, serving(app, listening) as address:
            for how in ("cold", "warm"):
                executable = chromium()
                assert executable, "needs a browser: Debian's package chromium"
                with browser(executable) as page:
                    page.set_viewport_size({"width": options.width, "height": options.height})
                    _measure(page, f"{address}/sweeps/{SWEEP}?size=90", how)
    print(FLOOR)


def _measure(page: Page, address: str, how: str) -> None:
    """Prints what one page takes, as lines of a table."""
    start = time.monotonic()
    page.goto(address)
    page.locator(".tile").first.wait_for()
    print(f"| first tile, {how} | {time.monotonic() - start:.2f} s |")
    page.wait_for_load_state("networkidle")
    start = time.monotonic()
    page.get_by_role("button", name="Steps").click()
    page.locator("#steps").wait_for()
    visible = page.eval_on_selector_all(".tile", IN_SIGHT)
    while page.locator("[data-stepped]").count() < visible:
        page.wait_for_timeout(20)
    print(f"| strips of {visible} tiles, {how} | {time.monotonic() - start:.1f} s |", flush=True)
    page.wait_for_timeout(2_000)
    steps, scripted = page.evaluate(STEP, SECONDS)
    print(f"| steps a second, {how} | {steps:.1f} |\n| script of a step, {how} | {scripted:.1f} ms |", flush=True)


def _publish(uri: str, trials: int, snapshots: int) -> None:
    """Publishes trials whose pictures are drawn from a few dozen: drawing each would take most of the time."""
    draw = np.random.default_rng(0)
    blobs = [sample_sweep._blob(draw) for _ in range(48)]
    sample_sweep._blob = lambda draw: blobs[draw.integers(len(blobs))]
    iterations = 60 - 60 % snapshots
    every = iterations // snapshots
    seeds = -(-trials // 6)
    sample_sweep.publish_sample(
        open_store(uri), engines=["dalle"], seeds=[*range(seeds)], iterations=iterations, snapshots=(*range(every, iterations + 1, every),)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, number in (("trials", 600), ("snapshots", 12), ("width", 3_840), ("height", 2_560)):
        parser.add_argument(f"--{name}", type=int, default=number)
    return parser.parse_args()


if __name__ == "__main__":
    main()

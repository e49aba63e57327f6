// Stepping through the whole wall: one slider moves every visible tile to an iteration, or to a share of its run. The pictures of a tile
// come in one strip and are decoded once, so that a step loads nothing. All tiles are drawn on one canvas behind them: with a canvas each,
// a browser spends most of a step on sorting hundreds of layers.

import { element } from "./dom.js";

const FRAME = 100; // milliseconds of a step while they play
const SMALL = 96, LARGE = 144; // sides of a strip's pictures that the server is asked for, in pixels
const MOST_STOPS = 100; // of the slider

/** The bar that steps, and the tiles that follow it. `watch(tile)` is called with each tile of the wall, `forget()` before new ones come. */
export function makeSteps(trials, bar, said) {
  const strips = new Map(); // by tile, of those in sight: its strip, once it is there
  const seen = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => (isIntersecting ? enter(target) : leave(target))));
  const slider = element("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step", oninput: () => (stop(), draw()) });
  const unit = element("select", { "aria-label": "Step by", onchange: () => (setStops(), draw()) }, new Option("share of the run", "share"), new Option("iteration", "iteration"));
  const play = element("button", { type: "button", onclick: () => (playing ? stop() : start()) }, "Play");
  const output = element("output");
  const all = new Set(); // tiles of the wall
  const canvas = element("canvas", { id: "stepped", "aria-hidden": "true", hidden: true }), context = canvas.getContext("2d");
  let longest = 0, iterations = new Set(), stops = [], playing, due = false;
  bar.append(play, slider, output, unit);
  document.body.append(canvas);
  for (const event of ["scroll", "resize"]) addEventListener(event, redraw, { passive: true });
  new ResizeObserver(redraw).observe(document.body);
  return { watch, forget, toggle, step, get active() { return !bar.hidden; } };

  async function toggle() {
    bar.hidden = canvas.hidden = !bar.hidden;
    if (bar.hidden) return stop(), seen.disconnect(), [...strips.keys()].forEach(leave);
    setStops();
    all.forEach((tile) => seen.observe(tile));
    slider.focus();
    draw();
  }

  function watch(tile) {
    all.add(tile);
    if (!bar.hidden) seen.observe(tile);
  }

  function forget() {
    all.clear();
    [...strips.keys()].forEach(leave);
    seen.disconnect();
  }

  /** Goes on by so many stops. */
  function step(by) {
    slider.value = Number(slider.value) + by;
    stop();
    draw();
  }

  function setStops() {
    const share = stops.length ? Number(slider.value) / (stops.length - 1) : 1;
    if (unit.value === "share") stops = Array.from({ length: longest }, (_, n) => n / (longest - 1));
    else stops = thinned([...iterations].sort((a, b) => a - b));
    slider.max = stops.length - 1;
    slider.value = Math.round(share * (stops.length - 1));
  }

  function redraw() {
    if (bar.hidden || due) return;
    due = true;
    requestAnimationFrame(draw);
  }

  function draw() {
    due = false;
    if (!stops.length) return;
    const stop = stops[slider.value], { clientWidth, clientHeight } = document.documentElement;
    output.textContent = unit.value === "share" ? `${Math.round(stop * 100)} % of the run` : `iteration ${stop.toLocaleString("en")}`;
    slider.setAttribute("aria-valuetext", output.textContent);
    canvas.style.top = `${scrollY}px`; // it scrolls with the page until it is drawn again
    const across = Math.round(clientWidth * devicePixelRatio), down = Math.round(clientHeight * devicePixelRatio);
    if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, clientWidth, clientHeight);
    for (const strip of strips.values()) if (strip.bitmap) drawTile(strip, stop);
  }

  function drawTile({ bitmap, picture, series }, stop) {
    const wanted = unit.value === "share" ? stop * series.at(-1) : stop;
    const frame = Math.max(0, series.findLastIndex((iteration) => iteration <= wanted));
    const { left, top, width, height } = picture.getBoundingClientRect(), side = bitmap.height;
    context.drawImage(bitmap, frame * side, 0, side, side, left, top, width, height);
  }

  async function enter(tile) {
    const picture = tile.querySelector(".picture"), key = tile.dataset.id;
    if (strips.has(tile)) return;
    const strip = { picture };
    strips.set(tile, strip);
    const side = picture.clientWidth * devicePixelRatio > SMALL * 1.2 ? LARGE : SMALL;
    try { // the number of iterations tells this strip from one of a shorter run, which a browser may have kept
      const answer = await fetch(trials.strip(key, side, tile.dataset.iterations));
      if (strips.get(tile) !== strip) return;
      if (answer.status !== 200) return none();
      const bitmap = await createImageBitmap(await answer.blob());
      if (strips.get(tile) !== strip) return bitmap.close();
      Object.assign(strip, { bitmap, series: answer.headers.get("X-Dreamsweep-Iterations").split(",").map(Number) });
    } catch {
      return; // the tile keeps its picture
    }
    tile.toggleAttribute("data-stepped", true);
    learn(strip.series);
    redraw();
  }

  // The slider stops where the runs that were seen have pictures.
  function learn(series) {
    const known = longest + iterations.size;
    longest = Math.max(longest, series.length);
    series.forEach((iteration) => iterations.add(iteration));
    if (longest + iterations.size > known) setStops();
  }

  function none() {
    if (!longest) said("No pictures were kept on the way of these trials: snapshot_every is 0 in the sweep file.");
  }

  function leave(tile) {
    tile.toggleAttribute("data-stepped", false);
    strips.get(tile)?.bitmap?.close();
    strips.delete(tile);
  }

  function start() {
    play.textContent = "Stop";
    if (Number(slider.value) === stops.length - 1) slider.value = -1;
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      draw();
      if (Number(slider.value) === stops.length - 1) stop();
    }, FRAME);
  }

  function stop() {
    clearInterval(playing);
    playing = undefined;
    play.textContent = "Play";
  }
}

function thinned(values) {
  const most = Math.min(values.length, MOST_STOPS);
  return Array.from({ length: most }, (_, n) => values[Math.round((n * (values.length - 1)) / Math.max(1, most - 1))]);
}

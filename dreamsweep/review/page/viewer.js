// One trial: its picture at any iteration that was kept, its curves, its settings.

import { chart } from "./chart.js";
import { ask, counted, element } from "./dom.js";
import { sharp } from "./sharp.js";
import { stopsOf } from "./stops.js";
import { onSwipe } from "./swipe.js";

const FRAME = 120; // milliseconds of a snapshot while they play
const MOST_BARS = 8;
const FILMS = { film: "film", strokes: "the strokes, one by one", svg: "SVG", sheet: "all frames", best: "best picture", final: "last picture" };

/** `neighbour(key, step)` is the trial shown before or after, if it `has(key, step)`; `marksOf(key)` what people left on one: [name, signs, note];
 * `mine(key)` are one's own marks, null where nobody may leave any, and `leave(letter)` leaves a mark as that key does.
 * `opened(key)` and `closed(key)` are called when a trial is shown, and when the viewer has gone, `compared(key)` when someone wants to compare it. */
export function makeViewer(trials, { neighbour, has, marksOf, mine, leave, opened, closed, compared }) {
  const dialog = document.getElementById("viewer");
  let tile, stops, at, playing, curves, asking;

  dialog.addEventListener("close", () => {
    stop();
    if (history.state === "opened here") history.back(); // or each trial that was looked at would cost a Back
    else if (decodeURIComponent(location.hash) === `#${tile.key}`) history.replaceState(null, "", location.pathname + location.search);
    closed(tile.key);
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.addEventListener("keydown", (event) => dialog.open && typed(event));

  return { show, close: () => dialog.open && dialog.close(), trial: () => tile?.key, remark: (key) => dialog.open && key === tile.key && drawMarks() };

  async function show(next) {
    stop();
    tile = next;
    opened(tile.key);
    stops = [];
    asking?.abort(); // one who goes on quickly waits for no trial that was passed
    const request = (asking = new AbortController());
    if (!dialog.open) dialog.showModal();
    let trial;
    try {
      trial = await ask(trials.address(next.key), { signal: request.signal });
    } catch (error) {
      if (request !== asking) return; // another was opened meanwhile
      return dialog.replaceChildren(element("p", { class: "message", role: "alert" }, error.message), element("aside", {}, turns()));
    }
    if (request !== asking) return;
    const folder = trials.folder(next.key);
    stops = stopsOf(trial, folder);
    dialog.replaceChildren(element("div", { class: "stage" }, stage(trial)), facts(trial, folder));
    drawMarks();
    dialog.focus(); // what had it is gone
    const best = stops.findIndex((stop) => stop.best);
    go(best < 0 ? stops.length - 1 : best);
  }

  function stage(trial) {
    if (!stops.length) return element("p", { class: "message" }, trial.error ?? "It has no picture.");
    const gone = (event) => event.target.getAttribute("src") && (dialog.querySelector("output").textContent += ": this picture cannot be read");
    const picture = element("img", { alt: trial.prompt.slice(0, 300), fetchpriority: "high", onerror: gone, onclick: actualSize });
    if (tile.pictured) picture.style.backgroundImage = `url("${trials.thumbnail(tile.key)}")`; // until it is there
    picture.addEventListener("load", () => (picture.style.backgroundImage = ""), { once: true });
    sharp(picture);
    onSwipe(picture, (step) => picture.closest(".actual") || turn(step));
    if (stops.length === 1) return element("figure", {}, picture, element("figcaption", {}, element("output")));
    const slider = element("input", { type: "range", min: 0, max: stops.length - 1, "aria-label": "Iteration", oninput: () => (stop(), go(Number(slider.value))) });
    const play = element("button", { type: "button", id: "play", onclick: () => (playing ? stop() : start()) }, "Play");
    return element("figure", {}, picture, element("figcaption", {}, play, slider, element("output")));
  }

  function facts(trial, folder) {
    const list = (named) => element("dl", {}, ...Object.entries(named).flatMap(([name, text]) => [element("dt", {}, name), element("dd", { dir: "auto" }, text)]));
    const links = Object.entries(FILMS).filter(([name]) => trial.files[name]).map(([name, what]) => element("a", { href: folder + trial.files[name], target: "_blank" }, what));
    const { iteration, guide, judge } = trial.curves, lines = [["guide", "guide", iteration, guide], ["judge", "judge", iteration, judge]];
    curves = iteration.length > 1 ? chart("Marks of guide and judge over the iterations", lines, (iteration) => (stop(), go(nearest(iteration)))) : null;
    return element(
      "aside", {},
      turns(),
      element("h2", { dir: "auto" }, trial.prompt),
      ...trial.warnings.map((text) => element("p", { class: "warning" }, text)),
      trial.error && element("p", { class: "warning" }, trial.error),
      element("div", { id: "marked" }),
      curves?.drawing,
      list(trial.facts),
      ...Object.entries(trial.shares).map(shares),
      element("p", { class: "links" }, ...links),
      element("details", {}, element("summary", {}, "All settings"), list(trial.settings)),
      element("p", { class: "id" }, element("code", {}, trial.id), " ", element("button", { type: "button", onclick: copyId }, "Copy id"), element("button", { type: "button", onclick: () => compared(tile.key) }, "Compare")),
      element("p", { class: "keys" }, element("kbd", {}, "←"), element("kbd", {}, "→"), " trials  ", element("kbd", {}, "↑"), element("kbd", {}, "↓"), " iterations  ", element("kbd", {}, "space"), " play  ", element("kbd", {}, "F"), " full screen  ", element("kbd", {}, "A"), " actual size"),
      element("p", { class: "keys" }, element("kbd", {}, "P"), " pick  ", element("kbd", {}, "X"), " reject  ", element("kbd", {}, "U"), " clear  ", element("kbd", {}, "1"), "–", element("kbd", {}, "5"), " stars  ", element("kbd", {}, "T"), " tag  ", element("kbd", {}, "N"), " note  ", element("kbd", {}, "Z"), " undo"),
    );
  }

  // What a judge sees in the best picture, as bars.
  function shares([judge, of]) {
    const bars = Object.entries(of).slice(0, MOST_BARS).flatMap(([label, share]) => [element("dt", { dir: "auto" }, label), element("dd", {}, element("meter", { min: 0, max: 1, value: share, "aria-label": label }), ` ${Math.round(share * 100)} %`)]);
    return element("details", { open: true }, element("summary", {}, `${judge} sees`), element("dl", { class: "shares" }, ...bars));
  }

  function drawMarks() {
    const lines = marksOf(tile.key).flatMap(([who, signs, note]) => [element("dt", { dir: "auto" }, who), element("dd", { dir: "auto" }, signs, note && element("q", { dir: "auto" }, note))]);
    dialog.querySelector("#marked")?.replaceChildren(markButtons() ?? "", lines.length ? element("dl", { class: "marks" }, ...lines) : "");
  }

  // The keys that leave marks, for those who have none; null where nobody may.
  function markButtons() {
    const left = mine(tile.key);
    if (!left) return null;
    const button = (key, sign, what, pressed) => element("button", { type: "button", class: Number(key) ? "star" : null, title: `${what} (${key.toUpperCase()})`, "aria-label": what, "aria-pressed": pressed === undefined ? null : String(pressed), onclick: () => leave(key) }, sign);
    return element(
      "div", { class: "marking", role: "group", "aria-label": "Marks" },
      button("p", "✓", "Pick", left.pick > 0), button("x", "✕", "Reject", left.pick < 0),
      ...[1, 2, 3, 4, 5].map((stars) => button(String(stars), left.stars >= stars ? "★" : "☆", counted(stars, "star"), left.stars === stars)),
      button("u", "○", "Clear"), button("t", "Tag", "Tag"), button("n", "Note", "Note"), button("z", "↶", "Undo"),
    );
  }

  async function copyId(event) {
    const button = event.target, id = trials.idOf(tile.key);
    try {
      await navigator.clipboard.writeText(id);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(dialog.querySelector(".id code")); // no clipboard without https: it is selected, for Ctrl-C
    }
  }

  function fullScreen() {
    document.fullscreenElement ? document.exitFullscreen() : dialog.querySelector(".stage")?.requestFullscreen();
  }

  // One pixel of the picture for one of the screen; again, or by a click, as large as fits.
  function actualSize() {
    const picture = dialog.querySelector("figure img");
    if (!picture) return;
    const actual = dialog.querySelector("figure").classList.toggle("actual");
    picture.style.width = actual ? `${picture.naturalWidth / devicePixelRatio}px` : "";
  }

  function turns() {
    const button = (sign, what, step) => element("button", { type: "button", "aria-label": what, disabled: !has(tile.key, step), onclick: () => turn(step) }, sign);
    const close = element("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×");
    return element("div", { class: "turn" }, button("‹", "Trial before", -1), button("›", "Next trial", 1), close);
  }

  function go(index) {
    if (!stops?.[index]) return;
    at = index;
    const { iteration, address, best } = stops[index];
    dialog.querySelector("figure img").src = address;
    if (dialog.querySelector("figcaption input")) dialog.querySelector("figcaption input").value = index;
    dialog.querySelector("output").textContent = `iteration ${iteration.toLocaleString("en")}${best ? ", the best" : ""}`;
    curves?.point(iteration);
    if (stops[index + 1]) new Image().src = stops[index + 1].address; // the next one, ahead
  }

  function nearest(iteration) {
    const far = (stop) => Math.abs(stop.iteration - iteration);
    return stops.reduce((nearest, stop, index) => (far(stop) < far(stops[nearest]) ? index : nearest), 0);
  }

  function start() {
    if (stops.length < 2) return;
    dialog.querySelector("#play").textContent = "Stop";
    if (at === stops.length - 1) at = -1;
    playing = setInterval(() => (at + 1 < stops.length ? go(at + 1) : stop()), FRAME);
  }

  function stop() {
    clearInterval(playing);
    playing = undefined;
    const button = dialog.querySelector("#play");
    if (button) button.textContent = "Play";
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowRight: () => turn(1),
      ArrowLeft: () => turn(-1),
      ArrowUp: () => (stop(), go(at + 1)),
      ArrowDown: () => (stop(), go(at - 1)),
      " ": () => (playing ? stop() : start()),
      f: fullScreen,
      a: actualSize,
    }[event.key];
    if (event.target.matches("dialog.ask *")) return; // a tag or a note is being written
    if (!act || (event.key === " " && event.target.matches("summary, button, a"))) return;
    event.preventDefault();
    act();
  }

  async function turn(step) {
    const from = tile, next = await neighbour(tile.key, step);
    if (next && tile === from) history.replaceState(history.state, "", `#${next.key}`), show(next);
  }
}

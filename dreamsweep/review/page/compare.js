// Two to four trials beside each other: the same part of each picture at the same iteration, their curves in one drawing, and the settings in
// which they differ. Of two, also one over the other: with a slider between them, or their difference.

import { chart } from "./chart.js";
import { ask, element } from "./dom.js";
import { stopsOf } from "./stops.js";
import { linkZoom } from "./zoom.js";

const LETTERS = ["A", "B", "C", "D"];
const SAME = "They differ in nothing that is known of them.";
const UNTOLD = new Set(["made in", "status", "best at"]); // facts that say nothing of why pictures differ

/** The dialog. `closed()` is called when it has gone, `opened(id)` when someone wants one trial alone. */
export function makeCompare(trialsOf, { opened, closed }) {
  const dialog = document.getElementById("compare");
  let trials = [], zoom, curves, share = 1;
  dialog.addEventListener("close", closed);
  document.addEventListener("keydown", (event) => dialog.open && typed(event));
  return { open, close: () => dialog.open && dialog.close() };

  async function open(ids) {
    if (!dialog.open) dialog.showModal();
    try {
      trials = await Promise.all(ids.slice(0, LETTERS.length).map(load));
    } catch (error) {
      return dialog.replaceChildren(element("header", {}, element("h2", {}, error.message), close()));
    }
    draw("beside");
    dialog.focus();
  }

  async function load(key) {
    const trial = await ask(trialsOf.address(key));
    return { ...trial, key, sweep: trialsOf.sweepOf(key), stops: stopsOf(trial, trialsOf.folder(key)) };
  }

  function draw(mode) {
    const prompts = new Set(trials.map((trial) => trial.prompt));
    const pictures = trials.map((trial, n) => element("img", { alt: `${LETTERS[n]}: ${trial.prompt.slice(0, 300)}`, draggable: "false", onload: () => zoom.apply() }));
    const boxes = mode === "beside" ? pictures.map((picture) => element("div", { class: "view" }, picture)) : [element("div", { class: `view ${mode}` }, ...pictures)];
    const slider = element("input", { type: "range", min: 0, max: 100, value: share * 100, "aria-label": "Share of the run", oninput: () => ((share = slider.value / 100), show()) });
    const between = element("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Line between A and B", oninput: () => (pictures[1].style.clipPath = `inset(0 0 0 ${between.value}%)`) });
    const modes = [["beside", "side by side"], ["slider", "slider"], ["difference", "difference"]].map(([name, what]) => element("button", { type: "button", "aria-pressed": String(name === mode), onclick: () => draw(name) }, what));
    const lines = trials.flatMap(({ curves: { iteration, judge, guide } }, n) => (iteration.length > 1 ? [["", `guide trial-${n}`, iteration, guide], [LETTERS[n], `trial-${n}`, iteration, judge]] : []));
    curves = lines.length ? chart("Judge’s marks of each trial over the iterations, and paler the guide’s", lines, (iteration) => ((share = iteration / last()), (slider.value = share * 100), show())) : null;
    zoom = linkZoom(boxes);
    dialog.replaceChildren(
      element("header", {}, element("h2", { dir: "auto" }, prompts.size === 1 ? trials[0].prompt : "Comparison"), ...(trials.length === 2 ? modes : []), close()),
      element("div", { class: "views", "data-number": boxes.length }, ...boxes.map((box, n) => element("figure", {}, box, element("figcaption", {}, ...(boxes.length > 1 ? [n] : trials.keys()).map(caption))))),
      element("div", { class: "over" }, element("label", {}, "iteration ", slider), mode === "slider" ? element("label", {}, "A | B ", between) : null, element("span", {}, element("kbd", {}, "+"), element("kbd", {}, "−"), " zoom ", element("kbd", {}, "0"), " whole ", element("kbd", {}, "↑"), element("kbd", {}, "↓"), " iterations")),
      element("div", { class: "why" }, differences(), curves?.drawing),
    );
    if (mode === "slider") between.dispatchEvent(new Event("input"));
    show();
  }

  function caption(n) {
    return element("button", { type: "button", class: `trial-${n}`, onclick: () => (dialog.close(), opened(trials[n].key)) }, LETTERS[n], " ", element("output"));
  }

  // The pictures at this share of their runs.
  function show() {
    const pictures = dialog.querySelectorAll(".view img"), outputs = dialog.querySelectorAll("figcaption output");
    for (const [n, { stops }] of trials.entries()) {
      if (!stops.length) continue;
      const wanted = share * stops.at(-1).iteration;
      const stop = stops.reduce((near, each) => (Math.abs(each.iteration - wanted) < Math.abs(near.iteration - wanted) ? each : near));
      pictures[n].src = stop.address;
      outputs[n].textContent = `iteration ${stop.iteration.toLocaleString("en")}${stop.best ? ", the best" : ""}`;
    }
    curves?.point(share * last());
  }

  function last() {
    return Math.max(...trials.map(({ curves }) => curves.iteration.at(-1) ?? 0));
  }

  // A table of what is not the same for all.
  function differences() {
    const told = trials.map(({ prompt, sweep, facts, settings }) => ({ prompt, sweep, ...facts, ...settings }));
    const names = [...new Set(told.flatMap(Object.keys))].filter((name) => !UNTOLD.has(name) && new Set(told.map((facts) => facts[name])).size > 1);
    if (!names.length) return element("p", {}, SAME);
    return element(
      "table", {},
      element("tr", {}, element("td", {}), ...trials.map((_, n) => element("th", { scope: "col", class: `trial-${n}` }, LETTERS[n]))),
      ...names.map((name) => element("tr", {}, element("th", { scope: "row" }, name), ...told.map((facts) => element("td", { dir: "auto" }, facts[name] ?? "–")))),
    );
  }

  function close() {
    return element("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const most = Math.max(2, ...trials.map(({ stops }) => stops.length)) - 1;
    const iterate = (by) => {
      share = Math.min(1, Math.max(0, Math.round(share * most + by) / most));
      dialog.querySelector(".over input").value = share * 100;
      show();
    };
    const act = { "+": () => zoom.by(1.5), "=": () => zoom.by(1.5), "-": () => zoom.by(1 / 1.5), 0: () => zoom.reset(), ArrowUp: () => iterate(1), ArrowDown: () => iterate(-1) }[event.key];
    if (act) event.preventDefault(), act();
  }
}

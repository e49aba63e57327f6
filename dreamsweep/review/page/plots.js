// Plots of what the wall shows: curves of many trials, and any setting or score against a score.

import { drawCurves } from "./curves.js";
import { counted, countedOf, element, post } from "./dom.js";
import { drawScatter } from "./scatter.js";
import { toggled, withRange, withValues } from "./terms.js";

const MOST_LETTERS = 2_000; // of a search
const COLOURS = 8; // and one for the others
const BAND = "Line: mean of the trials. Band: the middle 80 % of them, from the 10th to the 90th percentile.";

/** The plots above the wall. `settings` and `scores` are the names that can be plotted, `words` is the search box. `changed()` is called after
 * others were chosen, or the search was changed; `opened(key)` with a trial that was chosen, `said(sentence)` with what went wrong. */
export function makePlots(sweeps, trials, place, { settings, scores, words, changed, opened, said }) {
  const choice = (id, label, names, titles = names) => element("select", { id: `plot-${id}`, "aria-label": label, onchange: () => (showChoices(), changed()) }, ...names.map((name, n) => new Option(titles[n], name)));
  const kind = choice("kind", "Kind of plot", ["curves", "scatter"], ["curves", "scatter plot"]);
  const score = choice("score", "Score", ["judge", "guide"]), along = choice("along", "Along", ["iteration", "share"], ["iteration", "share of the run"]);
  const across = choice("across", "Across", [...settings, ...scores]), up = choice("up", "Up", scores), by = choice("by", "By", ["", ...settings], ["all together", ...settings]);
  const of = { curves: [score, along, by], scatter: [across, up, by] };
  const labelled = (name, select) => element("label", {}, name, select), labels = { curves: [labelled("of ", score), labelled("along ", along)], scatter: [labelled("across ", across), labelled("up ", up)] };
  const legend = element("ul", { class: "legend" }), note = element("p", { class: "note" }), drawing = element("div", { class: "drawing" });
  const before = []; // searches to go back to
  const colours = new Map(); // by value, so that it keeps its own while others come and go
  let question = null, answer = null, dots = null, busy = false, again = false;
  place.append(element("div", { class: "choose" }, kind, ...labels.curves, ...labels.scatter, labelled("by ", by)), drawing, legend, note);
  by.value = settings.find((name) => !["prompt", "engine", "seed"].includes(name)) ?? "prompt";
  across.value = by.value;
  showChoices();
  new ResizeObserver(() => answer && show()).observe(drawing);
  return { toggle, draw, undo, get active() { return !place.hidden; }, get address() { return place.hidden ? "" : [kind, ...of[kind.value]].map(({ value }) => value).join(","); }, set address(text) { read(text); } };

  function toggle() {
    place.hidden = !place.hidden;
    if (place.hidden) before.length = 0;
    changed();
  }

  function read(text) {
    const values = text.split(",");
    place.hidden = !(values[0] in of);
    if (place.hidden) return;
    kind.value = values[0];
    of[kind.value].forEach((select, n) => [...select.options].some(({ value }) => value === values[n + 1]) && (select.value = values[n + 1]));
    showChoices();
  }

  function showChoices() {
    for (const [name, all] of Object.entries(labels)) all.forEach((label) => (label.hidden = name !== kind.value));
  }

  /** Plots what a question selects; of several questions in a row, the last one. */
  async function draw(wanted) {
    question = { ...wanted, sort: "best", group: "", stacked: false, similarity: null, suggested_first: false };
    if (place.hidden) return;
    if (busy) return (again = true);
    busy = true;
    try {
      const body = { ...question, by: by.value, ...(kind.value === "curves" ? { score: score.value, along: along.value } : { across: across.value, up: up.value }) };
      answer = { kind: kind.value, ...body, ...(await post(`/api/sweeps/${encodeURIComponent(sweeps)}/${kind.value}`, body)) };
      show();
    } catch (error) {
      said(error.message);
    }
    busy = false;
    if (again) (again = false), draw(question);
  }

  function show() {
    const width = Math.max(260, drawing.clientWidth), height = Math.round(Math.min(420, Math.max(280, width * 0.4)));
    const empty = answer.kind === "curves" ? !answer.curves.some(({ at }) => at.length) : !answer.keys.length;
    dots = null;
    giveColours(answer.kind === "curves" ? answer.curves.map(({ value }) => value) : answer.groups);
    if (empty) return drawing.replaceChildren(element("p", { class: "note" }, `Nothing here has a score to plot.`)), legend.replaceChildren(), note.replaceChildren();
    if (answer.kind === "curves") showCurves(width, height);
    else showScatter(width, height);
  }

  function giveColours(values) {
    if (colours.by !== answer.by) colours.clear();
    colours.by = answer.by;
    for (const value of [...colours.keys()]) if (colours.size + values.filter((each) => !colours.has(each)).length > COLOURS + 1 && !values.includes(value)) colours.delete(value);
    const free = Array.from({ length: COLOURS }, (_, number) => number).filter((number) => ![...colours.values()].includes(number));
    for (const value of values) if (!colours.has(value)) colours.set(value, value === "others" ? COLOURS : free.shift());
  }

  function showCurves(width, height) {
    const values = new Map(), { curves, more } = answer, lot = curves.some(({ trials, drawn }) => drawn < trials);
    const pointed = (curve, point) => values.get(curve).replaceChildren(...reading(curve, point));
    legend.replaceChildren(...curves.map((curve) => entry(curve.value, values.set(curve, element("small")).get(curve))));
    drawing.replaceChildren(drawCurves(answer, answer, width, height, { colourOf: (value) => colours.get(value), pointed }));
    curves.forEach((curve) => pointed(curve, curve.at.length - 1));
    const prompts = answer.by === "prompt" ? "" : "A score means something within its prompt: compare values that were tried with the same prompts, or search for one.";
    note.textContent = [BAND, lot && "Of a value with more than 400 trials, 400 are drawn by lot.", left(more), prompts].filter(Boolean).join(" ");
  }

  function reading({ trials, at, mean, low, high, counts }, n) {
    if (n < 0) return [`${counted(trials, "trial")}, no score`];
    const where = answer.along === "share" ? `${Math.round(at[n] * 100)} %` : `iteration ${at[n].toLocaleString("en")}`;
    return [element("b", {}, mean[n].toFixed(3)), ` (${low[n].toFixed(3)} to ${high[n].toFixed(3)}) at ${where}, ${counted(counts[n], "trial")}`];
  }

  function showScatter(width, height) {
    dots = drawScatter(answer, answer, width, height, { opened, brushed, colourOf: (value) => colours.get(value), picture: (key) => trials.thumbnail(key, 320) });
    drawing.replaceChildren(dots.drawing, dots.near);
    const sizes = answer.groups.map((_, number) => answer.group.filter((each) => each === number).length);
    legend.replaceChildren(...(answer.by ? answer.groups.map((value, number) => entry(value, element("small", {}, counted(sizes[number], "dot")))) : []));
    const shown = answer.keys.length < answer.plotted ? `${counted(answer.keys.length, "trial")} of ${answer.plotted.toLocaleString("en")}, drawn by lot.` : "";
    const missing = answer.matched - answer.plotted, lacking = missing ? `${countedOf(missing, answer.matched, "trial")} have no place here.` : "";
    note.textContent = ["Draw a rectangle to see only what lies in it, Esc to see all again; a click opens a trial.", answer.places && "Short lines: means.", shown, lacking, left(answer.left_out)].filter(Boolean).join(" ");
  }

  function left(more) {
    return more ? `${counted(more, "value")} with fewer trials left out.` : "";
  }

  // A group in the legend; a click shows only its trials.
  function entry(value, more) {
    const number = colours.get(value), title = `${value.slice(0, 80)} `, name = answer.by && value !== "–" && value !== "others" ? element("button", { type: "button", title: "only these", dir: "auto", onclick: () => search(toggled(words.value, answer.by, value)) }, title) : element("span", { dir: "auto" }, title);
    const alone = (on) => () => drawing.querySelectorAll("[class^=series-]").forEach((mark) => mark.classList.toggle("faded", on && !mark.classList.contains(`series-${number}`)));
    return element("li", { class: `series-${number}`, onmouseenter: alone(true), onmouseleave: alone(false), onfocusin: alone(true), onfocusout: alone(false) }, name, more);
  }

  function brushed(x, y) {
    let text = words.value;
    if (x?.length === 0) return said("There is no value in that rectangle.");
    if (x) text = answer.places ? withValues(text, answer.across, x) : withRange(text, answer.across, ...rounded(x));
    if (y) text = withRange(text, answer.up, ...rounded(y));
    search(text);
  }

  function search(text) {
    if (text.length > MOST_LETTERS) return said("Those are too many values to search for: draw over fewer.");
    if (text === words.value) return;
    before.push(words.value);
    words.value = text;
    changed();
  }

  /** Goes back to what was searched before; whether there was anything to go back from. */
  function undo() {
    if (dots?.cancel() || !before.length) return;
    words.value = before.pop();
    changed();
  }
}

// Bounds in as many digits as their distance needs.
function rounded([low, high]) {
  const digits = Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(high - low))));
  return [low, high].map((value) => String(Number(value.toFixed(digits))));
}

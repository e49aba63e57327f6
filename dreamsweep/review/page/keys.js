// The sheet of keys, by `?`.

import { element } from "./dom.js";

const SHEET = {
  "On the wall": { "/": "search", "← → ↑ ↓": "from picture to picture", Enter: "open it", g: "grid", l: "plots", s: "steps", ", .": "a step back, a step on", c: "choose for comparison", "Shift C": "compare", Esc: "undo a rectangle on a plot" },
  "In the viewer": { "← →": "trials", "↑ ↓": "iterations", space: "play", a: "actual size", f: "full screen", Esc: "back to the wall" },
  Marks: { p: "pick", x: "reject", "1 – 5": "stars", u: "clear", t: "tag", n: "note", z: "undo" },
  Duels: { "← →": "the better one", "↓": "tie", z: "undo", r: "ranking" },
  Comparison: { "+ −": "zoom", 0: "whole pictures", "↑ ↓": "iterations" },
};

/** Opens the sheet whenever someone types `?`, and closes it again. */
export function makeKeys() {
  const dialog = document.getElementById("keys");
  const row = ([keys, what]) => [element("dt", {}, ...keys.split(" ").map((key) => element("kbd", {}, key.length === 1 ? key.toUpperCase() : key))), element("dd", {}, what)];
  const close = element("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.append(element("h2", {}, "Keys"), element("div", { class: "sheet" }, ...Object.entries(SHEET).map(([where, keys]) => element("section", {}, element("h3", {}, where), element("dl", {}, ...Object.entries(keys).flatMap(row))))), close);
  const toggle = () => (dialog.open ? dialog.close() : dialog.showModal());
  document.addEventListener("keydown", (event) => event.key === "?" && !event.target.matches("input:not([type=range]), textarea") && (event.preventDefault(), toggle()));
  return toggle;
}

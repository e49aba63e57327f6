// Curves of many trials: the mean of each group as a line, the middle 80 % of its trials as a band.
// Many bands upon each other are paler; one is as strong as ever while the mouse is on its name.

import { axes, least, most, numeric } from "./axes.js";
import { drawn } from "./dom.js";

/** Draws the curves of an answer. `colourOf(value)` is the number of a curve's colour; `pointed(curve, point)` is called for each curve with the
 * point of it below the mouse, or its last one. */
export function drawCurves({ curves }, { score, along }, width, height, { colourOf, pointed }) {
  const shown = curves.filter(({ at }) => at.length), all = (name) => shown.flatMap((curve) => curve[name]);
  const across = along === "share" ? numeric("share of the run, %", [], { from: 0, to: 100 }) : numeric("iteration", all("at"), { from: Math.min(0, ...all("at")), to: most(all("at")) });
  const up = numeric(score, [least(all("low")), most(all("high"))]), unit = along === "share" ? 100 : 1;
  const frame = axes(across, up, width, height, `${score} over the runs, by group: mean and middle 80 %`), { drawing, x, y } = frame;
  const line = (at, values) => at.map((where, n) => `${x(where * unit).toFixed(1)},${y(values[n]).toFixed(1)}`);
  for (const { value, at, low, high } of shown) drawing.append(drawn("polygon", { class: `series-${colourOf(value)}`, points: [...line(at, low), ...line(at, high).reverse()].join(" ") }));
  for (const { value, at, mean } of shown) {
    if (at.length > 1) drawing.append(drawn("polyline", { class: `series-${colourOf(value)}`, points: line(at, mean).join(" ") }));
    else drawing.append(drawn("circle", { class: `series-${colourOf(value)}`, r: 4, cx: x(at[0] * unit), cy: y(mean[0]) }));
  }
  const here = drawn("line", { class: "here", y1: frame.top, y2: frame.floor, visibility: "hidden" });
  drawing.append(here);
  drawing.classList.toggle("many", shown.length > 3);
  drawing.addEventListener("pointermove", (event) => point(frame.at(event)[0]));
  drawing.addEventListener("pointerleave", () => (here.setAttribute("visibility", "hidden"), curves.forEach((curve) => pointed(curve, curve.at.length - 1))));
  return drawing;

  function point(pixel) {
    for (const end of ["x1", "x2"]) here.setAttribute(end, pixel);
    here.setAttribute("visibility", "visible");
    const wanted = frame.across(pixel) / unit;
    for (const curve of curves) pointed(curve, Math.max(0, curve.at.findLastIndex((where) => where <= wanted)));
  }
}

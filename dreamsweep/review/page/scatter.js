// A dot for each trial; a rectangle that is drawn over some of them selects these.

import { axes, numeric, short, sideBySide } from "./axes.js";
import { drawn, element } from "./dom.js";

const NEAR = 14, DRAGGED = 6, SPREAD = 0.6; // pixels; pixels; share of a value's place over which its dots lie

/** Draws the dots of an answer. `opened(key)` is called with a dot that was clicked, `brushed(x, y)` with what was drawn over: of each axis
 * [low, high], or the values; null where that is all of it. `picture(key)` is the address of a trial's picture, `colourOf(value)` the number of a group's colour. */
export function drawScatter(answer, { across, up }, width, height, { opened, brushed, picture, colourOf }) {
  const { places, keys, x: xs, y: ys, group, groups } = answer;
  const wide = places ? sideBySide(across, places) : numeric(across, xs, { log: true }), high = numeric(up, ys);
  const frame = axes(wide, high, width, height, `${up} against ${across}, a dot for each trial`), { drawing } = frame;
  const dots = keys.map((key, n) => ({ key, number: n, x: frame.x(places ? xs[n] + (((n * 0.618034) % 1) - 0.5) * SPREAD : xs[n]), y: frame.y(ys[n]) }));
  drawing.append(...dots.map(({ x, y, number }) => drawn("circle", { class: `series-${colourOf(groups[group[number]])}`, cx: x.toFixed(1), cy: y.toFixed(1), r: keys.length > 800 ? 2.2 : 3.4 })));
  if (places) drawing.append(...means().map(([place, mean]) => drawn("line", { class: "mean", x1: frame.x(place - SPREAD / 2), x2: frame.x(place + SPREAD / 2), y1: frame.y(mean), y2: frame.y(mean) }, drawn("title", {}, `mean ${mean.toFixed(3)}`))));
  const brush = drawn("rect", { class: "brush", visibility: "hidden" }), ring = drawn("circle", { class: "ring", r: 6, visibility: "hidden" });
  const near = element("figure", { class: "near", hidden: true });
  drawing.append(brush, ring);
  let start = null;
  drawing.addEventListener("pointerdown", (event) => event.button === 0 && (drawing.setPointerCapture(event.pointerId), (start = frame.at(event))));
  drawing.addEventListener("pointermove", (event) => (start ? drag(frame.at(event)) : show(nearest(frame.at(event)))));
  drawing.addEventListener("pointerup", (event) => start && drop(frame.at(event)));
  drawing.addEventListener("pointercancel", cancel);
  drawing.addEventListener("pointerleave", () => start || show(null));
  return { drawing, near, cancel };

  function means() {
    const sums = new Map();
    xs.forEach((place, n) => sums.set(place, [(sums.get(place)?.[0] ?? 0) + ys[n], (sums.get(place)?.[1] ?? 0) + 1]));
    return [...sums].map(([place, [sum, number]]) => [place, sum / number]);
  }

  /** Gives up a rectangle that is being drawn; whether there was one. */
  function cancel() {
    const dragging = Boolean(start);
    start = null;
    brush.setAttribute("visibility", "hidden");
    return dragging;
  }

  function drag([x, y]) {
    show(null);
    for (const [name, value] of Object.entries({ x: Math.min(x, start[0]), y: Math.min(y, start[1]), width: Math.abs(x - start[0]), height: Math.abs(y - start[1]), visibility: "visible" })) brush.setAttribute(name, value);
  }

  function drop([x, y]) {
    const [fromX, fromY] = start, dot = nearest([x, y]);
    cancel();
    if (Math.hypot(x - fromX, y - fromY) < DRAGGED) return dot && opened(dot.key);
    const sorted = (a, b) => [Math.min(a, b), Math.max(a, b)], [left, right] = sorted(fromX, x), [top, bottom] = sorted(fromY, y);
    const whole = (low, high, from, to) => low <= from + 1 && high >= to - 1;
    const columns = places?.filter((_, n) => frame.x(n + SPREAD / 2) >= left && frame.x(n - SPREAD / 2) <= right);
    const inX = places ? (columns.length === places.length ? null : columns) : whole(left, right, frame.left, frame.right) ? null : [frame.across(left), frame.across(right)];
    brushed(inX, whole(top, bottom, frame.top, frame.floor) ? null : [frame.up(bottom), frame.up(top)]);
  }

  function nearest([x, y]) {
    const distance = (dot) => Math.hypot(dot.x - x, dot.y - y);
    const dot = dots.reduce((best, each) => (!best || distance(each) < distance(best) ? each : best), null);
    return dot && distance(dot) <= NEAR ? dot : null;
  }

  function show(dot) {
    near.hidden = !dot;
    ring.setAttribute("visibility", dot ? "visible" : "hidden");
    drawing.style.cursor = dot ? "pointer" : "crosshair";
    if (!dot || near.dataset.key === dot.key) return;
    near.dataset.key = dot.key;
    ring.setAttribute("cx", dot.x);
    ring.setAttribute("cy", dot.y);
    const what = places ? places[xs[dot.number]] : `${across} ${short(xs[dot.number])}`;
    near.replaceChildren(element("img", { src: picture(dot.key), alt: "", onerror: (event) => event.target.remove() }), element("figcaption", { dir: "auto" }, `${what.slice(0, 60)} · ${up} ${short(ys[dot.number])}`));
    near.style.insetInlineStart = `${Math.min(dot.x + 12, width - 150)}px`;
    near.style.top = `${Math.max(0, Math.min(dot.y - 60, height - 190))}px`;
  }
}

// Curves over the iterations, with a line that says where the picture is from.

import { drawn } from "./dom.js";

const WIDTH = 400, HEIGHT = 150, LEFT = 34, RIGHT = 50, TOP = 8, BOTTOM = 20, APART = 12;

/** `lines` are [name, class, iterations, values], null where nothing was measured. `chosen(iteration)` is called when someone points there.
 * `point(iteration)` moves the line. */
export function chart(label, lines, chosen) {
  const curves = lines.map(([name, kind, iterations, values]) => [name, kind, iterations.map((at, index) => [at, values[index]]).filter(([, value]) => value !== null)]);
  const all = curves.flatMap(([, , points]) => points.map(([, value]) => value)), every = lines.flatMap(([, , iterations]) => [iterations[0], iterations.at(-1)]);
  const low = Math.min(0, ...all), high = Math.max(0.1, ...all), first = Math.min(...every), last = Math.max(...every);
  const x = (value) => LEFT + ((value - first) / Math.max(1, last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const here = drawn("line", { class: "here", y1: TOP, y2: HEIGHT - BOTTOM, x1: x(first), x2: x(first) });
  const drawing = drawn(
    "svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, onpointerdown: pick, onpointermove: (event) => event.buttons && pick(event) },
    ...ticks(low, high).flatMap((value) => [
      drawn("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
      drawn("text", { x: LEFT - 5, y: y(value) + 3, "text-anchor": "end" }, String(value)),
    ]),
    drawn("text", { x: LEFT, y: HEIGHT - 5 }, String(first)),
    drawn("text", { x: WIDTH - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, last.toLocaleString("en")),
    here,
    ...curves.flatMap(curve),
  );
  spread(drawing);
  return { drawing, point };

  function curve([name, kind, points]) {
    if (!points.length) return [];
    const line = drawn("polyline", { class: kind, points: points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ") });
    return [line, drawn("text", { class: `name ${kind}`, x: WIDTH - RIGHT + 5, y: y(points.at(-1)[1]) + 3 }, name)];
  }

  function point(at) {
    for (const end of ["x1", "x2"]) here.setAttribute(end, x(at));
  }

  function pick(event) {
    const box = drawing.getBoundingClientRect();
    const along = ((event.clientX - box.left) / box.width) * WIDTH;
    chosen(first + ((along - LEFT) / (WIDTH - LEFT - RIGHT)) * (last - first));
  }
}

// Names that would lie upon each other move apart.
function spread(drawing) {
  const names = [...drawing.querySelectorAll(".name")].sort((a, b) => a.getAttribute("y") - b.getAttribute("y"));
  for (let n = 1; n < names.length; n++) names[n].setAttribute("y", Math.max(names[n].getAttribute("y"), Number(names[n - 1].getAttribute("y")) + APART));
}

function ticks(low, high) {
  const step = [0.05, 0.1, 0.2, 0.25, 0.5, 1].find((size) => (high - low) / size <= 4) ?? 2;
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) ticks.push(Number(value.toFixed(2)));
  return ticks;
}

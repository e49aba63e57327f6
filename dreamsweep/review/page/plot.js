// A plot of two columns of an answer: bars where the first is text, points or a line where both are numbers.

import { drawn, element } from "./dom.js";

const WIDTH = 900, HEIGHT = 260, LEFT = 56, RIGHT = 12, TOP = 10, BOTTOM = 40, BARS = 60;

/** Two choices and the drawing; nothing where no column holds numbers. */
export function plot(columns, rows) {
  const numbers = columns.map((column, at) => ({ ...column, at })).filter(({ type }) => type === "number");
  if (!numbers.length || rows.length < 2) return [];
  const x = choice("x", columns.map((column, at) => ({ ...column, at }))), y = choice("y", numbers);
  x.value = columns.findIndex(({ type }) => type === "text") >= 0 && numbers.length < columns.length ? columns.findIndex(({ type }) => type === "text") : numbers[0].at;
  const others = numbers.filter(({ at }) => at !== Number(x.value));
  y.value = (others.find(({ at }) => rows.some((row) => !Number.isInteger(row[at] ?? 0))) ?? others[0] ?? numbers[0]).at; // a measure rather than a count
  const place = element("div");
  for (const select of [x, y]) select.addEventListener("change", draw);
  draw();
  return [element("p", {}, element("label", {}, "across ", x), element("label", {}, "up ", y)), place];

  function draw() {
    const points = rows.map((row) => [row[x.value], row[y.value]]).filter(([a, b]) => a !== null && typeof b === "number");
    place.replaceChildren(columns[x.value].type === "number" ? scatter(points) : bars(points.slice(0, BARS)));
  }
}

function choice(name, columns) {
  return element("select", { "aria-label": name }, ...columns.map(({ name, at }) => new Option(name, at)));
}

function bars(points) {
  const y = scale(points.map(([, value]) => value), true), width = (WIDTH - LEFT - RIGHT) / Math.max(1, points.length);
  return frame(y, ...points.flatMap(([name, value], at) => [
    drawn("rect", { x: LEFT + at * width + width * 0.1, width: width * 0.8, y: Math.min(y(value), y(0)), height: Math.max(1, Math.abs(y(value) - y(0))) }, drawn("title", {}, `${name}: ${value}`)),
    points.length > 24 ? null : drawn("text", { x: LEFT + (at + 0.5) * width, y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(name).slice(0, Math.max(3, Math.floor(width / 6.5)))),
  ]));
}

function scatter(points) {
  const y = scale(points.map(([, value]) => value)), xs = points.map(([value]) => value), [low, high] = [Math.min(...xs), Math.max(...xs)];
  const x = (value) => LEFT + ((value - low) / (high - low || 1)) * (WIDTH - LEFT - RIGHT - 10) + 5;
  const rising = xs.every((value, at) => at === 0 || value > xs[at - 1]) && points.length > 2;
  const marks = rising
    ? [drawn("polyline", { points: points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ") })]
    : points.map(([a, b]) => drawn("circle", { cx: x(a), cy: y(b), r: 3, opacity: 0.6 }, drawn("title", {}, `${a}, ${b}`)));
  return frame(y, ...marks, drawn("text", { x: LEFT, y: HEIGHT - BOTTOM + 16 }, short(low)), drawn("text", { x: WIDTH - RIGHT, y: HEIGHT - BOTTOM + 16, "text-anchor": "end" }, short(high)));
}

function scale(values, fromZero = false) {
  const [low, high] = [Math.min(...values, ...(fromZero ? [0] : [])), Math.max(...values, ...(fromZero ? [0] : []))];
  const y = (value) => TOP + (1 - (value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  return Object.assign(y, { low, high });
}

function frame(y, ...marks) {
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => y.low + share * (y.high - y.low));
  return drawn(
    "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Plot of two columns" },
    ...ticks.flatMap((value) => [drawn("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }), drawn("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value))]),
    ...marks,
  );
}

const short = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(3)).toString());

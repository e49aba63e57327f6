// A drawing with two axes: numbers, numbers by their logarithm, or values side by side.

import { drawn } from "./dom.js";

const LEFT = 50, RIGHT = 14, TOP = 20, BOTTOM = 40, SLANTED = 100, LETTER = 6.2, LINE = 13; // pixels
const LOG_FROM = 100; // times from the lowest to the highest number

/** An axis of numbers between these; by their logarithm where they are far apart, and `log` allows it. */
export function numeric(name, values, { log = false, from, to } = {}) {
  let [low, high] = [from ?? least(values), to ?? most(values)];
  if (!(low < high)) [low, high] = [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  const steep = log && low > 0 && high / low >= LOG_FROM, place = steep ? Math.log : (value) => value, gap = (place(high) - place(low)) * 0.03;
  const [start, end] = [from ?? place(low) - gap, to ?? place(high) + gap];
  return { name: steep ? `${name}, logarithmic` : name, share: (value) => (place(value) - start) / (end - start), value: (share) => (steep ? Math.exp : Number)(start + share * (end - start)), ticks: (number) => (steep ? powers(low, high, number) : ticks(start, end, number)) };
}

/** An axis of values side by side. */
export function sideBySide(name, values) {
  return { name, values, share: (number) => (number + 0.5) / values.length, value: (share) => share * values.length - 0.5, ticks: (number) => values.map((_, place) => place).filter((place) => place % Math.max(1, Math.ceil(values.length / number)) === 0) };
}

/** Draws axes into an SVG of this size. Returns it, with where values lie in it and which value lies where. */
export function axes(across, up, width, height, label) {
  const slanted = across.values?.some((value) => value.length * LETTER > (width - LEFT - RIGHT) / across.values.length - 4), bottom = slanted ? SLANTED : BOTTOM;
  const right = width - RIGHT, floor = height - bottom;
  const x = (value) => LEFT + across.share(value) * (right - LEFT), y = (value) => floor - up.share(value) * (floor - TOP);
  const drawing = drawn(
    "svg", { class: "axes", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
    ...up.ticks(Math.max(2, Math.floor((floor - TOP) / 45))).flatMap((value) => [drawn("line", { class: "grid", x1: LEFT, x2: right, y1: y(value), y2: y(value) }), drawn("text", { x: LEFT - 7, y: y(value) + 4, "text-anchor": "end" }, short(value))]),
    ...across.ticks(Math.max(2, Math.floor((right - LEFT) / (slanted ? LINE : across.values ? 1 : 80)))).map((value) => tick(across, x(value), floor, value, slanted)),
    drawn("text", { class: "name", x: LEFT - 40, y: 11 }, up.name),
    drawn("text", { class: "name", x: right, y: height - 4, "text-anchor": "end" }, across.name),
  );
  const inside = (value, low, high) => Math.min(Math.max(value, low), high);
  const at = (event) => { // of the mouse, in the drawing
    const box = drawing.getBoundingClientRect(), times = width / box.width;
    return [inside((event.clientX - box.left) * times, LEFT, right), inside((event.clientY - box.top) * times, TOP, floor)];
  };
  return { drawing, x, y, at, across: (pixel) => across.value((pixel - LEFT) / (right - LEFT)), up: (pixel) => up.value((floor - pixel) / (floor - TOP)), top: TOP, floor, left: LEFT, right };
}

/** A number in few digits. */
export const short = (value) => (Number.isInteger(value) && Math.abs(value) < 1e6 ? value.toLocaleString("en") : String(Number(value.toPrecision(3))));

export const least = (values) => values.reduce((low, value) => Math.min(low, value), Infinity);
export const most = (values) => values.reduce((high, value) => Math.max(high, value), -Infinity);

function tick(across, x, floor, value, slanted) {
  const text = across.values ? across.values[value] : short(value);
  if (!slanted) return drawn("text", { x, y: floor + 17, "text-anchor": "middle" }, text);
  return drawn("text", { transform: `translate(${x + 4} ${floor + 14}) rotate(-35)`, "text-anchor": "end" }, text.length > 20 ? `${text.slice(0, 19)}…` : text, drawn("title", {}, text));
}

function ticks(low, high, number) {
  const raw = (high - low) / number, size = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 2.5, 5, 10].find((times) => times * size >= raw) * size;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, n) => Number(((first + n) * step).toPrecision(12)));
}

function powers(low, high, number) {
  const from = Math.floor(Math.log10(low)), decades = Math.ceil(Math.log10(high)) - from;
  const every = decades * 3 <= number ? [1, 2, 5] : [1];
  return Array.from({ length: decades + 1 }, (_, n) => every.map((times) => Number((times * 10 ** (from + n)).toPrecision(3)))).flat().filter((value) => value >= low * 0.9 && value <= high * 1.1);
}

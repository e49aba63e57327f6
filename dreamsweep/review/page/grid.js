// The wall as a grid: any two settings as rows and columns, a third as tabs. A cell shows the best of its trials; the margins say how high the
// judges set the trials of a row, a column or a cell among those of their prompts.

import { counted, element } from "./dom.js";
import { saveGrid } from "./gridpicture.js";

const MOST = 200; // values of an axis

/** The bar that chooses the axes. `names` are those of settings, `valueOf(tile, name)` their values, `compare(a, b)` sorts values. `changed()` is
 * called when others were chosen, `drawTile(tile)` draws one. */
export function makeGrid(sweep, bar, names, { valueOf, compare, changed, drawTile }) {
  const choice = (what, more) => element("select", { id: `grid-${what}`, onchange: () => ((tab = null), changed()) }, ...more, ...names.map((name) => new Option(name, name)));
  const [rows, columns, pages] = [choice("rows", []), choice("columns", []), choice("tabs", [new Option("none", "")])];
  const tabs = element("span", { class: "tabs", role: "group", "aria-label": "Tabs" });
  const swap = () => (([rows.value, columns.value] = [columns.value, rows.value]), changed());
  let tab = null, drawn = null;
  bar.append(
    element("label", {}, "rows ", rows), element("button", { type: "button", "aria-label": "Swap rows and columns", onclick: swap }, "⇄"), element("label", {}, "columns ", columns),
    element("label", {}, "tabs ", pages), tabs, element("button", { type: "button", onclick: () => drawn && saveGrid(sweep, drawn) }, "Save as PNG"),
  );
  return { toggle, draw, get active() { return !bar.hidden; }, get address() { return bar.hidden ? "" : [rows, columns, pages].map(({ value }) => value).join(","); }, set address(text) { read(text); } };

  function toggle() {
    bar.hidden = !bar.hidden;
    if (!bar.hidden && rows.value === columns.value) columns.value = names.find((name) => name !== rows.value) ?? rows.value;
    changed();
  }

  function read(text) {
    bar.hidden = !text;
    for (const [n, value] of text.split(",").entries()) if ([...([rows, columns, pages][n]?.options ?? [])].some((option) => option.value === value)) [rows, columns, pages][n].value = value;
  }

  /** Returns the table of these tiles, the best first, and the tiles in it in their order. */
  function draw(tiles) {
    const said = (tile, { value }) => String((value === "prompt" ? tile.shows : valueOf(tile, value)) ?? "–");
    const valuesOf = (axis, of) => [...new Set(of.map((tile) => said(tile, axis)))].sort(compare);
    drawTabs(pages.value ? valuesOf(pages, tiles) : []);
    const members = tab === null ? tiles : tiles.filter((tile) => said(tile, pages) === tab);
    const [across, down] = [valuesOf(columns, members), valuesOf(rows, members)].map((values) => values.slice(0, MOST));
    const cells = Map.groupBy(members, (tile) => JSON.stringify([said(tile, rows), said(tile, columns)]));
    const of = (axis, value) => members.filter((tile) => said(tile, axis) === value);
    const cell = (row, column) => cells.get(JSON.stringify([row, column])) ?? [];
    drawn = { corner: `${rows.value} × ${columns.value}${tab === null ? "" : `, ${pages.value} ${tab}`}`, across, down, best: (row, column) => cell(row, column)[0], mean: (axis, value) => mean(of(axis === "row" ? rows : columns, value)) };
    const head = (scope, axis, value) => element("th", { scope, dir: "auto", title: value.slice(0, 300) }, element("span", {}, axis.value === "prompt" ? value : `${axis.value} ${value}`), element("small", {}, mean(of(axis, value))));
    const filled = (all) => element("td", {}, ...(all.length ? [drawTile(all[0]), element("small", {}, all.length > 1 ? `${mean(all)} · best of ${all.length}` : mean(all))] : []));
    const table = element(
      "table", { class: "grid" },
      element("caption", {}, `Each cell shows its best picture. Beside it, and in the margins: mean z-score of the judges within the prompt. ${down.length === MOST || across.length === MOST ? `The first ${MOST} values of an axis.` : ""}`),
      element("thead", {}, element("tr", {}, element("td", {}, element("small", {}, counted(members.length, "trial"))), ...across.map((value) => head("col", columns, value)))),
      element("tbody", {}, ...down.map((row) => element("tr", {}, head("row", rows, row), ...across.map((column) => filled(cell(row, column)))))),
    );
    return { table, shown: down.flatMap((row) => across.map((column) => cell(row, column)[0])).filter(Boolean) };
  }

  function drawTabs(values) {
    if (!values.includes(tab)) tab = values[0] ?? null;
    tabs.replaceChildren(...values.slice(0, MOST).map((value) => element("button", { type: "button", dir: "auto", "aria-pressed": String(value === tab), onclick: () => ((tab = value), changed()) }, value)));
  }
}

// How high the judges set these trials among those of their prompts: +0.4 is 0.4 standard deviations above the mean.
function mean(tiles) {
  const scores = tiles.map((tile) => tile.z_score).filter((score) => score !== null);
  if (!scores.length) return "–";
  const value = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  return `${value < -0.005 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

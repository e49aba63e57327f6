// The wall as a grid: any two settings as rows and columns, a third as tabs. A cell shows the best of its trials; the margins say how high the
// judges set the trials of a row, a column or a cell among those of their prompts.

import { counted, element, post } from "./dom.js";
import { saveGrid } from "./gridpicture.js";

/** The bar that chooses the axes. `names` are those of settings. `changed()` is called when others were chosen, `drawTile(tile)` draws a tile. */
export function makeGrid(sweeps, trials, bar, names, { changed, drawTile }) {
  const choice = (what, more) => element("select", { id: `grid-${what}`, onchange: () => ((tab = null), changed()) }, ...more, ...names.map((name) => new Option(name, name)));
  const [rows, columns, pages] = [choice("rows", []), choice("columns", []), choice("tabs", [new Option("none", "")])];
  const tabs = element("span", { class: "tabs", role: "group", "aria-label": "Tabs" });
  const swap = () => (([rows.value, columns.value] = [columns.value, rows.value]), changed());
  let tab = null, drawn = null;
  bar.append(
    element("label", {}, "rows ", rows), element("button", { type: "button", "aria-label": "Swap rows and columns", onclick: swap }, "⇄"), element("label", {}, "columns ", columns),
    element("label", {}, "tabs ", pages), tabs, element("button", { type: "button", onclick: () => drawn && saveGrid(sweeps, trials, drawn) }, "Save as PNG"),
  );
  return { toggle, ask, draw, get active() { return !bar.hidden; }, get address() { return bar.hidden ? "" : [rows, columns, pages].map(({ value }) => value).join(","); }, set address(text) { read(text); } };

  function toggle() {
    bar.hidden = !bar.hidden;
    if (!bar.hidden && rows.value === columns.value) columns.value = names.find((name) => name !== rows.value) ?? rows.value;
    changed();
  }

  function read(text) {
    bar.hidden = !text;
    for (const [n, value] of text.split(",").entries()) if ([...([rows, columns, pages][n]?.options ?? [])].some((option) => option.value === value)) [rows, columns, pages][n].value = value;
  }

  /** Asks the server for the grid of the trials that a question selects. */
  function ask(question) {
    return post(`/api/sweeps/${encodeURIComponent(sweeps)}/grid`, { ...question, rows: rows.value, columns: columns.value, tabs: pages.value, tab });
  }

  /** Returns the table of an answer, and the tiles in it in their order. */
  function draw(grid) {
    const { across, down, cells } = grid, cell = (row, column) => cells[down.findIndex(([value]) => value === row)][across.findIndex(([value]) => value === column)];
    tab = grid.tab;
    drawTabs(grid.tabs);
    drawn = {
      corner: `${rows.value} × ${columns.value}${tab === null ? "" : `, ${pages.value} ${tab}`}`, across: across.map(([value]) => value), down: down.map(([value]) => value),
      best: (row, column) => cell(row, column)?.best, mean: (axis, value) => mean((axis === "row" ? down : across).find(([each]) => each === value)[1]),
    };
    const head = (scope, axis, [value, of]) => element("th", { scope, dir: "auto", title: value.slice(0, 300) }, element("span", {}, ["prompt", "sweep"].includes(axis.value) ? value : `${axis.value} ${value}`), element("small", { dir: "ltr" }, mean(of)));
    const filled = (of, before) => element("td", {}, ...(of ? [drawTile(of.best), element("small", {}, of.trials > 1 ? `${mean(of)} · best of ${of.trials}` : mean(of), columns.value === "sweep" ? change(before, of) : "")] : []));
    const nights = columns.value === "sweep" ? " The arrow: how much better or worse the best picture is than that of the sweep before, by the same measure." : "";
    const table = element(
      "table", { class: "grid" },
      element("caption", {}, element("span", {}, `Each cell shows its best picture. Beside it, and in the margins: mean z-score of the judges within the prompt.${nights} ${grid.more ? "The first 200 values of an axis." : ""}`)),
      element("thead", {}, element("tr", {}, element("td", {}, element("small", {}, counted(grid.trials, "trial"))), ...across.map((value) => head("col", columns, value)))),
      element("tbody", {}, ...down.map((row, n) => element("tr", {}, head("row", rows, row), ...cells[n].map((of, at) => filled(of, cells[n].slice(0, at).findLast(Boolean)))))),
    );
    return { table, shown: cells.flat().filter(Boolean).map((of) => of.best) };
  }

  function drawTabs(values) {
    tabs.replaceChildren(...values.map((value) => element("button", { type: "button", dir: "auto", "aria-pressed": String(value === tab), onclick: () => ((tab = value), changed()) }, value)));
  }
}

// How high the judges set these trials among those of their prompts: +0.4 is 0.4 standard deviations above the mean.
function mean(of) {
  return of?.z_score === null || !of ? "–" : signed(of.z_score);
}

const signed = (value) => `${value < -0.005 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

// How the best picture compares with that of the sweep before.
function change(before, now) {
  const by = now.best.z_score - before?.best.z_score;
  if (!before || before.best.z_score === null || now.best.z_score === null) return "";
  return element("span", { class: by < 0 ? "worse" : "better" }, ` ${by < 0 ? "▼" : "▲"} ${signed(by)}`);
}

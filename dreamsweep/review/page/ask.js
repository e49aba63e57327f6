// Questions in SQL: the tested ones as buttons, a table, and a plot of two of its columns.

import { ask, counted, element, pictured, post } from "./dom.js";
import { plot } from "./plot.js";

const by = (id) => document.getElementById(id);
const PICTURE = /\/([^/]+)\/pictures\/([0-9a-f]{16})\/([^/]+\.png)$/; // the address of a picture in the store

// Until it is ready, the form takes no key: a question asked earlier would be lost.
try {
  await prepare();
  by("question").inert = false;
  by("sql").focus();
} catch (error) {
  wrong(error);
}

async function prepare() {
  const [questions, cards] = await Promise.all([ask("/api/questions"), ask("/api/sweeps")]);
  by("sweep").append(...cards.map(({ sweep }) => new Option(sweep, sweep)));
  by("questions").lastElementChild.append(...Object.entries(questions).map(([words, sql]) => element("button", { type: "button", onclick: () => put(sql) }, words)));
  by("question").addEventListener("submit", (event) => (event.preventDefault(), answer()));
  by("sql").addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && answer());
  const wanted = new URLSearchParams(location.search).get("sweep");
  by("sweep").value = cards.some(({ sweep }) => sweep === wanted) ? wanted : "";
  by("questions").open = true;
}

function put(sql) {
  by("sql").value = sql;
  by("questions").open = false;
  answer();
}

async function answer() {
  const said = by("said"), began = performance.now();
  said.textContent = "…";
  delete said.dataset.wrong;
  for (const id of ["plot", "answer"]) by(id).replaceChildren();
  try {
    const { columns, rows, has_more } = await post("/api/ask", { sql: by("sql").value, sweep: by("sweep").value || null });
    said.textContent = `${has_more ? "the first " : ""}${counted(rows.length, "row")}, ${((performance.now() - began) / 1000).toFixed(1)} s`;
    by("answer").replaceChildren(table(columns, rows));
    by("plot").replaceChildren(...plot(columns, rows));
  } catch (error) {
    wrong(error);
  }
}

function wrong({ message }) {
  by("said").textContent = message;
  by("said").dataset.wrong = "";
}

function table(columns, rows) {
  const cell = (value, { type }) => element("td", { class: type, dir: "auto" }, shown(value));
  return element(
    "table", {},
    element("thead", {}, element("tr", {}, ...columns.map(({ name, type }) => element("th", { class: type, scope: "col" }, name)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((value, at) => cell(value, columns[at]))))),
  );
}

// A value; a picture of the store as itself, with a way to its trial.
function shown(value) {
  const [, sweep, trial, file] = (typeof value === "string" && value.match(PICTURE)) || [];
  if (trial) {
    const name = decodeURIComponent(sweep);
    return element("a", { href: `/sweeps/${encodeURIComponent(name)}#${trial}` }, pictured({ src: `/pictures/${encodeURIComponent(name)}/${trial}/${file}?side=128`, alt: trial, loading: "lazy" }));
  }
  return value === null ? "–" : typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : String(value);
}

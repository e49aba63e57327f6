// The page: every sweep of the store, or the wall of one.

import { ask, counted, element, mark, pictured } from "./dom.js";
import { showWall } from "./wall.js";

const main = document.getElementById("wall");

try {
  const sweep = decodeURIComponent(location.pathname.match(/^\/sweeps\/([^/]+)/)?.[1] ?? "");
  await (sweep ? showSweep(sweep) : showSweeps());
} catch (error) {
  main.replaceChildren(element("p", { class: "told", role: "alert" }, error.message, element("a", { href: "/" }, "All sweeps")));
}

async function showSweep(sweep) {
  document.title = `${sweep} · dreamsweep`;
  document.getElementById("title").textContent = sweep;
  showWall(await ask(`/api/sweeps/${encodeURIComponent(sweep)}`));
}

async function showSweeps() {
  const cards = await ask("/api/sweeps");
  document.getElementById("count").textContent = counted(cards.length, "sweep");
  main.className = "cards";
  main.replaceChildren(...(cards.length ? cards.map(card) : [nothing()]));
}

function card(told) {
  if (told.error) return element("div", { class: "card" }, element("span", { class: "picture" }, element("span", { class: "missing" }, "damaged")), element("strong", {}, told.sweep), told.error);
  const made = told.done === told.trials ? counted(told.trials, "trial") : `${told.done.toLocaleString("en")} of ${counted(told.trials, "trial")}`;
  const when = new Date(told.finished_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const cover = told.cover && pictured({ src: `/pictures/${told.sweep}/${told.cover}/best.png?side=512`, alt: "", loading: "lazy" });
  return element(
    "a", { class: "card", href: `/sweeps/${encodeURIComponent(told.sweep)}` },
    element("span", { class: "picture" }, cover),
    element("strong", {}, told.sweep),
    element("span", {}, `${made} · ${counted(told.prompts, "prompt")} · best ${mark(told.best)}`),
    element("span", {}, `${told.engines.join(", ")} · ${when}`),
  );
}

function nothing() {
  return element("p", { class: "told" }, "Nothing is published in this store yet: run a sweep first, then load this page again. ", element("code", {}, "dreamsweep run prompts/demo.yaml"));
}

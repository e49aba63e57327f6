// The page: every sweep of the store, or the wall of one.

import { ask, counted, countedOf, element, pictured } from "./dom.js";
import { watch } from "./live.js";
import { showWall } from "./wall.js";

const main = document.getElementById("wall");

try {
  const sweep = decodeURIComponent(location.pathname.match(/^\/sweeps\/([^/]+)/)?.[1] ?? "");
  await (sweep ? showSweep(sweep) : showSweeps());
} catch (error) {
  const sweep = decodeURIComponent(location.pathname.match(/^\/sweeps\/([^/]+)/)?.[1] ?? "");
  if (sweep) watch(sweep, () => location.reload()); // it may be under way, with nothing published yet
  main.replaceChildren(element("p", { class: "message", role: "alert" }, error.message, element("a", { href: "/" }, "All sweeps")));
}

async function showSweep(sweep) {
  document.title = `${sweep} · dreamsweep`;
  document.getElementById("title").textContent = sweep;
  document.getElementById("to-ask").href = `/ask?sweep=${encodeURIComponent(sweep)}`;
  await showWall(await ask(`/api/sweeps/${encodeURIComponent(sweep)}`));
}

async function showSweeps() {
  watch("");
  const cards = await ask("/api/sweeps");
  document.getElementById("count").textContent = counted(cards.length, "sweep");
  main.className = "cards";
  main.replaceChildren(...(cards.length ? cards.map(card) : [nothing()]));
}

function card(sweep) {
  if (sweep.error) return element("div", { class: "card" }, element("span", { class: "picture" }, element("span", { class: "missing" }, "damaged")), element("strong", {}, sweep.sweep), sweep.error);
  const when = new Date(sweep.finished_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const cover = sweep.cover && pictured({ src: `/pictures/${sweep.sweep}/${sweep.cover}/best.png?side=512`, alt: "", loading: "lazy" });
  return element(
    "a", { class: "card", href: `/sweeps/${encodeURIComponent(sweep.sweep)}` },
    element("span", { class: "picture" }, cover),
    element("strong", {}, sweep.sweep),
    element("span", {}, `${countedOf(sweep.done, sweep.trials, "trial")} · ${counted(sweep.prompts, "prompt")}`),
    element("span", {}, `${sweep.engines.join(", ")} · ${when}`),
  );
}

function nothing() {
  return element("p", { class: "message" }, "Nothing is published in this store yet: run a sweep first, then load this page again. ", element("code", {}, "dreamsweep run prompts/demo.yaml"));
}

// The page: every sweep of the store, or the wall of one.

import { ask, counted, countedOf, element, pictured } from "./dom.js";
import { watch } from "./live.js";
import { showWall } from "./wall.js";

const OF_A_DAY = /[0-9]{4}-?[0-9]{2}-?[0-9]{2}/; // in the name of a sweep
const main = document.getElementById("wall");

try {
  const sweep = decodeURIComponent(location.pathname.match(/^\/sweeps\/([^/]+)/)?.[1] ?? "");
  await (sweep ? showSweep(sweep) : showSweeps());
} catch (error) {
  const sweep = decodeURIComponent(location.pathname.match(/^\/sweeps\/([^/]+)/)?.[1] ?? "");
  if (sweep) watch(sweep, () => location.reload()); // it may be under way, with nothing published yet
  main.replaceChildren(element("p", { class: "message", role: "alert" }, error.message, element("a", { href: "/" }, "All sweeps")));
}

async function showSweep(names) {
  document.title = `${names} · dreamsweep`;
  document.getElementById("title").textContent = names;
  document.getElementById("to-ask").href = /[*?,]/.test(names) ? "/ask" : `/ask?sweep=${encodeURIComponent(names)}`;
  await showWall(names);
}

async function showSweeps() {
  watch("");
  document.getElementById("title").textContent = "Sweeps";
  const cards = await ask("/api/sweeps");
  document.getElementById("count").textContent = counted(cards.length, "sweep");
  main.className = "cards";
  main.replaceChildren(together(cards), ...(cards.length ? cards.map(card) : [nothing()]));
}

// Walls of several sweeps: all nights of one name, and whichever are ticked.
function together(cards) {
  const nights = Map.groupBy(cards.filter(({ sweep }) => OF_A_DAY.test(sweep)), ({ sweep }) => sweep.replace(OF_A_DAY, "*"));
  const address = (names) => `/sweeps/${encodeURIComponent(names)}`;
  const links = [...nights].filter(([, members]) => members.length > 1).map(([pattern, members]) => element("a", { href: address(pattern) }, `${pattern}: ${members.length} nights on one wall`));
  const open = element("button", { type: "button", disabled: true, onclick: () => (location.href = address(ticked().join(","))) }, "Tick sweeps to open them together");
  main.addEventListener("change", () => Object.assign(open, { disabled: ticked().length < 2, textContent: ticked().length < 2 ? "Tick sweeps to open them together" : `Open ${ticked().length} together` }));
  return element("p", { class: "together", hidden: cards.length < 2 }, ...links, open);
}

const ticked = () => [...main.querySelectorAll("input:checked")].map(({ value }) => value);

function card(sweep) {
  if (sweep.error) return element("div", { class: "card" }, element("span", { class: "picture" }, element("span", { class: "missing" }, "damaged")), element("strong", {}, sweep.sweep), sweep.error);
  const when = new Date(sweep.finished_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  const cover = sweep.cover && pictured({ src: `/pictures/${sweep.sweep}/${sweep.cover}/best.png?side=512`, alt: "", loading: "lazy" });
  return element(
    "div", { class: "choice" },
    element("input", { type: "checkbox", value: sweep.sweep, "aria-label": `Choose ${sweep.sweep}`, autocomplete: "off" }),
    element(
      "a", { class: "card", href: `/sweeps/${encodeURIComponent(sweep.sweep)}` },
      element("span", { class: "picture" }, cover),
      element("strong", {}, sweep.sweep),
      element("span", {}, `${countedOf(sweep.done, sweep.trials, "trial")} · ${counted(sweep.prompts, "prompt")}`),
      element("span", {}, `${sweep.engines.join(", ")} · ${when}`),
    ),
  );
}

function nothing() {
  return element("p", { class: "message" }, "Nothing is published in this store yet: run a sweep first, then load this page again. ", element("code", {}, "dreamsweep run prompts/demo.yaml"));
}

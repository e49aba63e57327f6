// The wall: all trials of a sweep, filtered, sorted and grouped in the browser. What it shows stands in the address, to be passed on.

import { ask, counted, countedOf, element, mark, pictured, thumbnail } from "./dom.js";
import { queryOf } from "./search.js";
import { makeViewer } from "./viewer.js";

const CHUNK = 240; // tiles made at once: more follow as the page is scrolled
const by = (id) => document.getElementById(id);
const ORDERS = {
  best: (a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity) || (b.z_score ?? -99) - (a.z_score ?? -99) || ORDERS.judge(a, b), // scores of several prompts cannot be compared
  judge: (a, b) => (b.judge ?? -2) - (a.judge ?? -2),
  guide: (a, b) => (b.guide ?? -2) - (a.guide ?? -2),
  prompt: (a, b) => a.prompt.localeCompare(b.prompt, undefined, { numeric: true }) || ORDERS.best(a, b),
  seed: (a, b) => a.seed - b.seed || ORDERS.best(a, b),
};

export function showWall({ sweep, generation, trials, settings, tiles }) {
  const main = by("wall");
  const texts = settings.map((values) => Object.entries(values).map(([name, value]) => `${name} ${value}`).join(" · "));
  const names = new Set(["seed", ...settings.flatMap(Object.keys)]);
  for (const tile of tiles) tile.words = [tile.prompt, ...tile.to, tile.engine, `seed ${tile.seed}`, texts[tile.settings], tile.status].join(" · ").toLowerCase();
  const engines = new Set(new URLSearchParams(location.search).getAll("engine"));
  let shown = tiles;
  const viewer = makeViewer(sweep, (id, step) => shown[shown.findIndex((tile) => tile.id === id) + step], (id) => tileOf(id)?.focus());

  readAddress();
  drawEngines();
  by("filters").hidden = false;
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("words").addEventListener("input", later(draw, 120));
  for (const id of ["sort", "group"]) by(id).addEventListener("change", draw);
  by("size").addEventListener("input", () => main.style.setProperty("--side", `${by("size").value}px`));
  by("size").addEventListener("change", writeAddress);
  document.addEventListener("keydown", typed);
  by("filters").addEventListener("search", draw); // Esc and × in the box
  addEventListener("popstate", open);
  document.addEventListener("visibilitychange", lookAgain);
  draw();
  open();

  function draw() {
    writeAddress();
    scrollTo(0, 0);
    const wanted = queryOf(by("words").value, names);
    const group = by("group").value;
    shown = tiles
      .filter((tile) => (!engines.size || engines.has(tile.engine)) && wanted.every((matches) => matches(tile)))
      .sort(ORDERS[by("sort").value]);
    const groups = group ? Map.groupBy(shown, (tile) => tile[group]) : new Map([[null, shown]]);
    shown = [...groups.values()].flat();
    by("count").textContent = countedOf(shown.length, tiles.length, "trial") + (trials > tiles.length ? `, the best of ${trials.toLocaleString("en")}` : "");
    main.replaceChildren(...(shown.length ? [] : [element("p", { class: "message" }, "No trial matches. ", clear())]));
    fill(entries(groups, group));
  }

  function* entries(groups, group) {
    for (const [name, members] of groups) {
      const section = element("section", { class: "tiles" });
      if (group) main.append(heading(group === "seed" ? `seed ${name}` : name, members));
      main.append(section);
      for (const tile of members) yield section.appendChild(tileFor(tile, group));
    }
  }

  function fill(steps) {
    const end = element("div", { class: "end" });
    const seen = new IntersectionObserver(([entry]) => entry.isIntersecting && more(), { rootMargin: "1500px" });
    let over = false;
    function more() {
      for (let i = 0; i < CHUNK && !over; i++) over = steps.next().done;
      if (over) return seen.disconnect(), end.remove();
      main.append(end);
      seen.unobserve(end);
      seen.observe(end); // asks again where it is still in sight
    }
    more();
  }

  function heading(name, members) {
    return element("h2", {}, element("bdi", {}, name), element("small", {}, ` ${counted(members.length, "trial")}`));
  }

  function tileFor(tile, group) {
    const picture = tile.pictured
      ? pictured({ src: thumbnail(sweep, tile.id), alt: tile.prompt.slice(0, 300), loading: "lazy", decoding: "async", fetchpriority: "low" })
      : element("span", { class: "missing" }, tile.status);
    const walk = (first) => [first, ...tile.to].join(" → ").slice(0, 300);
    const [what, more] = group === "prompt" ? [walk(tile.label), ""] : [walk(tile.prompt), tile.label];
    return element(
      "button", { class: "tile", type: "button", "data-id": tile.id, title: [tile.prompt.slice(0, 300), tile.label, ranked(tile)].filter(Boolean).join("\n"), onclick: () => (history.pushState("opened here", "", `#${tile.id}`), open()) },
      element("span", { class: "picture" }, picture),
      element("span", { class: "line" }, element("b", {}, tile.rivals > 1 ? `#${tile.rank}` : mark(tile.judge)), tile.status === "done" ? null : element("i", {}, tile.status), element("bdi", {}, what)),
      more && element("span", { class: "line more" }, more),
    );
  }

  function ranked({ rank, rivals, judge, ranked_by }) {
    return rank && `judge ${mark(judge)}, ${rivals > 1 ? `rank ${rank} of ${rivals} of this prompt by ${ranked_by}` : "the only trial of this prompt"}`;
  }

  function drawEngines() {
    const names = [...new Set(tiles.map((tile) => tile.engine))].sort();
    const toggle = (name) => (event) => {
      engines.has(name) ? engines.delete(name) : engines.add(name);
      event.target.setAttribute("aria-pressed", engines.has(name));
      draw();
    };
    if (names.length > 1) by("engines").replaceChildren(...names.map((name) => element("button", { type: "button", "aria-pressed": String(engines.has(name)), onclick: toggle(name) }, name)));
  }

  function clear() {
    const cleared = () => {
      by("words").value = "";
      engines.clear();
      drawEngines();
      draw();
    };
    return element("button", { type: "button", onclick: cleared }, "Show all");
  }

  function open() {
    const id = decodeURIComponent(location.hash.slice(1));
    id ? viewer.show(tiles.find((tile) => tile.id === id) ?? { id }) : viewer.close();
  }

  function readAddress() {
    const parameters = new URLSearchParams(location.search);
    by("words").value = parameters.get("q") ?? "";
    by("sort").value = parameters.get("sort") in ORDERS ? parameters.get("sort") : "best";
    by("group").value = ["prompt", "engine", "seed"].includes(parameters.get("group")) ? parameters.get("group") : "";
    by("size").value = parameters.get("size") ?? by("size").defaultValue;
    main.style.setProperty("--side", `${by("size").value}px`);
  }

  function writeAddress() {
    const parameters = new URLSearchParams();
    if (by("words").value) parameters.set("q", by("words").value);
    for (const name of engines) parameters.append("engine", name);
    if (by("sort").value !== "best") parameters.set("sort", by("sort").value);
    if (by("group").value) parameters.set("group", by("group").value);
    if (by("size").value !== by("size").defaultValue) parameters.set("size", by("size").value);
    history.replaceState(history.state, "", `${location.pathname}${parameters.size ? `?${parameters}` : ""}${location.hash}`);
  }

  function tileOf(id) {
    return main.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || by("viewer").open) return;
    const typing = event.target.matches("input, select");
    if (event.key === "/" && !typing) return event.preventDefault(), by("words").select();
    if (!typing && event.key.startsWith("Arrow")) move(event);
  }

  // Where the page was left open while the sweep was published anew.
  async function lookAgain() {
    if (document.hidden) return;
    const now = await ask(`/api/sweeps/${sweep}/generation`).catch(() => generation);
    if (now !== generation) by("count").replaceChildren("This sweep has changed. ", element("button", { type: "button", onclick: () => location.reload() }, "Load it again"));
  }
}

// Arrows go from tile to tile, rows as they lie.
function move(event) {
  const all = [...document.querySelectorAll(".tile")];
  const here = all.indexOf(document.activeElement);
  if (here < 0) return event.key === "ArrowDown" && all.length ? (event.preventDefault(), all[0].focus()) : undefined;
  const at = all[here].getBoundingClientRect();
  const beneath = (tile) => Math.abs(tile.getBoundingClientRect().left - at.left) < at.width / 2;
  const next = {
    ArrowRight: () => all[here + 1],
    ArrowLeft: () => all[here - 1],
    ArrowDown: () => all.slice(here + 1).find(beneath),
    ArrowUp: () => all.slice(0, here).findLast(beneath),
  }[event.key]();
  if (next) event.preventDefault(), next.focus();
}

function later(call, milliseconds) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(call, milliseconds);
  };
}

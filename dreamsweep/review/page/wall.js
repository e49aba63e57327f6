// The wall: all trials of a sweep, filtered, sorted and grouped in the browser. What it shows stands in the address, to be passed on.

import { ask, counted, element, mark, pictured } from "./dom.js";
import { makeViewer } from "./viewer.js";

const CHUNK = 240; // tiles made at once: more follow as the page is scrolled
const by = (id) => document.getElementById(id);
const ORDERS = {
  judge: (a, b) => (b.judge ?? -2) - (a.judge ?? -2),
  guide: (a, b) => (b.guide ?? -2) - (a.guide ?? -2),
  prompt: (a, b) => a.prompt.localeCompare(b.prompt, undefined, { numeric: true }) || ORDERS.judge(a, b),
  seed: (a, b) => a.seed - b.seed || ORDERS.judge(a, b),
};

export function showWall({ sweep, generation, trials, settings, tiles }) {
  const main = by("wall");
  const told = settings.map((one) => Object.entries(one).map(([name, value]) => `${name} ${value}`).join(" · "));
  const names = new Set(["seed", ...settings.flatMap(Object.keys)]);
  for (const tile of tiles) tile.words = [tile.prompt, ...tile.to, tile.engine, `seed ${tile.seed}`, told[tile.settings], tile.status].join(" · ").toLowerCase();
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
    const told = shown.length === tiles.length ? counted(tiles.length, "trial") : `${shown.length.toLocaleString("en")} of ${counted(tiles.length, "trial")}`;
    by("count").textContent = told + (trials > tiles.length ? `, the best of ${trials.toLocaleString("en")}` : "");
    main.replaceChildren(...(shown.length ? [] : [element("p", { class: "told" }, "No trial matches. ", clear())]));
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

  function fill(made) {
    const end = element("div", { class: "end" });
    const seen = new IntersectionObserver(([entry]) => entry.isIntersecting && more(), { rootMargin: "1500px" });
    let over = false;
    function more() {
      for (let i = 0; i < CHUNK && !over; i++) over = made.next().done;
      if (over) return seen.disconnect(), end.remove();
      main.append(end);
      seen.unobserve(end);
      seen.observe(end); // asks again where it is still in sight
    }
    more();
  }

  function heading(name, members) {
    const marks = members.map((tile) => tile.judge).filter((one) => one !== null);
    return element("h2", {}, element("bdi", {}, name), element("small", {}, ` ${counted(members.length, "trial")} · best ${mark(marks.length ? Math.max(...marks) : null)}`));
  }

  function tileFor(tile, group) {
    const address = `/pictures/${sweep}/${tile.id}/best.png?side=${devicePixelRatio > 1 ? 512 : 320}`;
    const picture = tile.pictured
      ? pictured({ src: address, alt: tile.prompt.slice(0, 300), loading: "lazy", decoding: "async", fetchpriority: "low" })
      : element("span", { class: "missing" }, tile.status);
    const walk = (first) => [first, ...tile.to].join(" → ").slice(0, 300);
    const [what, more] = group === "prompt" ? [walk(tile.label), ""] : [walk(tile.prompt), tile.label];
    return element(
      "button", { class: "tile", type: "button", "data-id": tile.id, title: `${tile.prompt.slice(0, 300)}\n${tile.label}`, onclick: () => (history.pushState("opened here", "", `#${tile.id}`), open()) },
      element("span", { class: "picture" }, picture),
      element("span", { class: "line" }, element("b", {}, mark(tile.judge)), tile.status === "done" ? null : element("i", {}, tile.status), element("bdi", {}, what)),
      more && element("span", { class: "line more" }, more),
    );
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
    id ? viewer.show(tiles.find((one) => one.id === id) ?? { id }) : viewer.close();
  }

  function readAddress() {
    const told = new URLSearchParams(location.search);
    by("words").value = told.get("q") ?? "";
    by("sort").value = told.get("sort") in ORDERS ? told.get("sort") : "judge";
    by("group").value = ["prompt", "engine", "seed"].includes(told.get("group")) ? told.get("group") : "";
    by("size").value = told.get("size") ?? 160;
    main.style.setProperty("--side", `${by("size").value}px`);
  }

  function writeAddress() {
    const told = new URLSearchParams();
    if (by("words").value) told.set("q", by("words").value);
    for (const name of engines) told.append("engine", name);
    if (by("sort").value !== "judge") told.set("sort", by("sort").value);
    if (by("group").value) told.set("group", by("group").value);
    if (by("size").value !== "160") told.set("size", by("size").value);
    history.replaceState(history.state, "", `${location.pathname}${told.size ? `?${told}` : ""}${location.hash}`);
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

  // Arrows go from tile to tile, rows as they lie.
  function move(event) {
    const all = [...main.querySelectorAll(".tile")];
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
}

// What a trial must match: words anywhere, "words in quotes" together, numbers whole, a setting's name with its value; -word must not.
function queryOf(text, names) {
  const words = [...text.toLowerCase().matchAll(/(-?)(?:"([^"]*)"?|(\S+))/g)].map(([, not, quoted, plain]) => ({ not, word: quoted ?? plain, quoted: quoted !== undefined }));
  const found = [];
  for (let i = 0; i < words.length; i++) {
    const { not, quoted } = words[i];
    let { word } = words[i];
    if (!quoted) word = word.replace("=", " ");
    if (!quoted && names.has(word) && words[i + 1] && !words[i + 1].not) word += ` ${words[++i].word}`;
    if (!word) continue;
    const whole = /\d$/.test(word) || word.includes(" ");
    const pattern = new RegExp((whole ? "(?<![\\w.])" : "") + word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") + (/\d$/.test(word) ? "(?![\\d.]*\\d)" : ""));
    const matches = (tile) => pattern.test(tile.words) || (word.length > 3 && tile.id.startsWith(word));
    found.push(not ? (tile) => !matches(tile) : matches);
  }
  return found;
}

function later(call, milliseconds) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(call, milliseconds);
  };
}

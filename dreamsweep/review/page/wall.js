// The wall: all trials of a sweep, filtered, sorted and grouped in the browser. What it shows stands in the address, to be passed on.

import { makeCompare } from "./compare.js";
import { ask, counted, countedOf, element } from "./dom.js";
import { makeDuels } from "./duels.js";
import { drawFacets } from "./facets.js";
import { makeGrid } from "./grid.js";
import { makeKeys } from "./keys.js";
import { watch } from "./live.js";
import { makeMarking } from "./marking.js";
import { FILTERS, isSuggested, loadMarks, signs } from "./marks.js";
import { FIELDS, natural, ORDERS } from "./orders.js";
import { queryOf } from "./search.js";
import { makeSteps } from "./steps.js";
import { makeTakeaway } from "./take.js";
import { makeTiles, move } from "./tile.js";
import { makeViewer } from "./viewer.js";

const CHUNK = 240; // tiles made at once: more follow as the page is scrolled
const by = (id) => document.getElementById(id);

export async function showWall({ sweep, generation, trials, settings, swept, tiles }) {
  const main = by("wall");
  const textOf = (values) => Object.entries(values).map(([name, value]) => `${name} ${value}`).join(" · ");
  const texts = settings.map(textOf);
  const names = new Set([...FIELDS, ...settings.flatMap(Object.keys)]);
  const values = new Set(settings.flatMap(Object.values).map((value) => value.toLowerCase()));
  const valueOf = (tile, name) => (FIELDS.includes(name) ? tile[name] : settings[tile.settings][name]);
  const last = `dreamsweep last ${sweep}`;
  tiles.forEach(describe);
  const engines = new Set(new URLSearchParams(location.search).getAll("engine"));
  let shown = tiles, makeMore = () => false, said = "";
  const marks = await loadMarks(sweep, remark, (sentence) => notice((said = sentence)));
  const viewer = makeViewer(sweep, {
    neighbour: (id, step) => shown[shown.findIndex((tile) => tile.id === id) + step],
    opened: (id) => sessionStorage.setItem(last, id),
    closed: (id) => setTimeout(() => reveal(id)), // after the browser has put the focus and the page where they were
    compared: (id) => (choose(id), viewer.close()),
    marksOf: (id) => marks.people().map((person) => [person || "somebody", signs(marks.of(id, person)), marks.of(id, person).note]).filter(([, text]) => text),
  });
  const marking = makeMarking(marks, here, onward, (id) => (by("viewer").open ? turnTo(id) : reveal(id)));
  const steps = makeSteps(sweep, by("steps"), notice);
  const duels = makeDuels(sweep, {
    writable: marks.writable,
    among: () => (shown.length < tiles.length ? shown.map((tile) => tile.id) : null),
    person: async () => marks.me || (await marking.askName()),
    closed: () => location.hash === "#duels" && history.replaceState(null, "", location.pathname + location.search),
  });
  const chosen = []; // ids of the trials to be compared
  const { tileFor, signsOf } = makeTiles(sweep, marks, chosen, (id) => (history.pushState("opened here", "", `#${id}`), open()));
  const grid = makeGrid(sweep, by("axes"), [...new Set(["prompt", "engine", "seed", ...swept])], { valueOf, compare: natural, changed: draw, drawTile: (tile) => watched(tileFor(tile, "")) });
  const compare = makeCompare(sweep, {
    opened: (id) => (location.hash = id),
    closed: () => location.hash.startsWith("#compare=") && history.replaceState(null, "", location.pathname + location.search),
  });
  const takeaway = makeTakeaway(sweep, filters, () => shown.length);
  const facets = [...new Set(["seed", ...swept])].filter((name) => new Set(tiles.map((tile) => valueOf(tile, name))).size > 1);
  history.scrollRestoration = "manual"; // the page shows the picture seen last

  addChoices("sort", swept);
  addChoices("group", swept);
  drawPeople();
  readAddress();
  drawEngines();
  by("review").addEventListener("click", review);
  by("reviewer").addEventListener("click", async () => ((await marking.askName()) && (drawPeople(), draw())));
  by("take").addEventListener("click", takeaway.open);
  by("duel").addEventListener("click", () => (location.hash = "duels"));
  by("comparing").addEventListener("click", showComparison);
  by("grid").addEventListener("click", grid.toggle);
  by("help").addEventListener("click", makeKeys());
  by("facets").addEventListener("toggle", () => drawFacets(by("facets"), facets, tiles, valueOf, by("words"), draw));
  by("facets").hidden = !facets.length;
  by("step").addEventListener("click", toggleSteps);
  by("review").hidden = by("reviewer").hidden = !marks.writable;
  by("filters").hidden = false;
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("words").addEventListener("input", later(draw, 120));
  for (const id of ["sort", "group", "marks", "by"]) by(id).addEventListener("change", draw);
  by("size").addEventListener("input", () => main.style.setProperty("--side", `${by("size").value}px`));
  by("size").addEventListener("change", writeAddress);
  document.addEventListener("keydown", typed);
  by("filters").addEventListener("search", draw); // Esc and × in the box
  addEventListener("popstate", open);
  document.addEventListener("visibilitychange", lookAgain);
  draw();
  open();
  if (!location.hash && sessionStorage.getItem(last)) reveal(sessionStorage.getItem(last));
  watch(sweep, (now) => now !== generation && grow());

  function draw() {
    writeAddress();
    scrollTo(0, 0);
    const { conditions, unknown } = queryOf(by("words").value, names, values, valueOf);
    const group = by("group").value, sort = by("sort").value, fits = FILTERS[by("marks").value], whose = by("by").value || marks.me;
    const anyone = whose === "*" ? marks.people() : [whose];
    const marked = (tile) => !fits || (by("marks").value === "unreviewed" ? anyone.every((person) => fits(marks.of(tile.id, person), tile)) : (anyone.length ? anyone : [""]).some((person) => fits(marks.of(tile.id, person), tile)));
    shown = tiles
      .filter((tile) => (!engines.size || engines.has(tile.engine)) && conditions.every((matches) => matches(tile)) && marked(tile))
      .sort(ORDERS[sort] ?? ((a, b) => natural(valueOf(a, sort), valueOf(b, sort)) || ORDERS.best(a, b)));
    if (by("marks").value === "unreviewed") shown.sort((a, b) => isSuggested(b) - isSuggested(a)); // stable: the order stays as it is
    notice(unknown.join(" ") || said);
    by("count").textContent = countedOf(shown.length, tiles.length, "trial") + (trials > tiles.length ? `, the best of ${trials.toLocaleString("en")}` : "");
    by("grid").setAttribute("aria-pressed", grid.active);
    makeMore = () => false;
    steps.forget();
    main.replaceChildren(...(shown.length ? [] : [element("p", { class: "message" }, "No trial matches. ", clear())]));
    if (!shown.length) return;
    if (grid.active) drawGrid();
    else drawGroups(group);
  }

  function drawGrid() {
    const drawing = grid.draw(shown);
    shown = drawing.shown;
    main.append(drawing.table);
  }

  function drawGroups(group) {
    let groups = group ? Map.groupBy(shown, (tile) => (group === "prompt" ? tile.shows : (valueOf(tile, group) ?? "–"))) : new Map([[null, shown]]);
    if (swept.includes(group)) groups = new Map([...groups].sort(([a], [b]) => natural(a, b)));
    shown = [...groups.values()].flat();
    fill(entries(groups, group));
  }

  function* entries(groups, group) {
    for (const [name, members] of groups) {
      const section = element("section", { class: "tiles" });
      if (group) main.append(heading(["prompt", "engine"].includes(group) ? name : `${group} ${name}`, members));
      main.append(section);
      for (const tile of members) yield watched(section.appendChild(tileFor(tile, group)));
    }
  }

  function fill(steps) {
    const end = element("div", { class: "end" });
    const seen = new IntersectionObserver(([entry]) => entry.isIntersecting && more(), { rootMargin: "1500px" });
    let over = false;
    function more() {
      for (let i = 0; i < CHUNK && !over; i++) over = steps.next().done;
      if (over) return seen.disconnect(), end.remove(), false;
      main.append(end);
      seen.unobserve(end);
      seen.observe(end); // asks again where it is still in sight
      return true;
    }
    makeMore = more;
    more();
  }

  function watched(drawing) {
    steps.watch(drawing);
    return drawing;
  }

  function heading(name, members) {
    return element("h2", {}, element("bdi", {}, name), element("small", {}, ` ${counted(members.length, "trial")}`));
  }

  function remark(id) {
    const tile = tiles.find((tile) => tile.id === id);
    tileOf(id)?.querySelector(".signs").replaceChildren(...signsOf(tile));
    viewer.remark(id);
    drawPeople();
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

  function drawPeople() {
    const chosen = by("by").value, others = marks.people().filter((person) => person && person !== marks.me);
    by("by").replaceChildren(new Option("me", ""), new Option("anybody", "*"), ...others.map((person) => new Option(person, person)));
    by("by").value = [...by("by").options].some(({ value }) => value === chosen) ? chosen : "";
    by("reviewer").textContent = marks.me ? `as ${marks.me}` : "your name…";
    const { agreement } = marks;
    by("agreement").textContent = typeof agreement?.kappa === "number" ? `agreement κ ${agreement.kappa.toFixed(2)}` : "";
    by("agreement").title = agreement ? `${agreement.method}’s kappa of ${agreement.reviewers.join(", ")} on ${counted(agreement.pictures, "picture")}: ${agreement.kappa === null ? "says nothing yet" : agreement.kappa.toFixed(2)}` : "";
  }

  function addChoices(id, names) {
    by(id).append(...names.map((name) => new Option(name, name)));
  }

  function notice(text) {
    by("notice").textContent = text;
  }

  // Opens the queue where one stopped: the first picture that one has not marked.
  async function review() {
    if (!marks.me && !(await marking.askName())) return;
    by("marks").value = "unreviewed";
    by("by").value = "";
    drawPeople();
    draw();
    if (shown.length) history.pushState("opened here", "", `#${shown[0].id}`), open();
  }

  function here() {
    return by("viewer").open ? viewer.trial() : document.activeElement?.dataset.id;
  }

  function onward(id) {
    const next = shown[shown.findIndex((tile) => tile.id === id) + 1];
    if (!next) return notice("That was the last picture here.");
    by("viewer").open ? turnTo(next.id) : reveal(next.id);
  }

  function turnTo(id) {
    history.replaceState(history.state, "", `#${id}`);
    open();
  }

  // Scrolls to a tile and puts the focus there; tiles before it are made first.
  function reveal(id) {
    if (!shown.some((tile) => tile.id === id)) return;
    while (!tileOf(id) && makeMore());
    tileOf(id)?.scrollIntoView({ block: "center" });
    tileOf(id)?.focus({ preventScroll: true });
  }

  // Puts a trial among those to be compared, or takes it away; of more than four, the first goes.
  function choose(id) {
    const at = chosen.indexOf(id), changed = at < 0 ? [id] : chosen.splice(at, 1);
    if (at < 0 && chosen.push(id) > 4) changed.push(chosen.shift());
    for (const trial of [...chosen, ...changed]) tileOf(trial)?.querySelector(".picture").toggleAttribute("data-compared", chosen.includes(trial));
    by("comparing").hidden = !chosen.length;
    by("comparing").textContent = chosen.length > 1 ? `Compare ${chosen.length}` : "Compare: choose another";
    by("comparing").disabled = chosen.length < 2;
  }

  function showComparison() {
    if (chosen.length > 1) location.hash = `compare=${chosen.join(",")}`;
  }

  async function toggleSteps() {
    await steps.toggle();
    by("step").setAttribute("aria-pressed", steps.active);
  }

  function clear() {
    const cleared = () => {
      by("words").value = by("marks").value = "";
      engines.clear();
      drawEngines();
      draw();
    };
    return element("button", { type: "button", onclick: cleared }, "Show all");
  }

  function open() {
    const id = decodeURIComponent(location.hash.slice(1));
    const [dialog, ids] = id.split("=");
    if (dialog !== "duels") duels.close();
    if (dialog !== "compare") compare.close();
    if (dialog === "duels" || dialog === "compare") return viewer.close(), dialog === "duels" ? duels.open() : compare.open(ids.split(","));
    id ? viewer.show(tiles.find((tile) => tile.id === id) ?? { id }) : viewer.close();
  }

  function readAddress() {
    const parameters = new URLSearchParams(location.search);
    by("words").value = parameters.get("q") ?? "";
    by("sort").value = [...by("sort").options].some(({ value }) => value === parameters.get("sort")) ? parameters.get("sort") : "best";
    by("group").value = [...by("group").options].some(({ value }) => value === parameters.get("group")) ? parameters.get("group") : "";
    by("marks").value = parameters.get("marks") in FILTERS ? parameters.get("marks") : "";
    by("by").value = [...by("by").options].some(({ value }) => value === parameters.get("by")) ? parameters.get("by") : "";
    grid.address = parameters.get("grid") ?? "";
    by("size").value = parameters.get("size") ?? by("size").defaultValue;
    main.style.setProperty("--side", `${by("size").value}px`);
  }

  function writeAddress() {
    const parameters = new URLSearchParams();
    if (by("words").value) parameters.set("q", by("words").value);
    for (const name of engines) parameters.append("engine", name);
    if (by("sort").value !== "best") parameters.set("sort", by("sort").value);
    if (by("group").value) parameters.set("group", by("group").value);
    for (const id of ["marks", "by"]) if (by(id).value) parameters.set(id, by(id).value);
    if (grid.address) parameters.set("grid", grid.address);
    if (by("size").value !== by("size").defaultValue) parameters.set("size", by("size").value);
    history.replaceState(history.state, "", `${location.pathname}${parameters.size ? `?${parameters}` : ""}${location.hash}`);
  }

  function tileOf(id) {
    return main.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, select");
    if (event.key === "/" && !typing) return event.preventDefault(), by("words").select();
    if (typing) return;
    if (event.key === "s") toggleSteps();
    if (event.key === "g") grid.toggle();
    if (event.key === "c" && here()) choose(here());
    if (event.key === "C") showComparison();
    if (steps.active && (event.key === "," || event.key === ".")) steps.step(event.key === "." ? 1 : -1);
    if (event.key.startsWith("Arrow")) move(event);
  }

  function describe(tile) {
    tile.words = [tile.prompt, ...tile.to, tile.engine, `seed ${tile.seed}`, texts[tile.settings], tile.status].join(" · ").toLowerCase();
  }

  // What the page shows, as the server selects it.
  function filters() {
    const marked = by("marks").value && { marks: by("marks").value, by: by("by").value || marks.me };
    return { q: by("words").value, engine: [...engines], ...marked };
  }

  // Adds what was published meanwhile; the place on the page stays.
  async function grow() {
    const fresh = await ask(`/api/sweeps/${encodeURIComponent(sweep)}`).catch(() => null);
    if (!fresh) return;
    const known = new Map(tiles.map((tile) => [tile.id, tile])), first = settings.length, top = scrollY;
    if (fresh.tiles.length < tiles.length) return offerReload(); // another sweep under this name
    settings.push(...fresh.settings);
    texts.push(...fresh.settings.map(textOf));
    for (const tile of fresh.tiles) {
      tile.settings += first;
      describe(tile);
      known.has(tile.id) ? Object.assign(known.get(tile.id), tile) : tiles.push(tile);
    }
    for (const [name, value] of fresh.settings.flatMap(Object.entries)) names.add(name), values.add(value.toLowerCase());
    const added = fresh.swept.filter((name) => !swept.includes(name));
    swept.push(...added);
    for (const id of ["sort", "group"]) addChoices(id, added);
    [generation, trials] = [fresh.generation, fresh.trials];
    draw();
    while (document.body.scrollHeight < top + innerHeight && makeMore());
    scrollTo(0, top);
  }

  function offerReload() {
    by("count").replaceChildren("This sweep has changed. ", element("button", { type: "button", onclick: () => location.reload() }, "Load it again"));
  }

  // Where the page was left open while the sweep was published anew.
  async function lookAgain() {
    if (document.hidden) return;
    await marks.load().then(() => tiles.forEach(({ id }) => tileOf(id) && remark(id))).catch(() => {}); // what others left meanwhile
    const now = await ask(`/api/sweeps/${sweep}/generation`).catch(() => generation);
    if (now !== generation) await grow();
  }
}

function later(call, milliseconds) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(call, milliseconds);
  };
}

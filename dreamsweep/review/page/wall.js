// The wall: the trials of one or several sweeps, which the server selects, and what people do with them.

import { makeCompare } from "./compare.js";
import { ask, counted, countedOf, element, post } from "./dom.js";
import { makeDuels } from "./duels.js";
import { drawFacets } from "./facets.js";
import { makeFilters } from "./filters.js";
import { makeGrid } from "./grid.js";
import { makeKeys } from "./keys.js";
import { listingOf, openListing } from "./listing.js";
import { watch } from "./live.js";
import { makeMarking } from "./marking.js";
import { loadMarks, signs } from "./marks.js";
import { makePages } from "./pages.js";
import { makePlots } from "./plots.js";
import { makeSteps } from "./steps.js";
import { makeTakeaway } from "./take.js";
import { makeTiles, move } from "./tile.js";
import { makeTrials } from "./trials.js";
import { makeViewer } from "./viewer.js";

const MOST_NAMED = 1_000; // trials that a question about duels can name
const by = (id) => document.getElementById(id);

/** Shows the sweeps of an address: one, several with commas between, or a pattern. */
export async function showWall(names) {
  const main = by("wall"), address = `/api/sweeps/${encodeURIComponent(names)}`, last = `dreamsweep last ${names}`;
  const firstMarks = ask(`${address}/marks`); // on its way beside the trials
  firstMarks.catch(() => {}); // where the trials cannot be had either, theirs is the sentence
  let whole = await openListing(address, {}, { offset: 0 }, lookAgain);
  const { head } = whole;
  const trials = makeTrials(head.sweeps), several = head.sweeps.length > 1;
  let listing = listingOf([]), pages, state = head.state, matched = 0, said = "", draws = 0;
  const marks = await loadMarks(address, head.sweeps, trials, firstMarks, remark, (sentence) => notice((said = sentence)));
  const viewer = makeViewer(trials, {
    neighbour: (key, step) => listing.neighbour(key, step),
    has: (key, step) => listing.has(key, step),
    opened: (key) => sessionStorage.setItem(last, key),
    closed: (key) => setTimeout(() => reveal(key)), // after the browser has put the focus and the page where they were
    compared: (key) => (choose(key), viewer.close()),
    mine: (key) => (marks.writable ? marks.of(key, marks.me) : null),
    leave: (letter) => marking.act(letter),
    marksOf: (key) => marks.people().map((person) => [person || "somebody", signs(marks.of(key, person)), marks.of(key, person).note]).filter(([, text]) => text),
  });
  const marking = makeMarking(marks, here, onward, (key) => (by("viewer").open ? turnTo(key) : reveal(key)));
  const steps = makeSteps(trials, by("steps"), notice);
  const duels = several ? null : makeDuels(head.sweeps[0], {
    writable: marks.writable,
    among,
    person: async () => marks.me || (await marking.askName()),
    closed: () => location.hash === "#duels" && history.replaceState(null, "", location.pathname + location.search),
  });
  const chosen = []; // keys of the trials to be compared
  const { tileFor, signsOf } = makeTiles(trials, marks, chosen, (tile) => (tile.stack > 1 ? unstack(tile) : (history.pushState("opened here", "", `#${tile.key}`), open())));
  const grid = makeGrid(names, trials, by("axes"), [...new Set(["prompt", "engine", "seed", ...head.swept])], { changed: () => draw(), drawTile: (tile) => watched(tileFor(tile, "")) });
  const compare = makeCompare(trials, {
    opened: (key) => (location.hash = key),
    closed: () => location.hash.startsWith("#compare=") && history.replaceState(null, "", location.pathname + location.search),
  });
  const plots = makePlots(names, trials, by("plots"), {
    settings: [...new Set(["prompt", "engine", "seed", ...head.swept])],
    scores: head.scores,
    words: by("words"),
    changed: () => draw(),
    opened: (key) => (history.pushState("opened here", "", `#${key}`), open()),
    said: notice,
  });
  const filters = makeFilters(head, marks, { grid, plot: plots }, () => draw());
  const takeaway = makeTakeaway(names, filters.exported, () => (listing.head?.stacks ? null : matched));
  history.scrollRestoration = "manual"; // the page shows the picture seen last

  by("review").addEventListener("click", review);
  by("reviewer").addEventListener("click", async () => ((await marking.askName()) && (filters.drawPeople(), draw())));
  by("take").addEventListener("click", takeaway.open);
  by("duel").addEventListener("click", () => (location.hash = "duels"));
  by("duel").hidden = several;
  by("comparing").addEventListener("click", showComparison);
  by("grid").addEventListener("click", grid.toggle);
  by("plot").addEventListener("click", plots.toggle);
  by("help").addEventListener("click", makeKeys());
  by("facets").addEventListener("toggle", showFacets);
  by("step").addEventListener("click", toggleSteps);
  by("review").hidden = by("reviewer").hidden = !marks.writable;
  document.addEventListener("keydown", typed);
  addEventListener("popstate", open);
  document.addEventListener("visibilitychange", lookAgain);
  await draw();
  showFacets();
  open();
  if (!location.hash && sessionStorage.getItem(last)) reveal(sessionStorage.getItem(last));
  if (!several) watch(head.sweeps[0], lookAgain);

  // Asks the server, and shows the answer; until then what is there stays. `range` are the pages to be shown, the first one without.
  async function draw(range) {
    const turn = ++draws, question = filters.question();
    filters.write();
    for (const [button, view] of [["grid", grid], ["plot", plots]]) by(button).setAttribute("aria-pressed", view.active);
    plots.draw(question);
    try {
      const answer = grid.active ? await grid.ask(question) : (filters.plain && whole) || (await openListing(address, question, { offset: 0 }, lookAgain));
      whole = null; // of the first look alone: marks and sweeps change
      if (turn !== draws) return; // something else is looked for by now
      if (!range) scrollTo(0, 0);
      steps.forget();
      pages?.close();
      if (grid.active) showGrid(answer);
      else await showPages(answer, range);
    } catch (error) {
      notice(error.message);
    }
  }

  function showGrid(answer) {
    const { table, shown } = grid.draw(answer);
    listing = listingOf(shown);
    main.replaceChildren(table);
    count(answer);
  }

  async function showPages(answer, range) {
    [listing, state] = [answer, answer.head.state];
    pages = makePages(main, listing, (tile) => watched(tileFor(tile, filters.group)), titleOf, (error) => notice(error.message));
    await pages.start(...(range ?? []));
    count(answer.head);
  }

  function count(answer) {
    matched = answer.matched;
    notice(answer.unknown.join(" ") || said);
    const all = listing.head?.trials ?? head.trials;
    by("count").textContent = answer.stacks ? `${counted(matched, "stack")} of ${counted(all, "trial")}` : countedOf(matched, all, "trial");
    if (!matched) main.replaceChildren(element("p", { class: "message" }, "No trial matches. ", element("button", { type: "button", onclick: filters.clear }, "Show all")));
  }

  function titleOf({ group }) {
    return ["prompt", "engine", "sweep"].includes(filters.group) ? group : `${filters.group} ${group}`;
  }

  function watched(drawing) {
    steps.watch(drawing);
    return drawing;
  }

  function remark(key) {
    const tile = listing.tile(key);
    if (tile) tileOf(key)?.querySelector(".signs").replaceChildren(...signsOf(tile));
    viewer.remark(key);
    filters.drawPeople();
  }

  async function showFacets() {
    const facets = await ask(`${address}/facets`).catch(() => []);
    by("facets").hidden = !facets.length;
    drawFacets(by("facets"), facets, by("words"), () => draw());
  }

  function notice(text) {
    by("notice").textContent = text;
  }

  // Opens the queue where one stopped: the first picture that one has not marked.
  async function review() {
    if (!marks.me && !(await marking.askName())) return;
    by("marks").value = "unreviewed";
    by("by").value = "";
    filters.drawPeople();
    await draw();
    const first = matched && (await listing.page?.(0))?.[0];
    if (first) history.pushState("opened here", "", `#${first.key}`), open();
  }

  function here() {
    return by("viewer").open ? viewer.trial() : document.activeElement?.dataset.id;
  }

  async function onward(key) {
    const next = await listing.neighbour(key, 1);
    if (!next) return notice("That was the last picture here.");
    by("viewer").open ? turnTo(next.key) : reveal(next.key);
  }

  function turnTo(key) {
    history.replaceState(history.state, "", `#${key}`);
    open();
  }

  // Scrolls to a tile and puts the focus there, unless one has gone on meanwhile: a key would then mark a picture that one does not look at.
  async function reveal(key) {
    if (!tileOf(key)) {
      const focused = document.activeElement, number = await listing.find(key).catch(() => undefined);
      if (number === undefined || document.activeElement !== focused) return;
      await pages?.go(number);
      if (focused.isConnected && document.activeElement !== focused) return;
    }
    tileOf(key)?.scrollIntoView({ block: "center" });
    tileOf(key)?.focus({ preventScroll: true });
  }

  // Ids of the trials that may meet in duels; null for all.
  async function among() {
    if (!filters.any) return null;
    return (await post(`${address}/wall`, { ...filters.question(), limit: MOST_NAMED })).tiles.map((tile) => tile.id);
  }

  // Puts a trial among those to be compared, or takes it away; of more than four, the first goes.
  function choose(key) {
    const at = chosen.indexOf(key), changed = at < 0 ? [key] : chosen.splice(at, 1);
    if (at < 0 && chosen.push(key) > 4) changed.push(chosen.shift());
    for (const trial of [...chosen, ...changed]) tileOf(trial)?.querySelector(".picture").toggleAttribute("data-compared", chosen.includes(trial));
    by("comparing").hidden = !chosen.length;
    by("comparing").textContent = chosen.length > 1 ? `Compare ${chosen.length}` : "Compare: choose another";
    by("comparing").disabled = chosen.length < 2;
  }

  function showComparison() {
    if (chosen.length > 1) location.hash = `compare=${chosen.join(",")}`;
  }

  // Shows the trials of a stack; Esc in the search goes back.
  function unstack({ id, duplicates }) {
    by("words").value = duplicates.length ? duplicates.join("|") : `${by("words").value} like:${id}`.trim();
    draw();
  }

  async function toggleSteps() {
    await steps.toggle();
    by("step").setAttribute("aria-pressed", steps.active);
  }

  async function open() {
    const key = decodeURIComponent(location.hash.slice(1));
    const [dialog, keys] = key.split("=");
    if (dialog !== "duels") duels?.close();
    if (dialog !== "compare") compare.close();
    if (dialog === "duels" || dialog === "compare") return viewer.close(), dialog === "duels" ? duels?.open() : compare.open(keys.split(","));
    if (!key) return viewer.close();
    if (!listing.tile(key)) await listing.find(key).catch(() => {}); // it may stand on a page that has not come yet
    viewer.show(listing.tile(key) ?? { key });
  }

  function tileOf(key) {
    return main.querySelector(`[data-id="${CSS.escape(key)}"]`);
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, select");
    if (event.key === "/" && !typing) return event.preventDefault(), by("words").select();
    if (typing) return;
    if (event.key === "s") toggleSteps();
    if (event.key === "g") grid.toggle();
    if (event.key === "l") plots.toggle();
    if (event.key === "Escape") plots.undo();
    if (event.key === "c" && here()) choose(here());
    if (event.key === "C") showComparison();
    if (steps.active && (event.key === "," || event.key === ".")) steps.step(event.key === "." ? 1 : -1);
    if (event.key.startsWith("Arrow")) move(event);
  }

  // Shows what was published or marked meanwhile; the place on the page stays.
  async function lookAgain() {
    if (document.hidden) return;
    await marks.load().then(() => main.querySelectorAll(".tile").forEach((tile) => remark(tile.dataset.id))).catch(() => {});
    const now = await ask(`${address}/state`).catch(() => state);
    if (now === state) return;
    const top = scrollY, seen = document.activeElement?.dataset.id;
    await draw(pages?.range ?? [0, 1]);
    state = now;
    filters.offer(listing.head?.swept ?? []);
    showFacets();
    scrollTo(0, top);
    tileOf(seen ?? "")?.focus({ preventScroll: true });
  }
}

// The bar: what is looked for, in which order. All of it stands in the address, to be passed on.

import { counted, element } from "./dom.js";
import { FILTERS, isReviewed } from "./marks.js";

const by = (id) => document.getElementById(id);
const CHOICES = ["sort", "group", "stack", "marks", "by"];

/** The fields of the bar. `changed()` is called when one of them was; `views` are grid and plots, each with an address of its own. */
export function makeFilters(head, marks, views, changed) {
  const main = by("wall"), engines = new Set(new URLSearchParams(location.search).getAll("engine")), { grid } = views;
  let choices = new Set();
  offer(head.swept);
  by("sort").append(...head.scores.filter((name) => ![...by("sort").options].some(({ value }) => value === name)).map((name) => new Option(name, name)));
  drawPeople();
  read();
  drawEngines();
  by("filters").hidden = false;
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("filters").addEventListener("search", changed); // Esc and × in the box
  by("words").addEventListener("input", later(changed, 120));
  for (const id of CHOICES) by(id).addEventListener("change", changed);
  by("size").addEventListener("input", () => main.style.setProperty("--side", `${by("size").value}px`));
  by("size").addEventListener("change", write);
  return { question, exported, write, clear, offer, drawPeople, get plain() { return !this.any && !by("stack").value && !by("group").value && by("sort").value === "best"; }, get any() { return Boolean(by("words").value || by("marks").value || engines.size); }, get group() { return by("group").value; } };

  /** What the server is asked. */
  function question() {
    return { q: by("words").value, engine: [...engines], sort: by("sort").value, group: grid.active ? "" : by("group").value, ...(grid.active ? {} : stacked()), ...marked() };
  }

  function stacked() {
    const how = by("stack").value;
    return how === "seeds" ? { stacked: true } : how ? { similarity: Number(how) } : {};
  }

  function marked() {
    const name = by("marks").value, whose = by("by").value || marks.me, people = whose === "*" ? marks.people() : [whose];
    if (!name) return {};
    if (name === "suggested") return { suggested: true };
    if (name === "unreviewed") return { without: marks.where(people, isReviewed), suggested_first: true };
    return { only: marks.where(people, FILTERS[name]) };
  }

  /** The same as `dreamsweep export` names it. */
  function exported() {
    const filter = by("marks").value && { marks: by("marks").value, by: by("by").value || marks.me };
    return { q: by("words").value, engine: [...engines], ...filter };
  }

  function clear() {
    by("words").value = by("marks").value = "";
    engines.clear();
    drawEngines();
    changed();
  }

  /** Offers further settings to sort and group by. */
  function offer(names) {
    for (const name of names.filter((name) => !choices.has(name))) for (const id of ["sort", "group"]) by(id).append(new Option(name, name));
    choices = choices.union(new Set(names));
  }

  function drawEngines() {
    const toggle = (name) => (event) => {
      engines.has(name) ? engines.delete(name) : engines.add(name);
      event.target.setAttribute("aria-pressed", engines.has(name));
      changed();
    };
    if (head.engines.length > 1) by("engines").replaceChildren(...head.engines.map((name) => element("button", { type: "button", "aria-pressed": String(engines.has(name)), onclick: toggle(name) }, name)));
  }

  function drawPeople() {
    const chosen = by("by").value, others = marks.people().filter((person) => person && person !== marks.me), { agreement } = marks;
    by("by").replaceChildren(new Option("me", ""), new Option("anybody", "*"), ...others.map((person) => new Option(person, person)));
    choose("by", chosen, "");
    by("reviewer").textContent = marks.me ? `as ${marks.me}` : "your name…";
    by("agreement").textContent = typeof agreement?.kappa === "number" ? `agreement κ ${agreement.kappa.toFixed(2)}` : "";
    by("agreement").title = agreement ? `${agreement.method}’s kappa of ${agreement.reviewers.join(", ")} on ${counted(agreement.pictures, "picture")}: ${agreement.kappa === null ? "says nothing yet" : agreement.kappa.toFixed(2)}` : "";
  }

  function choose(id, value, otherwise) {
    by(id).value = [...by(id).options].some((option) => option.value === value) ? value : otherwise;
  }

  function read() {
    const parameters = new URLSearchParams(location.search), cosine = parameters.get("stack");
    if (cosine > 0 && cosine <= 1 && cosine !== "0.99") by("stack").append(new Option(`cosine ${cosine}`, cosine)); // named in the address alone
    by("words").value = parameters.get("q") ?? "";
    for (const id of CHOICES) choose(id, parameters.get(id), id === "sort" ? "best" : "");
    for (const [name, view] of Object.entries(views)) view.address = parameters.get(name) ?? "";
    by("size").value = parameters.get("size") ?? by("size").defaultValue;
    main.style.setProperty("--side", `${by("size").value}px`);
  }

  function write() {
    const parameters = new URLSearchParams();
    if (by("words").value) parameters.set("q", by("words").value);
    for (const name of engines) parameters.append("engine", name);
    for (const id of CHOICES) if (by(id).value && by(id).value !== "best") parameters.set(id, by(id).value);
    for (const [name, view] of Object.entries(views)) if (view.address) parameters.set(name, view.address);
    if (by("size").value !== by("size").defaultValue) parameters.set("size", by("size").value);
    history.replaceState(history.state, "", `${location.pathname}${parameters.size ? `?${parameters}` : ""}${location.hash}`);
  }
}

function later(call, milliseconds) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(call, milliseconds);
  };
}

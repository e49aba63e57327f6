// Marks that people leave: those of everybody, one's own on top, and what is still on its way to the store.
//
// A mark counts on the page at once. Until the server has it, it lies in this browser's storage and is sent again, under the same id,
// so that neither a closed tab nor a stopped server loses or doubles it. There each has an entry of its own: tabs write none of another's.

import { ask, send } from "./dom.js";

const NOBODY = () => ({ pick: 0, stars: 0, tags: new Set(), note: "" });
const RETRY = 4_000; // milliseconds

/** The marks of a sweep. `changed(trial)` is called when those of a trial did, `said(sentence)` with what people should know. */
export async function loadMarks(sweep, changed, said) {
  const address = `/api/sweeps/${encodeURIComponent(sweep)}/marks`;
  const kept = { waiting: `dreamsweep mark ${sweep}/`, undo: `dreamsweep undo ${sweep}`, name: "dreamsweep reviewer" };
  let byPerson = new Map(), agreement = null, writable = true, sending = false;
  const undo = JSON.parse(sessionStorage.getItem(kept.undo) ?? "[]");
  await load();
  deliver();
  return {
    load, mark, undone, of, people,
    get me() { return localStorage.getItem(kept.name) ?? ""; },
    set me(name) { localStorage.setItem(kept.name, name); },
    get agreement() { return agreement; },
    get writable() { return writable; },
  };

  async function load() {
    const answer = await ask(address);
    ({ agreement, writable } = answer);
    byPerson = new Map();
    for (const { trial, by, kind, value, text } of answer.marks) apply(by ?? "", trial, kind, value, text);
    for (const { trial, by, kind, value, text } of waiting()) apply(by, trial, kind, value, text);
  }

  /** What a person left on a trial. */
  function of(trial, person) {
    return byPerson.get(person)?.get(trial) ?? NOBODY();
  }

  function people() {
    return [...byPerson.keys()].sort();
  }

  /** Leaves a mark in one's own name; it can be undone. */
  function mark(trial, kind, value, text = null) {
    const person = localStorage.getItem(kept.name), before = of(trial, person);
    const old = { pick: [before.pick], stars: [before.stars], tag: [Number(before.tags.has(text)), text], note: [1, before.note] }[kind];
    undo.push({ trial, kind, value: old[0], text: old[1] ?? null });
    put(trial, kind, value, text);
  }

  /** Takes the last mark back; returns its trial. */
  function undone() {
    const last = undo.pop();
    if (last) put(last.trial, last.kind, last.value, last.text);
    return last?.trial;
  }

  function put(trial, kind, value, text) {
    const by = localStorage.getItem(kept.name);
    apply(by, trial, kind, value, text);
    sessionStorage.setItem(kept.undo, JSON.stringify(undo));
    const id = newId();
    localStorage.setItem(kept.waiting + id, JSON.stringify({ id, trial, kind, value, text, by }));
    changed(trial);
    deliver();
  }

  function apply(person, trial, kind, value, text) {
    if (!byPerson.has(person)) byPerson.set(person, new Map());
    const marks = byPerson.get(person).get(trial) ?? NOBODY();
    byPerson.get(person).set(trial, marks);
    if (kind === "tag") value ? marks.tags.add(text) : marks.tags.delete(text);
    else if (kind === "note") marks.note = text;
    else marks[kind] = value;
  }

  // One after the other, in the order in which they were left; one tab of a browser at a time.
  async function deliver() {
    if (sending || !waiting().length) return;
    sending = true;
    await (navigator.locks?.request(kept.waiting, deliverAll) ?? deliverAll());
    sending = false;
    if (waiting().length) setTimeout(deliver, RETRY);
  }

  async function deliverAll() {
    for (let next = waiting()[0]; next; next = waiting()[0]) {
      const { refused, failed } = await send(address, next);
      if (failed) return said(`${waiting().length} of your marks wait for the server; they are kept in this browser. ${failed}`);
      if (refused) said(`A mark was refused: ${refused}`);
      localStorage.removeItem(kept.waiting + next.id);
    }
    said("");
  }

  // In the order in which they were left.
  function waiting() {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(kept.waiting)).sort();
    return names.map((name) => JSON.parse(localStorage.getItem(name))).filter(Boolean); // another tab may have sent one meanwhile
  }
}

let microseconds = 0; // of the last id: no two of a tab have the same time

function newId() {
  microseconds = Math.max(microseconds + 1, Date.now() * 1_000);
  const digits = new Date(Math.floor(microseconds / 1_000)).toISOString().replace(/\D/g, ""); // to the millisecond
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  return `${digits.slice(0, 8)}T${digits.slice(8)}${String(microseconds % 1_000).padStart(3, "0")}-${random.toString(16).padStart(8, "0")}`;
}

/** Filters by marks, by what stands in the address. `marks` are one person's, `others` those of all. */
export const FILTERS = {
  unreviewed: (marks) => !isReviewed(marks),
  picked: (marks) => marks.pick > 0,
  rejected: (marks) => marks.pick < 0,
  ...Object.fromEntries([1, 2, 3, 4, 5].map((least) => [`stars${least}`, (marks) => marks.stars >= least])),
  tagged: (marks) => marks.tags.size > 0,
  noted: (marks) => Boolean(marks.note),
  suggested: (marks, tile) => isSuggested(tile),
};

export const isReviewed = (marks) => marks.pick !== 0 || marks.stars > 0;

/** The upper third of a prompt's trials, by its judges: the page offers them first. */
export const isSuggested = ({ rank, rivals }) => rivals > 2 && rank !== null && rank <= Math.ceil(rivals / 3);

/** What a tile says of someone's marks, in a few signs. */
export function signs({ pick, stars, tags, note }) {
  return [pick > 0 ? "✓" : pick < 0 ? "✕" : "", "★".repeat(stars), ...[...tags].map((tag) => `#${tag}`), note && "✎"].filter(Boolean).join(" ");
}

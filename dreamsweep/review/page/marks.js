// Marks that people leave: those of everybody, one's own on top, and what is still on its way to the store.

import { ask } from "./dom.js";
import { makeOutbox } from "./outbox.js";

const NOBODY = () => ({ pick: 0, stars: 0, tags: new Set(), note: "" });

/** The marks of sweeps, at first those that the promise `first` brings. `changed(key)` is called when those of a trial did, `said(sentence)` with what people should know. */
export async function loadMarks(address, sweeps, trials, first, changed, said) {
  const kept = { undo: `dreamsweep undo ${sweeps.join(",")}`, name: "dreamsweep reviewer" };
  const outboxes = new Map(sweeps.map((sweep) => [sweep, makeOutbox(`/api/sweeps/${encodeURIComponent(sweep)}/marks`, `dreamsweep mark ${sweep}/`, "marks", said)]));
  let byPerson = new Map(), agreement = null, writable = true;
  const undo = JSON.parse(sessionStorage.getItem(kept.undo) ?? "[]");
  take(await first);
  outboxes.forEach((outbox) => outbox.deliver());
  return {
    load, mark, undone, of, people, where,
    get me() { return localStorage.getItem(kept.name) ?? ""; },
    set me(name) { localStorage.setItem(kept.name, name); },
    get agreement() { return agreement; },
    get writable() { return writable; },
  };

  async function load() {
    take(await ask(`${address}/marks`));
  }

  function take(answer) {
    ({ agreement, writable } = answer);
    byPerson = new Map();
    for (const { sweep, trial, by, kind, value, text } of answer.marks) apply(by ?? "", trials.keyOf(sweep, trial), kind, value, text);
    for (const [sweep, outbox] of outboxes) for (const { trial, by, kind, value, text } of outbox.waiting()) apply(by, trials.keyOf(sweep, trial), kind, value, text);
  }

  /** What a person left on a trial. */
  function of(trial, person) {
    return byPerson.get(person)?.get(trial) ?? NOBODY();
  }

  function people() {
    return [...byPerson.keys()].sort();
  }

  /** Keys of the trials on which one of these people left marks that fit. */
  function where(some, fits) {
    return [...new Set(some.flatMap((person) => [...(byPerson.get(person) ?? [])].filter(([, marks]) => fits(marks)).map(([key]) => key)))];
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
    outboxes.get(trials.sweepOf(trial)).put({ trial: trials.idOf(trial), kind, value, text, by });
    changed(trial);
  }

  function apply(person, trial, kind, value, text) {
    if (!byPerson.has(person)) byPerson.set(person, new Map());
    const marks = byPerson.get(person).get(trial) ?? NOBODY();
    byPerson.get(person).set(trial, marks);
    if (kind === "tag") value ? marks.tags.add(text) : marks.tags.delete(text);
    else if (kind === "note") marks.note = text;
    else marks[kind] = value;
  }
}

/** Filters by one person's marks, by what stands in the address. */
export const FILTERS = {
  picked: (marks) => marks.pick > 0,
  rejected: (marks) => marks.pick < 0,
  ...Object.fromEntries([1, 2, 3, 4, 5].map((least) => [`stars${least}`, (marks) => marks.stars >= least])),
  tagged: (marks) => marks.tags.size > 0,
  noted: (marks) => Boolean(marks.note),
};

export const isReviewed = (marks) => marks.pick !== 0 || marks.stars > 0;

/** The upper third of a prompt's trials, by its judges: the page offers them first. */
export const isSuggested = ({ rank, rivals }) => rivals > 2 && rank !== null && rank <= Math.ceil(rivals / 3);

/** What a tile says of someone's marks, in a few signs. */
export function signs({ pick, stars, tags, note }) {
  return [pick > 0 ? "✓" : pick < 0 ? "✕" : "", "★".repeat(stars), ...[...tags].map((tag) => `#${tag}`), note && "✎"].filter(Boolean).join(" ");
}

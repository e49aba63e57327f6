// What people leave and the server does not have yet. It lies in this browser's storage and is sent again, under the same id, so that
// neither a closed tab nor a stopped server loses or doubles it. There each has an entry of its own: tabs write none of another's.

import { send } from "./dom.js";

const RETRY = 4_000; // milliseconds

/** Sends to an address; what waits has names in the storage that start with `prefix`. `said(sentence)` is called with what people should know. */
export function makeOutbox(address, prefix, noun, said) {
  let sending = false;
  return { put, waiting, deliver };

  function put(content) {
    const id = newId();
    localStorage.setItem(prefix + id, JSON.stringify({ id, ...content }));
    deliver();
  }

  /** Sends what waits, one after the other, in the order in which it was left; one tab of a browser at a time. */
  async function deliver() {
    if (sending || !waiting().length) return;
    sending = true;
    await (navigator.locks?.request(prefix, deliverAll) ?? deliverAll());
    sending = false;
    if (waiting().length) setTimeout(deliver, RETRY);
  }

  async function deliverAll() {
    for (let next = waiting()[0]; next; next = waiting()[0]) {
      const { refused, failed } = await send(address, next);
      if (failed) return said(`${waiting().length} of your ${noun} wait for the server; they are kept in this browser. ${failed}`);
      if (refused) said(`One of your ${noun} was refused: ${refused}`);
      localStorage.removeItem(prefix + next.id);
    }
    said("");
  }

  /** What has not been sent, in the order in which it was left. */
  function waiting() {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(prefix)).sort();
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

// Blind duels: two pictures of one prompt side by side and of one size, without a word on how they came about, and which is better. The server
// chooses the pairs that tell most; what the duels say stands in the ranking.

import { ask, counted, element, pictured } from "./dom.js";
import { makeOutbox } from "./outbox.js";
import { drawRanking } from "./ranking.js";

const FEW = 4; // pairs left, at which more are asked for
const RESULTS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" };

/** The dialog of the duels of a sweep; where nobody may write, it shows the ranking alone. `among()` gives the ids of the trials that may meet,
 * null for all; `person()` asks for one's name where it is not known; `closed()` is called when the dialog has gone. */
export function makeDuels(sweep, { writable, among, person, closed }) {
  const dialog = document.getElementById("duels"), kept = `dreamsweep duels ${sweep}`;
  const address = `/api/sweeps/${encodeURIComponent(sweep)}/duels`;
  const outbox = makeOutbox(address, `dreamsweep duel ${sweep}/`, "duels", said);
  let pairs = [], pair, me, asking, ended = false, judged = JSON.parse(sessionStorage.getItem(kept) ?? "[]");
  if (writable) outbox.deliver();
  dialog.addEventListener("close", closed);
  document.addEventListener("keydown", (event) => dialog.open && typed(event));
  return { open, close: () => dialog.open && dialog.close() };

  async function open() {
    me = writable ? await person() : "";
    if (writable && !me) return closed();
    [pairs, pair, ended] = [[], undefined, false];
    draw();
    if (!dialog.open) dialog.showModal();
    if (!writable) return ranking();
    await more();
    next();
  }

  function draw() {
    const picture = (side) => element("button", { type: "button", class: "side", "data-side": side, "aria-label": `The ${side} picture is better`, onclick: () => judge(side) });
    const button = (key, what, act) => element("button", { type: "button", onclick: act }, element("kbd", {}, key), ` ${what}`);
    dialog.replaceChildren(
      element("header", {}, element("h2", { dir: "auto" }), element("output"), element("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "×")),
      element("div", { class: "sides" }, picture("left"), picture("right")),
      element("p", { class: "said", role: "status" }),
      element(
        "footer", {},
        element("span", { class: "choices" }, button("←", "left is better", () => judge("left")), button("→", "right is better", () => judge("right"))),
        button("↓", "tie", () => judge("tie")), button("Z", "undo", undo), button("R", "ranking", ranking),
      ),
    );
  }

  // Asks for pairs that tell most, once at a time; those that were judged meanwhile are left out.
  function more() {
    return (asking ??= (async () => {
      const ids = await among().catch(() => null), parameters = new URLSearchParams({ by: me });
      if (ids) parameters.set("among", ids.join(","));
      try {
        const known = new Set([pair, ...pairs, ...judged].filter(Boolean).map(named));
        const fresh = (await ask(`${address}/next?${parameters}`)).filter((each) => !known.has(named(each)));
        ended = fresh.length === 0;
        pairs.push(...fresh);
      } catch (error) {
        said(error.message);
      }
      asking = undefined;
    })());
  }

  async function next() {
    pair = pairs.shift();
    if (!pair && !ended) await more();
    pair ??= pairs.shift();
    if (pairs.length < FEW && !ended) more();
    show();
  }

  function show() {
    dialog.querySelector(".sides").hidden = !pair;
    dialog.querySelector("h2").textContent = pair?.prompt ?? (ended ? "You have judged every pair there is." : "");
    dialog.querySelector("output").textContent = judged.length ? counted(judged.length, "duel") : "";
    if (!pair) return;
    for (const side of ["left", "right"]) {
      const picture = pictured({ src: `/pictures/${sweep}/${pair[side]}/best.png`, alt: `${side} picture` });
      dialog.querySelector(`[data-side=${side}]`).replaceChildren(picture);
      if (pairs[0]) new Image().src = `/pictures/${sweep}/${pairs[0][side]}/best.png`; // the next one, ahead
    }
  }

  function judge(winner) {
    if (!pair || dialog.querySelector(".ranking")) return;
    remember([...judged, pair]);
    outbox.put({ left: pair.left, right: pair.right, winner, by: me });
    next();
  }

  // Takes the last duel back, and shows its pair again.
  function undo() {
    const last = judged.at(-1);
    if (!last || dialog.querySelector(".ranking")) return;
    remember(judged.slice(0, -1));
    outbox.put({ left: last.left, right: last.right, winner: "none", by: me });
    if (pair) pairs.unshift(pair);
    pair = last;
    show();
  }

  function remember(now) {
    judged = now;
    sessionStorage.setItem(kept, JSON.stringify(judged));
  }

  async function ranking() {
    if (dialog.querySelector(".ranking")) return writable && (draw(), show());
    const drawing = element("div", { class: "ranking" });
    dialog.querySelector(".sides").replaceWith(drawing);
    dialog.querySelector("h2").textContent = "What the duels say";
    dialog.querySelector("footer").replaceChildren(writable ? element("button", { type: "button", onclick: ranking }, element("kbd", {}, "R"), " back to the duels") : "");
    await drawRanking(drawing, address, sweep, me, (id) => (dialog.close(), (location.hash = id)));
  }

  function said(sentence) {
    const line = dialog.querySelector(".said");
    if (line) line.textContent = sentence;
  }

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.matches("select, input")) return;
    const act = RESULTS[event.key] ? () => judge(RESULTS[event.key]) : { z: undo, r: ranking }[event.key.toLowerCase()];
    if (act) event.preventDefault(), act();
  }
}

const named = ({ left, right }) => [left, right].sort().join(" ");

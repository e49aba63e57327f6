// One trial on the wall: its picture, what people and judges say of it, and how it came about.

import { element, mark, pictured } from "./dom.js";
import { isReviewed, isSuggested, signs } from "./marks.js";

/** Draws tiles. `opened(tile)` is called when one is chosen, `chosen` are the keys of those to be compared. */
export function makeTiles(trials, marks, chosen, opened) {
  return { tileFor, signsOf };

  /** A tile in a group of trials, by what they are grouped. */
  function tileFor(tile, group) {
    const picture = tile.pictured
      ? pictured({ src: trials.thumbnail(tile.key), alt: tile.prompt.slice(0, 300), loading: "lazy", decoding: "async", fetchpriority: "low" })
      : element("span", { class: "missing" }, tile.status);
    const walk = (first) => [first, ...tile.to].join(" → ").slice(0, 300);
    const [what, more] = group === "prompt" ? [walk(tile.label), ""] : [walk(tile.prompt), tile.key === tile.id ? tile.label : `${tile.label} · ${tile.sweep}`];
    return element(
      "button", { class: "tile", type: "button", "data-id": tile.key, "data-iterations": tile.iterations, title: [tile.prompt.slice(0, 300), tile.label, tile.key === tile.id ? "" : tile.sweep, ranked(tile)].filter(Boolean).join("\n"), onclick: () => opened(tile) },
      element("span", { class: "picture", "data-compared": chosen.includes(tile.key) }, picture, element("span", { class: "signs" }, ...signsOf(tile)), tile.stack > 1 ? element("span", { class: "stack", title: tile.duplicates.length ? "near-duplicates" : "trials that differ by seed alone" }, `×${tile.stack.toLocaleString("en")}`) : null),
      element("span", { class: "line" }, element("b", {}, tile.rivals > 1 ? `#${tile.rank}` : mark(tile.judge)), tile.status === "done" ? null : element("i", {}, tile.status), element("bdi", {}, what)),
      more && element("span", { class: "line more" }, more),
    );
  }

  /** One's own marks, how many others picked or rejected it, and what the judges would pick. */
  function signsOf(tile) {
    const mine = marks.of(tile.key, marks.me), others = marks.people().filter((person) => person !== marks.me).map((person) => marks.of(tile.key, person));
    const [picks, rejections] = [others.filter(({ pick }) => pick > 0).length, others.filter(({ pick }) => pick < 0).length];
    const theirs = [picks && `${picks} ✓`, rejections && `${rejections} ✕`].filter(Boolean).join(" ");
    return [
      signs(mine) && element("b", { class: mine.pick < 0 ? "rejected" : "mine", dir: "auto" }, signs(mine)),
      theirs && element("i", { title: "others" }, theirs),
      isSuggested(tile) && !isReviewed(mine) && marks.writable && element("small", { title: "among the upper third of this prompt, by its judges" }, "judges suggest"),
    ].filter(Boolean);
  }

  function ranked({ rank, rivals, judge, ranked_by }) {
    return rank && `judge ${mark(judge)}, ${rivals > 1 ? `rank ${rank} of ${rivals} of this prompt by ${ranked_by}` : "the only trial of this prompt"}`;
  }
}

/** Arrows go from tile to tile, rows as they lie. */
export function move(event) {
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

// The pages of a listing on the wall: more follow below and above as the page is scrolled.

import { counted, element } from "./dom.js";

const AHEAD = "1500px"; // of the window

/** Draws a listing into `main`, its tiles by `drawTile(tile)` under headings by `titleOf(tile)`, from the page that came first. */
export function makePages(main, listing, drawTile, titleOf, failed) {
  let low = listing.first, high = listing.first, busy = Promise.resolve();
  const ends = [element("div", { class: "end" }), element("div", { class: "end" })];
  const observer = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => isIntersecting && extend(target === ends[0] ? -1 : 1)), { rootMargin: AHEAD });
  main.style.overflowAnchor = "none"; // the place is held below
  return { start, go, close: () => observer.disconnect(), get range() { return [low, high]; } };

  /** Shows the pages from `from` up to `to`. */
  async function start(from = listing.first, to = from + 1) {
    const all = await Promise.all(Array.from({ length: Math.max(1, Math.min(to, listing.last) - from) }, (_, n) => listing.page(from + n)));
    [low, high] = [from, from + all.length];
    main.replaceChildren(...ends);
    all.forEach(append);
    ends.forEach((end) => observer.observe(end));
  }

  /** Shows a page: the next one joins those that are shown, of others it is the first. */
  async function go(number) {
    await busy;
    if (number >= low && number < high) return;
    await (number === high ? extend(1) : number === low - 1 ? extend(-1) : start(number));
  }

  function extend(step) {
    return (busy = busy.then(async () => {
      const number = step < 0 ? low - 1 : high, end = ends[step < 0 ? 0 : 1];
      if (number < 0 || number >= listing.last) return observer.unobserve(end);
      const tiles = await listing.page(number);
      if (!end.isConnected) return; // another wall is shown by now
      if (step > 0) append(tiles), (high += 1);
      else {
        const before = document.documentElement.scrollHeight;
        prepend(tiles);
        low -= 1;
        scrollBy(0, document.documentElement.scrollHeight - before);
      }
      observer.unobserve(end);
      observer.observe(end); // asks again where it is still in sight
    }).catch(failed));
  }

  function append(tiles) {
    let section = ends[1].previousElementSibling;
    for (const tile of tiles) {
      if (section?.group !== tile.group) ends[1].before(...heading(tile), (section = sectionOf(tile)));
      section.append(drawTile(tile));
    }
  }

  function prepend(tiles) {
    let section = main.querySelector("section");
    for (const tile of tiles.toReversed()) {
      if (section.group !== tile.group) ends[0].after(...heading(tile), (section = sectionOf(tile)));
      section.prepend(drawTile(tile));
    }
  }

  function sectionOf(tile) {
    return Object.assign(element("section", { class: "tiles" }), { group: tile.group });
  }

  function heading(tile) {
    if (tile.group === null) return [];
    return [element("h2", {}, element("bdi", {}, titleOf(tile)), element("small", {}, ` ${counted(tile.grouped, listing.head.stacks ? "stack" : "trial")}`))];
  }
}

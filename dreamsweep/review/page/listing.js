// Which trials a wall shows, in their order. The server answers a page at a time; pages that came are kept.

import { post } from "./dom.js";

export const PAGE = 120; // tiles

/** Asks a question of the server; `at` is the key of a trial whose page is wanted first. `stale()` is called when a later page is of another
 * state of the sweeps than the first. */
export async function openListing(address, question, { at = null, offset = 0 } = {}, stale = () => {}) {
  const pages = new Map(), tiles = new Map(), places = new Map();
  let head = null;
  head = await load({ at, offset });
  return { head, first: head.offset / PAGE, last: Math.ceil(head.matched / PAGE), page, find, neighbour, tile: (key) => tiles.get(key), has: (key, step) => places.has(key) && inside(places.get(key) + step) };

  async function load(more) {
    const answer = await post(`${address}/wall`, { ...question, ...more, limit: PAGE });
    for (const [n, tile] of answer.tiles.entries()) tiles.set(tile.key, tile), places.set(tile.key, answer.offset + n);
    pages.set(answer.offset / PAGE, answer.tiles);
    if (head && answer.state !== head.state) stale();
    return answer;
  }

  /** The tiles of a page, counted from 0. */
  async function page(number) {
    return pages.get(number) ?? (await load({ offset: number * PAGE })).tiles;
  }

  /** The number of the page that a trial stands on; undefined where the question does not select it. */
  async function find(key) {
    if (!places.has(key)) await load({ at: key });
    return places.has(key) ? Math.floor(places.get(key) / PAGE) : undefined;
  }

  /** The trial so many places after this one, or before it. */
  async function neighbour(key, step) {
    const place = places.get(key) + step;
    return inside(place) ? (await page(Math.floor(place / PAGE)))[place % PAGE] : undefined;
  }

  function inside(place) {
    return place >= 0 && place < head.matched;
  }
}

/** The same for tiles that are all here. */
export function listingOf(all) {
  const at = (key, step) => all[all.findIndex((tile) => tile.key === key) + step];
  return { tile: (key) => at(key, 0), has: (key, step) => Boolean(at(key, step)), neighbour: async (key, step) => at(key, step), find: async (key) => (at(key, 0) ? 0 : undefined) };
}

// In which order trials stand, and by which of their fields people search.

export const ORDERS = {
  best: (a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity) || (b.z_score ?? -99) - (a.z_score ?? -99) || ORDERS.judge(a, b), // scores of several prompts cannot be compared
  judge: (a, b) => (b.judge ?? -2) - (a.judge ?? -2),
  guide: (a, b) => (b.guide ?? -2) - (a.guide ?? -2),
  prompt: (a, b) => collator.compare(a.prompt, b.prompt) || ORDERS.best(a, b),
  seed: (a, b) => a.seed - b.seed || ORDERS.best(a, b),
};

/** Fields of a tile, by which people search as by settings. */
export const FIELDS = ["seed", "engine", "prompt", "status", "judge", "guide", "rank", "z_score"];

const collator = new Intl.Collator(undefined, { numeric: true });
/** Compares numbers as numbers, and texts as a person would: `thing 9` before `thing 10`. */
export const natural = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : !Number.isNaN(Number(a)) && !Number.isNaN(Number(b)) ? Number(a) - Number(b) : collator.compare(a ?? "", b ?? ""));

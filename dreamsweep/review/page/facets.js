// Values of the settings that the sweeps vary, to search by with a click: each fills in what one would type.

import { element } from "./dom.js";

/** Fills `place` with settings, their values and how many trials have each. `words` is the search box; `changed()` is called after a click. */
export function drawFacets(place, facets, words, changed) {
  place.querySelector("dl").replaceChildren(...facets.flatMap(({ name, values, more }) => (
    [element("dt", {}, name), element("dd", {}, ...values.map(([value, count]) => facet(name, value, count)), more ? ` and ${more.toLocaleString("en")} more` : "")]
  )));

  function facet(name, value, count) {
    const click = () => ((words.value = toggled(words.value, name, value)), changed(), drawFacets(place, facets, words, changed));
    return element("button", { type: "button", "aria-pressed": String(holds(words.value, name, value)), onclick: click }, value, element("small", {}, ` ${count.toLocaleString("en")}`));
  }
}

const quoted = (name, value) => `"${name} ${value}"`;
const termOf = (text, name) => text.split(/\s+/).find((word) => word.startsWith(`${name}:`));

function holds(text, name, value) {
  return /\s/.test(value) ? text.includes(quoted(name, value)) : Boolean(termOf(text, name)?.slice(name.length + 1).split("|").includes(value));
}

// What is searched with this value added, or taken away where it is there: `seed:1|2`, `"optimizer sgd 15"`.
function toggled(text, name, value) {
  const squeezed = (words) => words.replace(/\s+/g, " ").trim();
  if (/\s/.test(value)) return squeezed(holds(text, name, value) ? text.replace(quoted(name, value), "") : `${text} ${quoted(name, value)}`);
  const term = termOf(text, name);
  if (!term) return squeezed(`${text} ${name}:${value}`);
  const before = term.slice(name.length + 1).split("|"), after = before.includes(value) ? before.filter((each) => each !== value) : [...before, value];
  return squeezed(text.split(/\s+/).map((word) => (word !== term ? word : after.length ? `${name}:${after.join("|")}` : "")).join(" "));
}

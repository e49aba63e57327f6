// Values of the settings that the sweeps vary, to search by with a click: each fills in what one would type.

import { element } from "./dom.js";
import { holds, toggled } from "./terms.js";

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

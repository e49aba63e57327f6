// Takes away what the filters show: downloads, and a sweep of more of the kind. The server selects by the same filters.

import { ask, counted, element, post } from "./dom.js";

const WAYS = { "more-seeds": "more seeds of these", "new-prompts": "these settings with other prompts", "from-pictures": "on from these pictures" };

/** `filters()` are those of the page, as its address has them; `shown()` is how many trials they show. */
export function makeTakeaway(names, filters, shown) {
  const dialog = document.getElementById("takeaway"), address = `/api/sweeps/${encodeURIComponent(names)}`;
  return { open };

  async function open() {
    const said = element("p", { role: "status" });
    dialog.replaceChildren(said);
    dialog.showModal();
    const offers = await ask(`${address}/export`).catch((error) => void (said.textContent = error.message));
    if (!offers) return;
    const best = element("input", { type: "checkbox", onchange: () => draw() }), downloads = element("ul", { class: "downloads" });
    const close = element("button", { type: "button", onclick: () => dialog.close() }, "Close");
    dialog.replaceChildren(
      element("h2", {}, shown() === null ? "Take away every trial of the stacks" : `Take away ${counted(shown(), "trial")}`),
      element("p", {}, "What the filters show. ", element("label", {}, best, " of each prompt the best alone")),
      downloads,
      element("h2", {}, "Make a sweep"),
      newSweep(offers, () => chosen(best.checked), said),
      said, close,
    );
    draw();
    close.focus();

    function draw() {
      downloads.replaceChildren(...Object.entries(offers.formats).map(([name, title]) => element("li", {}, element("a", { href: `${address}/export/${name}?${parameters(best.checked)}`, download: "" }, title))));
    }
  }

  function chosen(best) {
    return { ...filters(), ...(best ? { best: 1 } : {}) };
  }

  function parameters(best) {
    return new URLSearchParams(Object.entries(chosen(best)).flatMap(([name, value]) => [value].flat().map((each) => [name, each])));
  }

  function newSweep({ ways, submits }, filters, said) {
    const way = element("select", { "aria-label": "Kind of sweep", onchange: shape }, ...ways.map((name) => new Option(WAYS[name] ?? name, name)));
    const prompts = element("textarea", { rows: 3, placeholder: "prompts, one a line", "aria-label": "Prompts, one a line" });
    const seeds = element("input", { type: "number", min: 1, max: 10_000, value: 4, "aria-label": "Seeds" });
    const form = element(
      "form", { onsubmit: (event) => (event.preventDefault(), make(false)) }, way, prompts, element("label", {}, seeds, " seeds"),
      element("button", { type: "submit" }, "Sweep file"),
      submits ? element("button", { type: "button", onclick: () => make(true) }, "Start it now") : null,
    );
    shape();
    return form;

    function shape() {
      prompts.hidden = way.value === "more-seeds";
    }

    async function make(submit) {
      said.textContent = "…";
      const wanted = { filters: filters(), way: way.value, prompts: way.value === "more-seeds" ? [] : prompts.value.split("\n").map((line) => line.trim()).filter(Boolean), seeds: Number(seeds.value) || null, submit };
      try {
        const made = await post(`${address}/new-sweep`, wanted);
        said.replaceChildren(`${made.name}: ${counted(made.trials, "trial")}. `, submit ? started(made.address) : file(made));
      } catch (error) {
        said.textContent = error.message;
      }
    }
  }
}

function started(address) {
  return /^https?:/.test(address) ? element("a", { href: address }, "Watch it") : `It is started: ${address}`;
}

function file({ name, text }) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "application/yaml" })), download: `${name}.yaml` }, `Save ${name}.yaml`);
  return element("span", {}, link, element("code", { class: "command" }, `dreamsweep run ${name}.yaml`), element("details", {}, element("summary", {}, "what it says"), element("pre", { dir: "auto" }, text)));
}

// What duels say: the pictures of each prompt by their strength, and how often each judge agrees with the people.

import { ask, counted, drawn, element, pictured, thumbnail } from "./dom.js";

const WIDTH = 240, HEIGHT = 18;
const percent = (share) => `${Math.round(share * 100)} %`;
const chance = (logOdds) => 1 / (1 + Math.exp(-logOdds)); // to beat an average picture of the prompt

/** Fills `place` with the ranking by one person, or by everybody where `me` is empty. `opened(id)` is called when someone chooses a picture. */
export async function drawRanking(place, address, sweep, me, opened) {
  let everybody = !me;
  const whose = element("select", { "aria-label": "Whose duels", onchange: () => ((everybody = whose.value === "*"), draw()) }, ...(me ? [new Option("mine", "")] : []), new Option("everybody’s", "*"));
  await draw();

  async function draw() {
    let answer;
    try {
      answer = await ask(everybody ? address : `${address}?by=${encodeURIComponent(me)}`);
    } catch (error) {
      return place.replaceChildren(element("p", { class: "message", role: "alert" }, error.message));
    }
    place.replaceChildren(
      element("p", {}, element("label", {}, "duels: ", whose), ` ${counted(answer.duels, "duel")} by ${answer.people.join(", ") || "nobody"}`),
      answer.judges.length ? judges(answer.judges) : "",
      element("p", { class: "legend" }, "Below: each picture’s chance to beat an average one of its prompt, with its 95 % interval."),
      ...answer.rankings.flatMap((ranking) => [element("h3", { dir: "auto" }, ranking.prompt, element("small", {}, ` ${counted(ranking.duels, "duel")}`)), pictures(ranking)]),
    );
    whose.focus();
  }

  function pictures(ranking) {
    const row = ({ trial, duels, strength, low, high }) => {
      const words = `${percent(chance(strength))} (${percent(chance(low))} to ${percent(chance(high))})`;
      const open = element("button", { type: "button", "aria-label": "Open this picture", onclick: () => opened(trial) }, pictured({ src: thumbnail(sweep, trial), alt: "", loading: "lazy" }));
      return element("li", {}, open, interval(chance(strength), chance(low), chance(high)), element("span", {}, words, element("small", {}, counted(duels, "duel"))));
    };
    return element("ol", {}, ...ranking.strengths.map(row));
  }

  function judges(all) {
    const row = ({ judge, duels, share, low, high }) => element("tr", {}, element("th", { scope: "row" }, judge), element("td", {}, interval(share, low, high)), element("td", {}, `${percent(share)} (${percent(low)} to ${percent(high)}) of ${counted(duels, "duel")}`));
    return element("table", {}, element("caption", {}, "How often each judge prefers the same picture, ties left out"), ...all.map(row));
  }
}

// A share from 0 to 1 as a dot, its interval as a line; the middle is marked.
function interval(share, low, high) {
  const x = (value) => 4 + value * (WIDTH - 8);
  return drawn(
    "svg", { class: "interval", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    drawn("line", { class: "half", x1: x(0.5), x2: x(0.5), y1: 0, y2: HEIGHT }),
    drawn("line", { x1: x(low), x2: x(high), y1: HEIGHT / 2, y2: HEIGHT / 2 }),
    drawn("circle", { cx: x(share), cy: HEIGHT / 2, r: 4 }),
  );
}

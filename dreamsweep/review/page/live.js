// Running sweeps: how far they are, how long they still take, what failed. Asked again as long as somebody looks.

import { ask, counted, element } from "./dom.js";

const EVERY = 5_000, IDLE = 30_000; // milliseconds, while shards run and otherwise

/** Shows the status of one sweep, or of all that are under way; `changed(generation)` is called when more of it is published. */
export function watch(sweep, changed = () => {}) {
  const place = document.getElementById("live");
  let generation, waiting;
  document.addEventListener("visibilitychange", look);
  look();

  async function look() {
    clearTimeout(waiting);
    if (document.hidden) return;
    const states = await ask(sweep ? `/api/sweeps/${encodeURIComponent(sweep)}/status` : "/api/status").then((answer) => [answer].flat()).catch(() => []);
    place.replaceChildren(...states.filter((state) => isUnderWay(state) || (sweep && state.failures.length)).map((state) => line(state, !sweep)));
    if (sweep && states.length) {
      if (generation !== undefined && states[0].generation !== generation) changed(states[0].generation);
      generation = states[0].generation;
    }
    waiting = setTimeout(look, states.some(isUnderWay) ? EVERY : IDLE);
  }
}

const isUnderWay = (state) => state.running.length > 0 || state.waiting > 0 || state.given_up > 0;

function line(state, named) {
  const { sweep, done, trials, share, seconds_left, running, silent, waiting, given_up, failures } = state;
  const parts = [
    trials === null ? counted(done, "trial") : `${done.toLocaleString("en")} of ${counted(trials, "trial")} published`,
    running.length ? `${counted(running.length, "shard")} running` : "",
    waiting ? `${waiting.toLocaleString("en")} waiting` : "",
    seconds_left === null ? "" : `about ${duration(seconds_left)} left`,
  ].filter(Boolean);
  const bad = [
    silent ? `${counted(silent, "shard")} silent for minutes: their machine may be gone` : "",
    given_up ? `${counted(given_up, "shard")} given up: run the sweep again` : "",
  ].filter(Boolean);
  return element(
    "div", { class: "status" },
    named ? element("a", { href: `/sweeps/${encodeURIComponent(sweep)}` }, sweep) : null,
    isUnderWay(state) ? element("progress", share === null ? {} : { max: 1, value: share }) : null,
    isUnderWay(state) ? element("span", {}, parts.join(" · ")) : null,
    ...bad.map((text) => element("b", {}, text)),
    failures.length ? trouble(sweep, failures) : null,
  );
}

function trouble(sweep, failures) {
  const trials = failures.reduce((sum, failure) => sum + failure.trials, 0);
  return element(
    "details", {}, element("summary", {}, `${counted(trials, "trial")} failed or diverged`),
    element("p", {}, element("a", { href: `/sweeps/${encodeURIComponent(sweep)}?q=status%3Afailed%7Cdiverged` }, "Show them")),
    element("ul", {}, ...failures.map(({ status, error, trials }) => element("li", {}, `${trials.toLocaleString("en")} ${status}: ${error || "no reason given"}`))),
  );
}

function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

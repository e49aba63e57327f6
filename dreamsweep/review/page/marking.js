// The keys that leave marks, on the wall and in the viewer alike, and the little dialogs that ask for a name, a tag or a note.

import { element } from "./dom.js";

/** `here()` is the trial that keys mean, `onward(trial)` goes on to the next, `back(trial)` to one whose mark was taken back. */
export function makeMarking(marks, here, onward, back) {
  document.addEventListener("keydown", typed);
  return { act, askName };

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea") || !marks.writable) return;
    if (document.querySelector("dialog[open]:not(#viewer)")) return; // it has keys of its own
    const key = event.key.toLowerCase();
    if (!(key in KEYS) && key !== "z") return;
    event.preventDefault();
    act(key);
  }

  async function act(key) {
    if (key === "z") {
      const trial = marks.undone();
      return trial && back(trial);
    }
    const trial = here();
    if (!trial || !(marks.me || (await askName()))) return;
    const { kind, value } = KEYS[key];
    const mine = marks.of(trial, marks.me);
    if (kind === "clear") {
      if (mine.pick) marks.mark(trial, "pick", 0);
      if (mine.stars) marks.mark(trial, "stars", 0);
      return;
    }
    if (kind === "tag") {
      const text = await asked("Tag", [...mine.tags].at(-1) ?? "", "one that is there is taken off again", 64);
      if (text) marks.mark(trial, "tag", mine.tags.has(text) ? 0 : 1, text);
      return;
    }
    if (kind === "note") {
      const text = await asked("Note", mine.note, "empty removes it", 2_000);
      if (text !== null && text !== mine.note) marks.mark(trial, "note", 1, text);
      return;
    }
    marks.mark(trial, kind, value);
    onward(trial);
  }

  async function askName() {
    const name = await asked("Your name", marks.me, "as it stands beside your marks, in this store", 64);
    if (name) marks.me = name;
    return name;
  }
}

const KEYS = {
  p: { kind: "pick", value: 1 },
  x: { kind: "pick", value: -1 },
  u: { kind: "clear" },
  t: { kind: "tag" },
  n: { kind: "note" },
  ...Object.fromEntries([1, 2, 3, 4, 5].map((stars) => [String(stars), { kind: "stars", value: stars }])),
};

// The text that someone gives, trimmed; null where they give up.
function asked(what, before, hint, most) {
  return new Promise((resolve) => {
    const input = element("input", { id: "asked", value: before, maxlength: most, autocomplete: "off", autofocus: true });
    const save = (event) => (event.preventDefault(), dialog.close("saved"));
    const dialog = element(
      "dialog", { class: "ask", "aria-label": what },
      element("form", { onsubmit: save }, element("label", { for: "asked" }, what), input, element("small", {}, hint), element("button", {}, "Save")),
    );
    dialog.addEventListener("close", (event) => {
      event.stopPropagation();
      resolve(dialog.returnValue === "saved" ? input.value.trim() : null);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    input.select();
  });
}

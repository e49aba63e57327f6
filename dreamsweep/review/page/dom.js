// Elements and answers, in as few words as may be. Text is set as text: nothing that a prompt holds becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with attributes (`on…` are listeners) and children. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** What the server answers, as a value; an Error with its sentence where it refuses. */
export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("The review page’s server does not answer; is `dreamsweep review` still running?");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(typeof body.detail === "string" ? body.detail : body.detail?.[0]?.msg ?? `The server answered ${answer.status}.`);
  return body;
}

/** The same for what is asked with a body. */
export function post(address, body) {
  return ask(address, { method: "POST", headers: { "Content-Type": "application/json", "X-Dreamsweep-Mark": "1" }, body: JSON.stringify(body) });
}

/** Sends a mark: nothing where the server has it, `refused` with its sentence where it never will, `failed` where it may later. */
export async function send(address, mark) {
  let answer;
  try {
    answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json", "X-Dreamsweep-Mark": "1" }, body: JSON.stringify(mark), keepalive: true });
  } catch {
    return { failed: "The review page’s server does not answer." };
  }
  if (answer.ok) return {};
  const { detail } = await answer.json().catch(() => ({}));
  const sentence = typeof detail === "string" ? detail : detail?.[0]?.msg ?? `the server answered ${answer.status}.`;
  return answer.status >= 500 || answer.status === 401 ? { failed: sentence } : { refused: sentence };
}

/** A mark as people read it. */
export const mark = (value) => (value === null ? "–" : value.toFixed(3));

/** The address of a trial's best picture, small. */
export const thumbnail = (sweep, id) => `/pictures/${sweep}/${id}/best.png?side=${devicePixelRatio > 1 ? 512 : 320}`;

/** A picture; where it cannot be had, words in its place. */
export function pictured(attributes) {
  const gone = (event) => event.target.replaceWith(element("span", { class: "missing" }, "its picture cannot be read"));
  return element("img", { ...attributes, onerror: gone });
}

export const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** `12 trials`, or `10 of 12 trials`. */
export const countedOf = (part, whole, noun) => (part === whole ? "" : `${part.toLocaleString("en")} of `) + counted(whole, noun);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

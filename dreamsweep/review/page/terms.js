// Conditions on settings and scores among the words of a search: `seed:1|2`, `optimizer:"sgd 15"|"adam 0.1"`, `judge>=0.4`.

const WORD = /-?"[^"]*"?|[^\s":=]+[:=](?:"[^"]*"|[^\s"|]+)(?:\|(?:"[^"]*"|[^\s"|]+))*(?!\S)|\S+/g;
const wordsOf = (text) => text.match(WORD) ?? [];
const plain = (value) => value.replaceAll('"', "'"); // as the server compares
const spelled = (value) => (/[\s"|]/.test(value) ? `"${plain(value)}"` : value);

/** The values that a text asks of a setting; none where it asks of none. */
export function valuesOf(text, name) {
  const term = wordsOf(text).find((word) => word.startsWith(`${name}:`));
  return [...(term?.slice(name.length + 1).matchAll(/"([^"]*)"|([^|]+)/g) ?? [])].map(([, quoted, bare]) => quoted ?? bare);
}

/** The text with these values asked of a setting, in place of others. */
export function withValues(text, name, values) {
  const term = values.length ? `${name}:${values.map(spelled).join("|")}` : "", words = wordsOf(text), at = words.findIndex((word) => word.startsWith(`${name}:`));
  return (at < 0 ? [...words, term] : words.with(at, term)).filter(Boolean).join(" ");
}

/** The text with a value asked for as well, or no longer where it is. */
export function toggled(text, name, value) {
  const values = valuesOf(text, name), kept = values.filter((each) => each !== plain(value));
  return withValues(text, name, kept.length < values.length ? kept : [...values, value]);
}

/** The text with a range asked of a score or a setting that is a number, in place of another range. */
export function withRange(text, name, low, high) {
  const others = wordsOf(text).filter((word) => !word.startsWith(`${name}>=`) && !word.startsWith(`${name}<=`));
  return [...others, `${name}>=${low}`, `${name}<=${high}`].join(" ");
}

/** Whether a text asks for a value of a setting. */
export const holds = (text, name, value) => valuesOf(text, name).includes(plain(value));

// What is looked for: words anywhere, "words in quotes" together, numbers whole, -word not, a|b either; and settings by the names that a
// sweep file has for them: seed:3, learning_rate=15, judge>0.4.

const CONDITION = /^([a-z_][\w.]*)(>=|<=|[:=><])(.+)$/;
const COMPARE = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b };

/** What a trial must match, all of it, and a sentence on each word that is not understood. `names` are those of settings and scores, with
 * `valueOf(tile, name)`; `values` are whole values of settings, such as `sgd 15`, whose words belong together. */
export function queryOf(text, names, values, valueOf) {
  const words = [...text.toLowerCase().matchAll(/(-?)(?:"([^"]*)"?|(\S+))/g)].map(([, not, quoted, plain]) => ({ not, word: quoted ?? plain, quoted: quoted !== undefined }));
  const conditions = [], unknown = [];
  for (let i = 0; i < words.length; i++) {
    const { not, quoted } = words[i];
    let { word } = words[i];
    const follower = words[i + 1] && !words[i + 1].not && words[i + 1].word;
    if (!word) continue;
    let matches;
    const [, name, sign, wanted] = (!quoted && word.match(CONDITION)) || [];
    if (name && (names.has(name) || sign in COMPARE)) {
      if (!names.has(name)) unknown.push(`Nothing here is called “${name}”; try ${[...names].slice(0, 8).join(", ")}.`);
      else if (sign in COMPARE && Number.isNaN(Number(wanted))) unknown.push(`“${wanted}” is no number to compare ${name} with.`);
      matches = sign in COMPARE ? (tile) => compared(valueOf(tile, name), sign, Number(wanted)) : eitherOf(wanted.split("|").map((each) => (tile) => equal(valueOf(tile, name), each)));
    } else if (!quoted && names.has(word) && follower) {
      i++;
      matches = (tile) => equal(valueOf(tile, word), follower);
    } else {
      if (name) unknown.push(`No setting is called “${name}”; so it is looked for as a word.`);
      if (!quoted && follower && values.has(`${word} ${follower}`)) (word += ` ${follower}`), i++;
      matches = eitherOf((quoted ? [word] : word.split("|").filter(Boolean)).map(holding));
    }
    conditions.push(not ? (tile) => !matches(tile) : matches);
  }
  return { conditions, unknown };
}

function holding(word) {
  const whole = /\d$/.test(word) || word.includes(" ");
  const pattern = new RegExp((whole ? "(?<![\\w.])" : "") + word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") + (/\d$/.test(word) ? "(?![\\d.]*\\d)" : ""));
  return (tile) => pattern.test(tile.words) || (word.length > 3 && tile.id.startsWith(word));
}

const eitherOf = (choices) => (tile) => choices.some((matches) => matches(tile));

function equal(value, wanted) {
  if (value === undefined || value === null) return false;
  return String(value).toLowerCase() === wanted || (wanted.trim() !== "" && Number(value) === Number(wanted));
}

function compared(value, sign, wanted) {
  return value !== undefined && value !== null && value !== "" && COMPARE[sign](Number(value), wanted);
}

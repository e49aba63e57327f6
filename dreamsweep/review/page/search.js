// What is looked for: words anywhere, "words in quotes" together, numbers whole, a setting's name with its value; -word must not.
/** What a trial must match, all of it; `names` are those of settings. */
export function queryOf(text, names) {
  const words = [...text.toLowerCase().matchAll(/(-?)(?:"([^"]*)"?|(\S+))/g)].map(([, not, quoted, plain]) => ({ not, word: quoted ?? plain, quoted: quoted !== undefined }));
  const conditions = [];
  for (let i = 0; i < words.length; i++) {
    const { not, quoted } = words[i];
    let { word } = words[i];
    if (!quoted) word = word.replace("=", " ");
    if (!quoted && names.has(word) && words[i + 1] && !words[i + 1].not) word += ` ${words[++i].word}`;
    if (!word) continue;
    const whole = /\d$/.test(word) || word.includes(" ");
    const pattern = new RegExp((whole ? "(?<![\\w.])" : "") + word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") + (/\d$/.test(word) ? "(?![\\d.]*\\d)" : ""));
    const matches = (tile) => pattern.test(tile.words) || (word.length > 3 && tile.id.startsWith(word));
    conditions.push(not ? (tile) => !matches(tile) : matches);
  }
  return conditions;
}

// A grid as one PNG, drawn in the browser from the small pictures.

const SIDE = 160, GAP = 6, LEFT = 190, TOP = 64, LINE = 15, MOST = 16_000; // pixels

/** Saves a grid: `best(row, column)` is the trial of a cell, `mean(axis, value)` what stands in the margin. */
export async function saveGrid(names, trials, { corner, across, down, best, mean }) {
  const step = Math.min(SIDE + GAP, (MOST - LEFT) / across.length, (MOST - TOP) / down.length), side = step - GAP;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: LEFT + across.length * step, height: TOP + down.length * step });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  write(context, corner, 8, 8, LEFT - 16);
  across.forEach((value, n) => write(context, value, LEFT + n * step, 8, side, mean("column", value)));
  down.forEach((value, n) => write(context, value, 8, TOP + n * step + 8, LEFT - 16, mean("row", value)));
  await Promise.all(down.flatMap((row, y) => across.map(async (column, x) => {
    const tile = best(row, column), picture = tile?.pictured && (await loaded(trials.thumbnail(tile.key, 320)));
    if (!picture) return;
    const times = side / Math.max(picture.width, picture.height), [width, height] = [picture.width * times, picture.height * times];
    context.drawImage(picture, LEFT + x * step + (side - width) / 2, TOP + y * step + (side - height) / 2, width, height);
  })));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await new Promise((done) => canvas.toBlob(done, "image/png")));
  link.download = `${names}-${corner}.png`.replace(/[^\w.-]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A text in up to three lines of this width, and one below in grey.
function write(context, text, x, y, width, below = "") {
  Object.assign(context, { font: "13px system-ui, sans-serif", fillStyle: "#1f2328", textBaseline: "top" });
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    context.measureText(longer).width <= width ? (lines[lines.length - 1] = longer) : lines.push(word);
  }
  const kept = lines.filter(Boolean).slice(0, 3);
  kept.forEach((line, n) => context.fillText(line, x, y + n * LINE, width));
  context.fillStyle = "#626a73";
  context.fillText(below, x, y + kept.length * LINE, width);
}

async function loaded(address) {
  const answer = await fetch(address).catch(() => null);
  return answer?.ok ? createImageBitmap(await answer.blob()) : null;
}

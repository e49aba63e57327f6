// Trials by their keys: the id, or on a wall of several sweeps SWEEP/ID. Where each of them is to be had.

/** Addresses of the trials of these sweeps. */
export function makeTrials(sweeps) {
  const sweepOf = (key) => (key.includes("/") ? key.slice(0, key.lastIndexOf("/")) : sweeps[0]);
  const idOf = (key) => key.slice(key.lastIndexOf("/") + 1);
  const folder = (key) => `/pictures/${sweepOf(key)}/${idOf(key)}/`;
  return {
    sweepOf, idOf, folder,
    keyOf: (sweep, id) => (sweeps.length > 1 ? `${sweep}/${id}` : id),
    address: (key) => `/api/sweeps/${encodeURIComponent(sweepOf(key))}/trials/${idOf(key)}`,
    thumbnail: (key, side = devicePixelRatio > 1 ? 512 : 320) => `${folder(key)}best.png?side=${side}`,
    strip: (key, side, iterations) => `/strips/${encodeURIComponent(sweepOf(key))}/${idOf(key)}?side=${side}&iterations=${iterations}`,
  };
}

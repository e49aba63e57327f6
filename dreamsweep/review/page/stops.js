// Where a slider over one trial's iterations stops.

/** The snapshots, the best and the last picture of a trial, in the order of their iterations: [{ iteration, address, best }]. */
export function stopsOf(trial, folder) {
  const pictures = Object.entries(trial.snapshots).map(([iteration, name]) => ({ iteration: Number(iteration), address: folder + name }));
  const last = trial.curves.iteration.at(-1) ?? 0;
  const put = (iteration, name, flags) => {
    const address = trial.files[name] && folder + trial.files[name];
    const kept = pictures.find((picture) => picture.iteration === iteration);
    if (address) kept ? Object.assign(kept, flags, { address }) : pictures.push({ iteration, address, ...flags });
  };
  put(last, "final", {});
  put(trial.best_iteration ?? last, "best", { best: true });
  return pictures.sort((a, b) => a.iteration - b.iteration);
}

"""Keys of the layout: every key that a sweep has in a store, one function each. No other file spells one.

<sweep>/manifest.json                                      what is published
<sweep>/manifest.json.lease-<id>                           a writer's turn, on S3 servers without conditional writes
<sweep>/sweep.yaml                                         the sweep as it was run
<sweep>/tables/<generation>/<table>.parquet                gathered rows
<sweep>/tables/<generation>/contents.json                  sizes and SHA-256 of these files
<sweep>/pictures/<trial>/<name>                            pictures and films of a trial
<sweep>/staging/<shard>/manifest.json                      a shard that is done
<sweep>/staging/<shard>/<table>.parquet                    its rows
<sweep>/staging/<shard>/checkpoint.safetensors             a shard under way, and progress.json: how far it is
<sweep>/states/<lineage>/<iterations>-<shard>.safetensors  the last state of a batch, from which more iterations continue
<sweep>/planned/<shard>.json                               a shard for another machine to make
<sweep>/planned/<sha256>.image                             a picture that trials start from
<sweep>/judged/<table>/<name>.parquet                      rows of one judge's run over the pictures
<sweep>/judged/grids/<name>.png                            pictures of a set whose diversity a judge measured
<sweep>/appended/<table>/<id>.json                         one row that a person left; <id>.parquet: many, folded together
<sweep>/summary/<name>.png                                 contact sheet and curves
<sweep>/summary/trials.parquet                             copy of the trials, at a path that stays the same
<sweep>/summary/catalogue-<state>.npz                      a large sweep's trials as the review page shows them
<sweep>/summary/drawn.json                                 of which manifest they are

Functions named after a folder give the prefix of everything in it, with its slash. Functions that end in `_of` read a part of a key.
"""

import re

BEST, FINAL, SHEET = "best.png", "final.png", "sheet.png"
"""Names of a trial's pictures: the best by the judge's score, the last, and frames or samples side by side."""
PICTURE_ADDRESS = "pictures/[^/]+/[^/]+"
"""Pattern of the addresses that `picture_address` returns."""
STATE = re.compile(r"[^/]+/states/([^/]+)/(\d+)-([^/]+)\.safetensors")


def folder(sweep: str) -> str:
    """Returns the prefix of all keys of a sweep."""
    return f"{sweep}/"


def manifest(sweep: str) -> str:
    """Returns the key of a sweep's published manifest."""
    return f"{sweep}/manifest.json"


def leases(key: str) -> str:
    """Returns the prefix of all leases on an object."""
    return f"{key}.lease-"


def lease(key: str, writer: str) -> str:
    """Returns the key of one writer's lease on an object."""
    return f"{key}.lease-{writer}"


def sweep_file(sweep: str) -> str:
    """Returns the key of the sweep file as it was run."""
    return f"{sweep}/sweep.yaml"


def tables(sweep: str) -> str:
    """Returns the prefix of the gathered tables of all generations."""
    return f"{sweep}/tables/"


def table(sweep: str, generation: str, name: str) -> str:
    """Returns the key of one table of a generation."""
    return f"{sweep}/tables/{generation}/{name}.parquet"


def part_record(sweep: str, generation: str) -> str:
    """Returns the key of the record of a generation's files: their sizes and SHA-256."""
    return f"{sweep}/tables/{generation}/contents.json"


def generation_of(key: str) -> str:
    """Returns the generation that a table's key belongs to."""
    return key.split("/")[2]


def pictures(sweep: str) -> str:
    """Returns the prefix of the pictures and films of all trials."""
    return f"{sweep}/pictures/"


def picture(sweep: str, trial_id: str, name: str) -> str:
    """Returns the key of a trial's picture, film or other artefact."""
    return f"{sweep}/pictures/{trial_id}/{name}"


def picture_address(trial_id: str, name: str) -> str:
    """Returns the address of a picture relative to its sweep's folder, as tables hold it."""
    return f"pictures/{trial_id}/{name}"


def trial_of(key: str) -> str:
    """Returns the trial that a picture's key belongs to."""
    return key.split("/")[2]


def film_name(kind: str, what: str = "film") -> str:
    """Returns the name of a trial's film in one format, of its snapshots by default."""
    return f"{what}.{kind}"


def snapshot_name(iteration: int) -> str:
    """Returns the name of an iteration's snapshot."""
    return f"{iteration:06d}.png"


def staging(sweep: str) -> str:
    """Returns the prefix of staged shards, and of the checkpoints and progress of running ones."""
    return f"{sweep}/staging/"


def staged(sweep: str, shard_id: str) -> str:
    """Returns the prefix of one shard's staged files."""
    return f"{sweep}/staging/{shard_id}/"


def staged_manifest(sweep: str, shard_id: str) -> str:
    """Returns the key of a staged shard's manifest; the shard is done if it exists."""
    return f"{sweep}/staging/{shard_id}/manifest.json"


def staged_table(sweep: str, shard_id: str, name: str, revision: int = 1) -> str:
    """Returns the key of one table of a shard. A shard that is staged again has a new revision, beside the earlier ones."""
    return f"{sweep}/staging/{shard_id}/{name}{f'-{revision}' if revision > 1 else ''}.parquet"


def checkpoint(sweep: str, shard_id: str) -> str:
    """Returns the key of the checkpoint from which a shard resumes."""
    return f"{sweep}/staging/{shard_id}/checkpoint.safetensors"


def progress(sweep: str, shard_id: str) -> str:
    """Returns the key of a running shard's progress."""
    return f"{sweep}/staging/{shard_id}/progress.json"


def shard_of(key: str) -> str:
    """Returns the shard that a key of the staging folder belongs to."""
    return key.split("/")[2]


def states(sweep: str, lineage: str | None = None) -> str:
    """Returns the prefix of the kept states of a sweep, or of those of one lineage: batches that differ in their iterations alone."""
    return f"{sweep}/states/{lineage}/" if lineage else f"{sweep}/states/"


def state(sweep: str, lineage: str, iterations: int, shard_id: str) -> str:
    """Returns the key of the state after a shard's last iteration."""
    return f"{sweep}/states/{lineage}/{iterations:06d}-{shard_id}.safetensors"


def state_of(key: str) -> tuple[str, int, str] | None:
    """Returns the lineage, the iterations and the shard that a state's key names; None for a stray file in their folder."""
    named = STATE.fullmatch(key)
    return (named[1], int(named[2]), named[3]) if named else None


def planned(sweep: str) -> str:
    """Returns the prefix of shards planned for remote workers, and of the pictures that they start from."""
    return f"{sweep}/planned/"


def planned_shard(sweep: str, shard_id: str) -> str:
    """Returns the key of a planned shard, which holds all settings of its trials."""
    return f"{sweep}/planned/{shard_id}.json"


def planned_shard_of(key: str) -> str | None:
    """Returns the shard that a key of the planned folder holds; None if it is a picture."""
    name = key.split("/")[2]
    return name.removesuffix(".json") if name.endswith(".json") else None


def planned_picture(sweep: str, sha256: str) -> str:
    """Returns the key of an initial picture that planned trials start from."""
    return f"{sweep}/planned/{sha256}.image"


def concept(sweep: str, address: str) -> str:
    """Returns the key of the vector that a perceptor has learned for a new word."""
    return f"{sweep}/concepts/{address}.safetensors"


def judged(sweep: str, table: str) -> str:
    """Returns the prefix of the rows of a judged table, of all judges."""
    return f"{sweep}/judged/{table}/"


def judged_rows(sweep: str, table: str, name: str) -> str:
    """Returns the key of the rows of one judge's run."""
    return f"{sweep}/judged/{table}/{name}.parquet"


def set_grid(sweep: str, name: str) -> str:
    """Returns the key of a grid of the pictures of a set."""
    return f"{sweep}/{set_grid_address(name)}"


def set_grid_address(name: str) -> str:
    """Returns the address of such a grid relative to its sweep's folder, as tables hold it."""
    return f"judged/grids/{name}.png"


def appended(sweep: str, table: str) -> str:
    """Returns the prefix of the rows of an appended table, single and folded."""
    return f"{sweep}/appended/{table}/"


def appended_row(sweep: str, table: str, row_id: str) -> str:
    """Returns the key of one row that a person added, such as a rating."""
    return f"{sweep}/appended/{table}/{row_id}.json"


def folded_rows(sweep: str, table: str, fold_id: str) -> str:
    """Returns the key of a file of folded rows, each added by a person."""
    return f"{sweep}/appended/{table}/{fold_id}.parquet"


def is_row(key: str) -> bool:
    """Returns whether a key of an appended table holds a single row; otherwise it holds folded rows."""
    return key.endswith(".json")


def contact_sheet(sweep: str, page: int = 1) -> str:
    """Returns the key of the contact sheet, or of a further page of it."""
    return f"{sweep}/summary/contact-sheet{'' if page == 1 else f'-{page}'}.png"


def further_sheets(sweep: str) -> str:
    """Returns the prefix of the contact sheet's pages after the first."""
    return f"{sweep}/summary/contact-sheet-"


def curves(sweep: str) -> str:
    """Returns the key of the curves: scores over the iterations."""
    return f"{sweep}/summary/curves.png"


def report(sweep: str, name: str = "report.html") -> str:
    """Returns the key of the sweep's report, or of a picture of it."""
    return f"{sweep}/summary/{name}"


def summary_trials(sweep: str) -> str:
    """Returns the key of the copy of the trials as they were at the end of the last run."""
    return f"{sweep}/summary/trials.parquet"


def summary_catalogues(sweep: str) -> str:
    """Returns the prefix of kept catalogues."""
    return f"{sweep}/summary/catalogue-"


def summary_catalogue(sweep: str, state: str) -> str:
    """Returns the key of the catalogue of one state of the sweep."""
    return f"{summary_catalogues(sweep)}{state}.npz"


def summary_record(sweep: str) -> str:
    """Returns the key of the record that names the manifest behind the summary; it is written last."""
    return f"{sweep}/summary/drawn.json"

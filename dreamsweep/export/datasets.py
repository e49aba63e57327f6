"""Data sets for training: imagefolder, as Hugging Face's `datasets` reads it, and WebDataset.

https://huggingface.co/docs/datasets/image_dataset and https://github.com/webdataset/webdataset
"""

import io
import json
import tarfile
from collections.abc import Iterator

from dreamsweep.export.chosen import Chosen, Row, json_line, record
from dreamsweep.export.containers import Container

SAMPLES_A_SHARD, BYTES_A_SHARD = 10_000, 500 * 2**20
"""Maximum number of samples of a tar file, and of bytes of their pictures; the first limit that is met begins another."""


def write_imagefolder(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes each best picture, and `metadata.jsonl`: a line for each with `file_name`, `text` (the prompt), scores and marks.

    `load_dataset("imagefolder", data_dir=…)` gives the columns `image`, `text` and the others. Every line has the same fields. Yields the
    number of trials so far.
    """
    present = list[str]()
    for number, (row, data) in enumerate(chosen.pictures(), 1):
        if data is not None:
            with to.open(f"{row['trial_id']}.png") as out:
                out.write(data)
            present.append(row["trial_id"])
        yield number
    kept = frozenset(present)
    with to.open("metadata.jsonl") as out:
        for row in chosen.rows():
            if row["trial_id"] in kept:
                out.write(json_line({"file_name": f"{row['trial_id']}.png", **_columns(row)}))


def write_webdataset(chosen: Chosen, to: Container) -> Iterator[int]:
    """Writes tar files of samples: `<trial>.png`, `<trial>.txt` with the prompt, `<trial>.json` with scores, settings and marks.

    Yields the number of trials so far.
    """
    samples = ((number, row, data) for number, (row, data) in enumerate(chosen.pictures(), 1))
    shard, pending = 0, next(samples, None)
    while pending is not None:
        count = size = 0
        with to.open(f"shard-{shard:06d}.tar") as out, tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            while pending is not None and (to.is_single or (count < SAMPLES_A_SHARD and size < BYTES_A_SHARD)):
                number, row, data = pending
                if data is not None:
                    _add_sample(tar, row, data)
                    count, size = count + 1, size + len(data)
                yield number
                pending = next(samples, None)
        shard += 1


def caption(row: Row) -> str:
    """Returns the text that a picture is trained with: its prompt, with those that a walk goes on to."""
    return ", then ".join((row["prompt"], *(row["prompts_to"] or ())))


def _add_sample(tar: tarfile.TarFile, row: Row, picture: bytes) -> None:
    facts = json.dumps({**record(row), "text": caption(row)}, ensure_ascii=False).encode()
    for ending, data in (("png", picture), ("txt", caption(row).encode()), ("json", facts)):
        entry = tarfile.TarInfo(f"{row['trial_id']}.{ending}")
        entry.size, entry.mode = len(data), 0o644
        tar.addfile(entry, io.BytesIO(data))


def _columns(row: Row) -> dict[str, object]:
    """Returns the columns of a data set: plain ones, the same for every row. Settings, whose names differ, and scores are JSON."""
    facts = record(row)
    return {
        "text": caption(row),
        **{name: facts.get(name) for name in ("trial_id", "sweep", "engine", "seed", "guide", "guide_score", "judge", "judge_score")},
        **{name: facts.get(name) for name in ("rank", "of", "z_score", "stars")},
        **{name: facts.get(name, []) for name in ("picked_by", "rejected_by", "tags")},
        **{name: json.dumps(facts.get(name, {}), ensure_ascii=False) for name in ("settings", "scores")},
    }

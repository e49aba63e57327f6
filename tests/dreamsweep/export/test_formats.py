"""Every format: what it holds, that the same selection gives the same bytes, that a target is whole or not there."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest
from PIL import Image

from dreamsweep.cli.options import ExportFormat, MarksFilter
from dreamsweep.errors import StoreError, UserError
from dreamsweep.export import datasets, selection
from dreamsweep.export.formats import FORMATS, FormatName, Progress, export, stream
from dreamsweep.export.selection import Selection
from dreamsweep.store import Store
from tests.dreamsweep.export.conftest import PROMPTS, ids

ALL = Selection(sweeps=("made-up",))


def write(store: Store, name: FormatName, target: Path, wanted: Selection = ALL) -> Progress:
    *_, last = export(store, wanted, name, target)
    return last


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_options_name_every_format_and_filter() -> None:
    assert [form.value for form in ExportFormat] == list(FORMATS)
    assert [marks.value for marks in MarksFilter] == list(get_args(selection.MarksFilter))


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_selection_gives_the_same_bytes_as_a_file_and_as_a_stream(store: Store, tmp_path: Path, name: FormatName) -> None:
    target = tmp_path / f"export{FORMATS[name].ending}"
    write(store, name, target)
    first = target.read_bytes()
    assert b"".join(stream(store, ALL, name)) == first
    write(store, name, target)
    assert target.read_bytes() == first
    assert [path.name for path in tmp_path.iterdir() if path.name != "runs"] == [target.name]


def test_pictures_in_a_folder_and_a_zip_with_a_table(store: Store, tmp_path: Path) -> None:
    assert write(store, "pictures", tmp_path / "all") == Progress(18, 18, 0)
    write(store, "pictures", tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == names(tmp_path / "all")
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    rows = csv_rows(tmp_path / "all" / "trials.csv")
    assert {row["file"] for row in rows} | {"trials.csv"} == {*names(tmp_path / "all")}
    heart = ids(store, PROMPTS[0])[0]
    assert (tmp_path / "all" / f"a-red-heart-{heart}.png").read_bytes() == store.read(f"made-up/pictures/{heart}/best.png")
    assert f"قلب-أحمر-{ids(store, PROMPTS[1])[0]}.png" in names(tmp_path / "all")


def test_csv_runs_no_formula(store: Store, tmp_path: Path) -> None:
    write(store, "csv", tmp_path / "all.csv")
    prompts = {row["prompt"] for row in csv_rows(tmp_path / "all.csv")}
    assert prompts == {PROMPTS[0], PROMPTS[1], f"'{PROMPTS[2]}"}


def test_parquet_has_the_trials_columns_standings_and_marks(store: Store, tmp_path: Path) -> None:
    write(store, "parquet", tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.num_rows == 18 and {"best_uri", "strokes", "rank", "z_score", "picked_by", "further_scores"} <= {*table.column_names}


def test_a_sheet_shows_the_selection(store: Store, tmp_path: Path) -> None:
    write(store, "sheet", tmp_path / "sheet", Selection(marks="picked"))
    assert names(tmp_path / "sheet") == ["contact-sheet.png"]
    with Image.open(tmp_path / "sheet" / "contact-sheet.png") as sheet:
        assert sheet.width > 400


def test_an_imagefolder_has_a_line_of_metadata_for_each_picture(store: Store, tmp_path: Path) -> None:
    write(store, "imagefolder", tmp_path / "set")
    lines = [json.loads(line) for line in (tmp_path / "set" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["file_name"] for line in lines} | {"metadata.jsonl"} == {*names(tmp_path / "set")}
    assert len({tuple(line) for line in lines}) == 1, "every line has the same fields"
    assert {line["text"] for line in lines} == {*PROMPTS}
    (cover,) = (line for line in lines if line["tags"])
    assert (cover["stars"], cover["picked_by"]) == (4.0, ["anna"]) and json.loads(cover["scores"])["starter-judge"] == cover["judge_score"]


def test_webdataset_samples_are_three_files_of_one_name(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "SAMPLES_A_SHARD", 10)
    write(store, "webdataset", tmp_path / "set")
    write(store, "webdataset", tmp_path / "set.tar")
    assert names(tmp_path / "set") == ["shard-000000.tar", "shard-000001.tar"]
    samples = [samples_of(tmp_path / "set" / name) for name in names(tmp_path / "set")]
    assert list(map(len, samples)) == [10, 8] and {**samples[0], **samples[1]} == samples_of(tmp_path / "set.tar")
    sample = samples_of(tmp_path / "set.tar")[ids(store, PROMPTS[1])[0]]
    assert sample["txt"].decode() == PROMPTS[1] == json.loads(sample["json"])["text"]
    assert Image.open(io.BytesIO(sample["png"])).size == (128, 128)


def samples_of(path: Path) -> dict[str, dict[str, bytes]]:
    """Samples as WebDataset reads them: files that follow each other with the same name up to the first dot."""
    samples: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as tar:
        for entry in tar:
            key, _, ending = entry.name.partition(".")
            file = tar.extractfile(entry)
            assert file and entry.mtime == 0
            samples.setdefault(key, {})[ending] = file.read()
    assert all(list(sample) == ["png", "txt", "json"] for sample in samples.values())
    return samples


def test_a_picture_that_is_gone_is_left_out_and_counted(store: Store, tmp_path: Path) -> None:
    lost = ids(store, PROMPTS[0])[0]
    store.delete(f"made-up/pictures/{lost}/best.png")
    for name in ("imagefolder", "gallery", "pictures"):
        assert write(store, name, tmp_path / name).missing == 1
    assert lost not in (tmp_path / "imagefolder" / "metadata.jsonl").read_text() + (tmp_path / "gallery" / "index.html").read_text()
    with pytest.raises(UserError, match="no picture of the selection can be read"):
        write(store, "imagefolder", tmp_path / "none", Selection(trials=(lost,)))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "target", "sentence"),
    [
        ("csv", "a.zip", "csv is a file that ends with .csv"),
        ("pairs", "a", "pairs is a file that ends with .parquet"),
        ("gallery", "a.csv", "gallery is a folder or a .zip"),
        ("webdataset", "a.zip", "webdataset is a folder; give"),
        ("gallery", "runs", "it is there already and not empty; name a new folder"),
        ("csv", "taken.csv", "this is a folder; name a file"),
        ("csv", "file/a.csv", "it cannot be written there"),
    ],
)
def test_a_target_that_does_not_fit_is_refused(store: Store, tmp_path: Path, name: FormatName, target: str, sentence: str) -> None:
    (tmp_path / "taken.csv").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises((UserError, StoreError)) as caught:
        write(store, name, tmp_path / target)
    assert sentence in str(caught.value)


def test_a_failure_leaves_an_earlier_file_and_nothing_else(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for target in ("a.zip", "b"):
        if target == "a.zip":
            (folder / target).write_text("earlier")
        steps = export(store, ALL, "pictures", folder / target)
        next(steps), next(steps)
        steps.close()  # as Ctrl-C does
    assert [path.name for path in folder.iterdir()] == ["a.zip"] and (folder / "a.zip").read_text() == "earlier"


def test_a_kill_leaves_no_half_target(store: Store, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from dreamsweep.store import open_store; from dreamsweep.export.formats import export\n"
        "from dreamsweep.export.selection import Selection\n"
        f"steps = export(open_store({str(tmp_path / 'runs')!r}), Selection(), 'gallery', Path({str(tmp_path / 'out')!r}))\n"
        "next(steps); next(steps); print('under way', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}) as process:
        assert process.stdout and process.stdout.readline() == b"under way\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "out").exists()
    (left,) = (path for path in tmp_path.iterdir() if path.name != "runs")
    assert left.name.startswith(".out.") and left.name.endswith(".part")
    write(store, "gallery", tmp_path / "out")
    assert (tmp_path / "out" / "index.html").is_file()

"""Formats of an export, by name, and the export itself: a selection into a file or folder, or as a stream of bytes."""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from dreamsweep.errors import UserError
from dreamsweep.export.chosen import Chosen, chosen
from dreamsweep.export.containers import Container, Folder, Single, Spool, Zip, whole_file, whole_folder
from dreamsweep.export.datasets import write_imagefolder, write_webdataset
from dreamsweep.export.gallery import write_gallery
from dreamsweep.export.pairs import write_pairs, write_pickapic
from dreamsweep.export.pictures import write_csv, write_parquet, write_pictures, write_sheet
from dreamsweep.export.selection import Selection
from dreamsweep.store import Store

FormatName = Literal["pictures", "sheet", "csv", "parquet", "gallery", "imagefolder", "webdataset", "pairs", "pickapic"]


@dataclass(frozen=True)
class Format:
    """Format of an export."""

    title: str
    """Name for people."""
    write: Callable[[Chosen, Container], Iterator[int]]
    """Writes the files, and yields how many trials, or pairs, are written."""
    ending: str
    """Ending of the file that holds all of it: `.zip` where it is several files."""
    media_type: str

    @property
    def is_single(self) -> bool:
        """Whether it is one file."""
        return self.ending != ".zip"


ZIP, PARQUET = "application/zip", "application/vnd.apache.parquet"
FORMATS: dict[FormatName, Format] = {
    "pictures": Format("pictures", write_pictures, ".zip", ZIP),
    "sheet": Format("contact sheet", write_sheet, ".zip", ZIP),
    "csv": Format("CSV", write_csv, ".csv", "text/csv"),
    "parquet": Format("Parquet", write_parquet, ".parquet", PARQUET),
    "gallery": Format("gallery that opens from disk", write_gallery, ".zip", ZIP),
    "imagefolder": Format("data set: imagefolder", write_imagefolder, ".zip", ZIP),
    "webdataset": Format("data set: WebDataset", write_webdataset, ".tar", "application/x-tar"),
    "pairs": Format("preference pairs", write_pairs, ".parquet", PARQUET),
    "pickapic": Format("preference pairs as in Pick-a-Pic", write_pickapic, ".parquet", PARQUET),
}
"""Every format by its name."""
assert set(FORMATS) == set(get_args(FormatName))
SPOOLED = 256 * 1024
"""Bytes of a stream that are sent together, at least."""


@dataclass(frozen=True)
class Progress:
    """Progress of an export."""

    done: int
    """Number of trials, or pairs, that are written."""
    trials: int
    """Number of trials of the selection."""
    missing: int
    """Number of trials left out because their pictures cannot be read."""


def export(store: Store, selection: Selection, name: FormatName, target: Path) -> Generator[Progress, None, None]:
    """Writes a selection to a file or folder, which is whole or not there; yields its progress.

    Formats of several files become a zip where the target ends with .zip, else a folder. Raises UserError where nothing is selected, or the
    target has another ending than the format; StoreError where it cannot be written.
    """
    container = _container(name, target)
    with chosen(store, selection) as trials, container as to:
        yield Progress(0, trials.trials, 0)
        for done in FORMATS[name].write(trials, to):
            yield Progress(done, trials.trials, len(trials.missing))
        trials.check()


def stream(store: Store, selection: Selection, name: FormatName) -> Generator[bytes, None, None]:
    """Yields the bytes of a selection as one file, as they are written; memory holds a few pictures.

    The first bytes come only once the trials are selected. Raises UserError where nothing is selected.
    """
    spool, form = Spool(), FORMATS[name]
    with chosen(store, selection) as trials:
        with nullcontext(Single(spool)) if form.is_single else Zip(spool) as to:
            for _ in form.write(trials, to):
                if spool.waiting >= SPOOLED:
                    yield spool.take()
        trials.check()
        yield spool.take()


def _container(name: FormatName, target: Path) -> AbstractContextManager[Container]:
    """Returns what a target is opened as. Raises UserError where its ending is another format's."""
    form, ending = FORMATS[name], target.suffix.lower()
    if ending == ".zip" and not form.is_single:
        return _zip(target)
    if (name == "webdataset" and ending != ".tar") or not form.is_single:
        if ending in {other.ending for other in FORMATS.values()}:
            raise UserError(f"--to {str(target)!r}: {name} is a folder{'' if form.is_single else ' or a .zip'}; give it such a name.")
        return _folder(target)
    if ending != form.ending:
        raise UserError(f"--to {str(target)!r}: {name} is a file that ends with {form.ending}; give it such a name.")
    return _single(target)


@contextmanager
def _zip(target: Path) -> Iterator[Container]:
    with whole_file(target) as out, Zip(out) as archive:
        yield archive


@contextmanager
def _folder(target: Path) -> Iterator[Container]:
    with whole_folder(target) as folder:
        yield Folder(folder)


@contextmanager
def _single(target: Path) -> Iterator[Container]:
    with whole_file(target) as out:
        yield Single(out)

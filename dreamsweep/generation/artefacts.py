"""Files of trials: what pictures, films and the artefacts beside them become, and their sizes and SHA-256 as they were written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from jaxtyping import UInt8
from torch import Tensor

from dreamsweep.compute.images import FILM_TYPES, film_bytes, png_bytes, to_bytes
from dreamsweep.engines.protocol import Artefact, Film
from dreamsweep.generation.write_queue import WriteQueue
from dreamsweep.spec import FilmFormat
from dreamsweep.store import Store, keys
from dreamsweep.tables.contents import Content, content_of
from dreamsweep.tables.rows import TrialFile

PNG = "image/png"


@dataclass(frozen=True)
class NewFile:
    """A file of a trial that is yet to be encoded, which needs no device and may happen on another thread."""

    name: str
    content_type: str
    encode: Callable[[], bytes]
    size: int
    """Bytes that it holds until it is encoded."""


def picture_file(name: str, picture: UInt8[Tensor, "3 h w"], spec_json: str) -> NewFile:
    """Returns the PNG of a picture that nobody changes any more, with the trial's spec inside it."""
    return NewFile(name, PNG, partial(png_bytes, picture, spec_json), picture.nbytes)


def film_file(kind: FilmFormat, frames: Sequence[UInt8[Tensor, "3 h w"]], stem: str = "film") -> NewFile:
    """Returns the film of some frames in one format."""
    size = sum(frame.nbytes for frame in frames)
    return NewFile(keys.film_name(kind, stem), FILM_TYPES[kind], partial(film_bytes, frames, kind), size)


def files_of(artefact: Artefact | Film, formats: Sequence[FilmFormat]) -> Iterator[NewFile]:
    """Returns the files that an artefact becomes: a film is one in each format, its frames drawn here."""
    if isinstance(artefact, Artefact):
        data = artefact.data
        yield NewFile(artefact.name, artefact.content_type, lambda: data, len(data))
        return
    frames = [to_bytes(picture[None])[0] for picture in artefact.frames]
    for kind in formats:
        yield film_file(kind, frames, artefact.name)


class TrialFiles:
    """Writes the files of a shard's trials by way of a queue, and notes the content of each for the table `files`."""

    def __init__(self, store: Store, sweep: str, queue: WriteQueue) -> None:
        self.store, self.sweep, self.queue = store, sweep, queue
        self.contents: dict[str, Content] = {}
        """Content of each file that was written, by its key; complete once the queue is joined."""

    def write(self, trial_id: str, file: NewFile) -> None:
        """Has one file encoded and written. Raises the exception of an earlier write."""
        self.queue.submit(partial(self._write, keys.picture(self.sweep, trial_id, file.name), file), file.size)

    def _write(self, key: str, file: NewFile) -> None:
        data = file.encode()
        self.store.write(key, data, file.content_type)
        self.contents[key] = content_of(data)

    def of_trials(self, trial_ids: Sequence[str], complete: bool) -> list[TrialFile]:
        """Returns the files of these trials; with `complete` also those that an earlier process wrote, which are read for it."""
        files = []
        for trial_id in trial_ids:
            folder = keys.picture(self.sweep, trial_id, "")
            written = [key for key in self.contents if key.startswith(folder)]
            for key in self.store.keys(folder) if complete else sorted(written):
                content = self.contents.get(key) or content_of(self.store.read(key))
                files.append(TrialFile(trial_id, key.removeprefix(folder), content))
        return files

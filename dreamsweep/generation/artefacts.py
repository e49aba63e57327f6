"""Files of trials: written with their size and SHA-256 noted, and what the artefacts beside the pictures become."""

from collections.abc import Iterator, Sequence

from dreamsweep.compute.images import FILM_TYPES, film_bytes, to_bytes
from dreamsweep.engines.protocol import Artefact, Film
from dreamsweep.spec import FilmFormat
from dreamsweep.store import Store, keys
from dreamsweep.tables.contents import Content, content_of
from dreamsweep.tables.rows import TrialFile

PNG = "image/png"


class TrialFiles:
    """Writes the files of a shard's trials, and notes the content of each for the table `files`."""

    def __init__(self, store: Store, sweep: str) -> None:
        self.store, self.sweep = store, sweep
        self.contents: dict[str, Content] = {}
        """Content of each file that was written, by its key."""

    def write(self, trial_id: str, name: str, data: bytes, content_type: str) -> None:
        """Writes one file."""
        key = keys.picture(self.sweep, trial_id, name)
        self.store.write(key, data, content_type)
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


def files_of(artefact: Artefact | Film, formats: Sequence[FilmFormat]) -> Iterator[tuple[str, str, bytes]]:
    """Returns (name, content type, data) of each file that an artefact becomes: a film is one in each format."""
    if isinstance(artefact, Artefact):
        yield artefact.name, artefact.content_type, artefact.data
        return
    frames = [to_bytes(picture[None])[0] for picture in artefact.frames]
    for kind in formats:
        yield keys.film_name(kind, artefact.name), FILM_TYPES[kind], film_bytes(frames, kind)

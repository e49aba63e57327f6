"""Files of the artefacts that trials leave beside their pictures."""

from collections.abc import Iterator, Sequence

from dreamsweep.compute.images import FILM_TYPES, film_bytes, to_bytes
from dreamsweep.engines.protocol import Artefact, Film
from dreamsweep.spec import FilmFormat
from dreamsweep.store import keys


def files_of(artefact: Artefact | Film, formats: Sequence[FilmFormat]) -> Iterator[tuple[str, str, bytes]]:
    """Returns (name, content type, data) of each file that an artefact becomes: a film is one in each format."""
    if isinstance(artefact, Artefact):
        yield artefact.name, artefact.content_type, artefact.data
        return
    frames = [to_bytes(picture[None])[0] for picture in artefact.frames]
    for kind in formats:
        yield keys.film_name(kind, artefact.name), FILM_TYPES[kind], film_bytes(frames, kind)

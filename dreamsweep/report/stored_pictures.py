"""Pictures of a store for what is drawn of a sweep: one that is missing or damaged leaves its place empty, and is named in a warning."""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from dreamsweep.errors import DamagedError
from dreamsweep.planning.pictures import decode_picture
from dreamsweep.store import Store
from dreamsweep.text import counted, escaped

LOG = logging.getLogger(__name__)
READERS = 8
"""Pictures read from the store at the same time."""


def read_picture(store: Store, key: str) -> Image.Image | None:
    """Reads a stored picture; None if it is missing or damaged. Raises StoreError as `Store.get` does, such as where access is denied."""
    try:
        data = store.get(key)
        return None if data is None else decode_picture(data)
    except (DamagedError, ValueError):
        return None


def read_tiles(store: Store, keys_by_id: Mapping[str, str], tile: int) -> dict[str, Image.Image]:
    """Returns pictures by id as squares of `tile` pixels, each read under its key; those that cannot be read are left out."""

    def read(key: str) -> Image.Image | None:
        picture = read_picture(store, key)
        return picture and picture.resize((tile, tile), Image.Resampling.LANCZOS)

    with ThreadPoolExecutor(READERS) as readers:
        pictures = dict(zip(keys_by_id, readers.map(read, keys_by_id.values()), strict=True))
    warn_of_unreadable([keys_by_id[name] for name, picture in pictures.items() if picture is None])
    return {name: picture for name, picture in pictures.items() if picture is not None}


def warn_of_unreadable(unreadable: list[str]) -> None:
    """Logs how many pictures are missing or damaged, by their keys, and the command that names all."""
    if unreadable:
        sweep, number = unreadable[0].partition("/")[0], counted(len(unreadable), "picture")
        LOG.warning(
            "%s missing or damaged, such as %s: left empty. dreamsweep verify %s names all.", number, escaped(unreadable[0]), escaped(sweep)
        )

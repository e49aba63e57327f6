"""Small pictures of a store, made once and kept: in memory, and in a folder of this machine where there is one."""

import contextlib
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image

from dreamsweep.errors import StoreError
from dreamsweep.store import Store

IN_MEMORY = 4_096
"""Small pictures kept in memory: some 40 to 80 MB."""
PNG = b"\x89PNG\r\n\x1a\n"
MOST_PIXELS = 64_000_000
"""Pictures with more pixels are not made small: decoded they take hundreds of megabytes."""
MOST_DAYS = 30
"""Days after which a kept file is made again, or removed when the page starts."""


class Thumbnails:
    """Small pictures of a store, as WebP. Raises StoreError for pictures that are not there, or are damaged."""

    def __init__(self, store: Store, folder: Path | None = None) -> None:
        self.store, self.folder = store, folder
        self._kept = lru_cache(IN_MEMORY)(self._read_or_make)

    def picture(self, key: str, side: int) -> bytes:
        """Returns a picture that fits into a square of that side, in pixels."""
        return self._kept((key,), side)

    def strip(self, keys: Sequence[str], side: int) -> bytes:
        """Returns pictures side by side, each in a square of that side, in pixels."""
        return self._kept(tuple(keys), -side)

    def _read_or_make(self, keys: tuple[str, ...], side: int) -> bytes:
        """Returns the kept file, or a new one that is then kept; a negative side stands for a strip."""
        name = hashlib.sha256("\n".join((self.store.uri, str(side), *keys)).encode()).hexdigest()
        path = self.folder / f"{name}.webp" if self.folder else None
        if path:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime > time.time() - MOST_DAYS * 86_400:
                    return path.read_bytes()
        pictures = [_small(self.store.read(key), abs(side)) for key in keys]
        data = _webp(pictures[0] if side > 0 else _side_by_side(pictures, -side))
        if path:
            with contextlib.suppress(OSError):  # a full disk, or a folder of somebody else's: then memory alone
                _write(path, data)
        return data


def remove_old(folder: Path) -> None:
    """Removes the kept files that are older than a month."""
    for path in folder.glob("*.*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < time.time() - MOST_DAYS * 86_400:
                path.unlink()


def _small(png: bytes, side: int) -> Image.Image:
    damaged = StoreError("this is no picture any more: its file is damaged.")
    if not png.startswith(PNG):
        raise damaged
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))  # of its header, before anything is decoded
    if width * height > MOST_PIXELS:
        raise StoreError(f"this picture has {width:,} × {height:,} pixels, too many to be shown small.")
    try:
        image = Image.open(io.BytesIO(png)).convert("RGB")
    except Exception:  # noqa: BLE001 - decoders of damaged files raise whatever they meet
        raise damaged from None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _side_by_side(pictures: Sequence[Image.Image], side: int) -> Image.Image:
    """Returns pictures in one row of squares, each enlarged or in the middle of its own."""
    row = Image.new("RGB", (side * len(pictures), side), "white")
    for number, picture in enumerate(pictures):
        times = side / max(picture.size)
        fitted = picture.resize((round(picture.width * times), round(picture.height * times))) if times > 1 else picture
        row.paste(fitted, (number * side + (side - fitted.width) // 2, (side - fitted.height) // 2))
    return row


def _webp(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=82, method=2)
    return out.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Writes a file in one step, so that another server that reads it finds it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(name, path)

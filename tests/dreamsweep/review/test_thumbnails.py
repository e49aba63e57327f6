"""Small pictures: made once, kept in memory and on disk, made again when they are old."""

import io
import os
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from dreamsweep.compute.images import png_bytes
from dreamsweep.errors import StoreError
from dreamsweep.review.thumbnails import MOST_DAYS, Thumbnails, remove_old
from dreamsweep.store import Store, open_store

COLOURS = ((255, 0, 0), (0, 0, 255), (0, 128, 0))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(str(tmp_path / "runs"))
    for number, colour in enumerate(COLOURS):
        store.write(f"s/{number}.png", png_bytes(torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, 64, 32), "{}"))
    return store


def image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_a_strip_has_each_picture_in_the_middle_of_a_square(store: Store) -> None:
    strip = image(Thumbnails(store).strip([f"s/{n}.png" for n in range(3)], 96))
    assert strip.size == (288, 96)
    for number, colour in enumerate(COLOURS):
        assert strip.getpixel((96 * number + 48, 48)) == pytest.approx(colour, abs=12)
        assert strip.getpixel((96 * number + 4, 48)) == pytest.approx((255, 255, 255), abs=12)
    assert image(Thumbnails(store).picture("s/0.png", 32)).size == (16, 32)


def test_a_picture_is_made_once_whoever_asks(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    first = Thumbnails(store, folder).picture("s/0.png", 32)
    store.delete("s/0.png")
    assert Thumbnails(store, folder).picture("s/0.png", 32) == first
    (kept,) = folder.iterdir()
    old = time.time() - (MOST_DAYS + 1) * 86_400
    os.utime(kept, (old, old))
    with pytest.raises(StoreError, match=r"s/0\.png"):
        Thumbnails(store, folder).picture("s/0.png", 32)
    remove_old(folder)
    assert [*folder.iterdir()] == []


def test_other_sides_strips_and_stores_are_other_pictures(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    thumbnails = Thumbnails(store, folder)
    other = open_store(str(tmp_path / "others"))
    other.write("s/0.png", store.read("s/1.png"))
    answers = [thumbnails.picture("s/0.png", 32), thumbnails.picture("s/0.png", 48), thumbnails.strip(["s/0.png"], 32)]
    answers += [thumbnails.strip(["s/0.png", "s/1.png"], 32), Thumbnails(other, folder).picture("s/0.png", 32)]
    assert len(set(answers)) == len([*folder.iterdir()]) == 5


def test_a_folder_that_cannot_be_written_is_done_without(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert image(Thumbnails(store, tmp_path / "file").picture("s/0.png", 32)).size == (16, 32)
    remove_old(tmp_path / "none")

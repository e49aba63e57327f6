"""Pictures come back as they were written, and what the user brings is read with care."""

import hashlib
import io
import json
from pathlib import Path

import av
import pytest
import torch
from PIL import Image

from dreamsweep.compute.images import (
    METADATA_KEY,
    decode_png,
    film_bytes,
    grid,
    paper,
    pixels_sha256,
    png_bytes,
    read_picture,
    strip,
    to_bytes,
)
from dreamsweep.errors import SweepFileError
from dreamsweep.spec import FilmFormat, ImageFile


def picture(seed: int = 0) -> torch.Tensor:
    return to_bytes(torch.rand(1, 3, 24, 16, generator=torch.Generator().manual_seed(seed)))[0]


def test_a_png_holds_the_pixels_and_the_spec() -> None:
    spec = json.dumps({"prompt": "שלום ❤"})
    data = png_bytes(picture(), spec)
    assert torch.equal(decode_png(data), picture())
    assert Image.open(io.BytesIO(data)).info[METADATA_KEY] == spec


def test_paper() -> None:
    assert paper("#ff0080").flatten().tolist() == pytest.approx([1, 0, 128 / 255])


def test_bytes_are_rounded_and_what_is_no_number_is_black() -> None:
    values = torch.tensor([0.0, 1.0, 0.5, 2.0, -1.0, float("nan")]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_bytes(values)[0, 0, 0].tolist() == [0, 255, 128, 255, 0, 0]


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_a_film_has_every_frame(kind: FilmFormat) -> None:
    film = Image.open(io.BytesIO(film_bytes([picture(seed) for seed in range(5)], kind)))
    assert film.n_frames == 5 and film.size == (16, 24) and film.info["loop"] == 0  # type: ignore[attr-defined]


def test_an_mp4_has_every_frame_and_stays_a_second_on_the_last() -> None:
    plain = [torch.full((3, 25, 17), value, dtype=torch.uint8) for value in (0, 128, 255)]  # odd sides
    with av.open(io.BytesIO(film_bytes(plain, "mp4")), "r") as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 3 + 12 and frames[0].shape == (26, 18, 3)
    assert [round(float(frame.mean())) for frame in frames[:3]] == pytest.approx([0, 128, 255], abs=3)


def test_the_digest_is_of_size_and_pixels() -> None:
    assert pixels_sha256(picture()) == pixels_sha256(picture().clone()) != pixels_sha256(picture(1))
    assert pixels_sha256(torch.zeros(3, 2, 8, dtype=torch.uint8)) != pixels_sha256(torch.zeros(3, 4, 4, dtype=torch.uint8))


def test_a_user_s_picture_is_cut_square_turned_and_laid_on_white(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    wide = Image.new("RGBA", (60, 30), (255, 0, 0, 255))
    wide.paste((0, 0, 0, 0), (0, 0, 60, 15))  # upper half transparent
    wide.save(path)
    read = read_picture(ImageFile(path=str(path)), 20)
    assert read.shape == (3, 20, 20)
    assert torch.allclose(read[:, 2, 10], torch.ones(3)) and torch.allclose(read[:, 17, 10], torch.tensor([1.0, 0, 0]))


def test_a_picture_that_cannot_be_read_or_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "no.png"
    with pytest.raises(SweepFileError, match=r"init_image.*no\.png.*cannot be read"):
        read_picture(ImageFile(path=str(path)), 8)
    path.write_bytes(b"not a picture")
    with pytest.raises(SweepFileError, match="cannot be read as a picture"):
        read_picture(ImageFile(path=str(path)), 8)
    Image.new("RGB", (4, 4)).save(path)
    old = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(SweepFileError, match="has changed since the sweep was read"):
        read_picture(ImageFile(path=str(path), sha256=old), 8)


def test_a_strip_has_the_first_and_the_last_frame() -> None:
    frames = [picture(seed) for seed in range(23)]
    side_by_side = strip(frames, most=5)
    assert side_by_side.shape == (3, 24, 5 * 16)
    assert torch.equal(side_by_side[:, :, :16], frames[0]) and torch.equal(side_by_side[:, :, -16:], frames[-1])
    assert torch.equal(strip(frames[:1]), frames[0])


def test_a_grid_is_about_square_and_white_where_nothing_is() -> None:
    frames = [picture(seed) for seed in range(5)]
    sheet = grid(frames)
    assert sheet.shape == (3, 2 * 24, 3 * 16)
    assert torch.equal(sheet[:, 24:, 16:32], frames[4]) and (sheet[:, 24:, 32:] == 255).all()

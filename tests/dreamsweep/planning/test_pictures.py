"""Pictures that people bring: deep, huge, cut, turned, transparent, or full of text."""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dreamsweep.planning import pictures
from dreamsweep.planning.pictures import decode_picture


def encoded(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def ramp(most: float, kind: Any) -> Image.Image:
    """Three pixels: none, half and most."""
    return Image.fromarray(np.array([[0, most / 2, most]], dtype=kind))


def grey(data: bytes) -> list[int]:
    image = decode_picture(data)
    assert image.mode == "RGB" and all(len({*image.getpixel((x, 0))}) == 1 for x in range(image.width))  # type: ignore[misc]
    return [image.getpixel((x, 0))[0] for x in range(image.width)]  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "right"),
    [
        (encoded(ramp(255, np.uint8)), [0, 127, 255]),
        (encoded(ramp(65535, np.uint16)), [0, 127, 255]),
        (encoded(ramp(6553, np.uint16)), [0, 13, 25]),  # a dark one stays dark
        (encoded(ramp(65535, np.int32), "TIFF"), [0, 127, 255]),
        (encoded(ramp(2**31 - 1, np.int32), "TIFF"), [0, 128, 255]),
        (encoded(ramp(1, np.float32), "TIFF"), [0, 128, 255]),
        (encoded(ramp(255, np.float32), "TIFF"), [0, 128, 255]),
        (encoded(Image.fromarray(np.array([[-1, 0, 1]], np.float32)), "TIFF"), [0, 128, 255]),
        (encoded(Image.fromarray(np.array([[np.nan, 0.5, 1]], np.float32)), "TIFF"), [0, 128, 255]),
        (encoded(Image.new("F", (3, 1), 0.25), "TIFF"), [64, 64, 64]),
    ],
)
def test_deep_grey_is_scaled_by_its_range(data: bytes, right: list[int]) -> None:
    assert grey(data) == pytest.approx(right, abs=1)


def test_text_and_profiles_of_a_png_are_passed_over() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "x" * 80_000_000, zip=True)
    data = encoded(Image.new("RGB", (2, 2), "red"), pnginfo=text, icc_profile=b"\0" * 70_000_000)
    assert decode_picture(data).getpixel((1, 1)) == (255, 0, 0)


def test_text_after_the_pixels_as_well() -> None:
    plain = encoded(Image.new("RGB", (2, 2), "red"))
    assert decode_picture(plain[:-12] + (4).to_bytes(4, "big") + b"zTXtnope" + b"\0" * 4 + plain[-12:])


def noise(kind: str) -> bytes:
    return encoded(Image.effect_noise((64, 64), 80).convert("RGB"), kind)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("left", [0.98, 0.5, 0.1])
def test_a_cut_picture_is_one_sentence(kind: str, left: float) -> None:
    data = noise(kind)
    with pytest.raises(ValueError, match=r"^is cut or damaged \(.*\); save the picture again$|^cannot be read as a picture"):
        decode_picture(data[: int(len(data) * left)])


def test_a_wrong_checksum_is_one_sentence() -> None:
    data = bytearray(noise("PNG"))
    data[data.index(b"IDAT") + 400] ^= 0xFF
    with pytest.raises(ValueError, match="is cut or damaged"):
        decode_picture(bytes(data))


@pytest.mark.parametrize("data", [b"", b"not a picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04"])
def test_what_is_no_picture_is_one_sentence(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^cannot be read as a picture; give it a PNG, JPEG or WebP file$"):
        decode_picture(data)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    header = encoded(Image.new("1", (1, 1)))
    size = header.index(b"IHDR") + 4
    huge = bytearray(header[: size - 8])
    ihdr = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + header[size + 8 : size + 13]
    huge += (13).to_bytes(4, "big") + ihdr + zlib.crc32(ihdr).to_bytes(4, "big") + header[size + 17 :]
    with pytest.raises(ValueError, match="is larger than 178 megapixels; make it smaller"):
        decode_picture(bytes(huge))


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("PNG", "1"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("PNG", "I;16")]
)
def test_a_large_picture_is_made_small_first(kind: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "WORKING_PIXELS", 1_000_000)
    large = Image.new("RGB", (4096, 4096), "white")
    large.paste("black", (0, 0, 4096, 2048))
    if mode == "I;16":
        large = Image.fromarray(np.asarray(large.convert("L")).astype(np.uint16) * 257)
    data = encoded(large, "JPEG") if mode == "JPEG" else encoded(large if mode == "I;16" else large.convert(mode))
    small = decode_picture(data)
    assert 1024 <= small.width == small.height <= 2048
    assert small.getpixel((small.width // 2, 10)) == (0, 0, 0)
    assert small.getpixel((small.width // 2, small.height - 10)) == (255, 255, 255)


def test_a_long_strip_keeps_its_short_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "WORKING_PIXELS", 1000)
    assert decode_picture(encoded(Image.new("RGB", (8192, 3)))).size == (2048, 3)


def test_a_turned_picture_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_picture(encoded(Image.new("RGB", (4, 2)), "JPEG", exif=exif)).size == (2, 4)


def test_transparency_lies_on_white() -> None:
    picture = Image.new("P", (1, 1), 0)
    picture.putpalette([255, 0, 0])
    assert decode_picture(encoded(picture, transparency=0)).getpixel((0, 0)) == (255, 255, 255)
    assert decode_picture(encoded(Image.new("LA", (1, 1), (0, 0)))).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "TIFF"), ("LAB", "TIFF"), ("YCbCr", "TIFF")])
def test_other_colours_are_converted(mode: str, kind: str) -> None:
    assert decode_picture(encoded(Image.new(mode, (2, 2)), kind)).mode == "RGB"

"""Pictures that people bring: decoded whatever they are, upright, on white, and small enough to work with."""

import io
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_MEGAPIXELS = 178
"""Larger pictures are refused, by Pillow, as they may be made to fill the memory."""
WORKING_PIXELS = 16_000_000
"""A picture of four times as many pixels, or more, is averaged down before anything else; the engines draw far smaller ones."""
_PNG = b"\x89PNG\r\n\x1a\n"
_NOT_PIXELS = {b"tEXt", b"zTXt", b"iTXt", b"iCCP"}


def decode_picture(data: bytes) -> Image.Image:
    """Decodes the first frame of a picture file to 8-bit RGB, upright and on white.

    Grey of 16 bits, 32 bits and floating point is scaled by its range. Raises ValueError where the file is no picture, is cut or damaged,
    or is larger than `MOST_MEGAPIXELS`: its text continues a sentence that begins with the file's name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, and of metadata that nobody needs
            image = Image.open(io.BytesIO(_without_text(data)))
            factor = math.isqrt(math.prod(image.size) // WORKING_PIXELS)
            if factor > 1:
                image.draft("RGB", (image.width // factor, image.height // factor))  # a JPEG is decoded at a fraction of its size
            return _rgb_on_white(_reduced(ImageOps.exif_transpose(image)))
    except Image.DecompressionBombError:
        reason = f"is larger than {MOST_MEGAPIXELS} megapixels; make it smaller"
    except UnidentifiedImageError:
        reason = "cannot be read as a picture; give it a PNG, JPEG or WebP file"
    except Exception as error:  # noqa: BLE001 - decoders of damaged files raise whatever they meet
        reason = f"is cut or damaged ({str(error).rstrip('.') or type(error).__name__}); save the picture again"
    raise ValueError(reason)


def _without_text(data: bytes) -> bytes:
    """Returns a PNG less its text and its colour profile, which Pillow refuses where they are long; anything else as it is."""
    return _PNG + b"".join(chunk for kind, chunk in _chunks(data) if kind not in _NOT_PIXELS) if data.startswith(_PNG) else data


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the type and the bytes of each chunk of a PNG (RFC 2083, 3.2); the last one as far as it goes."""
    start = len(_PNG)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], data[start:end]
        start = end


def _reduced(image: Image.Image) -> Image.Image:
    """Returns the picture, averaged down by a whole number where it is large; the short side of a long strip stays as it is."""
    factor = math.isqrt(math.prod(image.size) // WORKING_PIXELS)
    if factor < 2:
        return image
    plain = image.convert("RGBA") if image.mode in ("1", "P", "PA") else _eight_bits(image) if _is_deep(image) else image
    across, down = (max(1, min(factor, side // 1024)) for side in image.size)
    return plain.reduce((across, down))


def _rgb_on_white(image: Image.Image) -> Image.Image:
    if _is_deep(image):
        image = _eight_bits(image)
    if image.mode in ("1", "L", "RGB") and not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _is_deep(image: Image.Image) -> bool:
    """Returns whether its grey has more than eight bits."""
    return image.mode == "F" or image.mode.startswith("I")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scales grey of more than eight bits by the least of 1, 8 and 16 bits that holds it, or by its own range."""
    values: np.ndarray[Any, Any] = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=np.nan, neginf=np.nan)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif low >= 0:
        low, high = 0.0, next((most for most in ((255.0, 65535.0) if image.mode == "I" else (1.0, 255.0, 65535.0)) if high <= most), high)
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-12))).round().clip(0, 255).astype(np.uint8))

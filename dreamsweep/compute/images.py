"""Pictures between tensors, Pillow and bytes."""

import hashlib
import io
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin
from torch import Tensor

from dreamsweep.compute.devices import constant
from dreamsweep.errors import SweepFileError
from dreamsweep.planning.pictures import decode_picture
from dreamsweep.spec import FilmFormat, ImageFile
from dreamsweep.store import read_uri

METADATA_KEY = "dreamsweep"
"""The text chunk of every PNG that holds its trial's spec as JSON."""
FRAME_MILLISECONDS, LAST_MILLISECONDS = 80, 1000
FILM_TYPES: dict[FilmFormat, str] = {"webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4"}


def paper(color: str, device: str | torch.device = "cpu") -> Float[Tensor, "3 1 1"]:
    """Returns `#rrggbb` as a background, in [0, 1]."""
    return constant(tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)), torch.device(device)).reshape(3, 1, 1)


def to_bytes(pictures: Float[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b 3 h w"]:
    """Pixels in [0, 1] as 8-bit ones, rounded; what is not a number becomes 0."""
    return (pictures.detach().nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def png_bytes(picture: UInt8[Tensor, "3 h w"], spec_json: str) -> bytes:
    """Returns a PNG with the trial's spec inside it."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(METADATA_KEY, spec_json)
    out = io.BytesIO()
    _image(picture).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def film_bytes(frames: Sequence[UInt8[Tensor, "3 h w"]], kind: FilmFormat = "webp") -> bytes:
    """Returns the frames as a film that starts again for ever (MP4: plays once); the last one stays a second."""
    images = [_image(frame) for frame in frames]
    if kind == "mp4":
        return _mp4_bytes([*images, *images[-1:] * (LAST_MILLISECONDS // FRAME_MILLISECONDS)])
    durations = [FRAME_MILLISECONDS] * (len(images) - 1) + [LAST_MILLISECONDS]
    options = {"quality": 85, "method": 2} if kind == "webp" else {"disposal": 2}
    out = io.BytesIO()
    images[0].save(out, kind, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)
    return out.getvalue()


def _mp4_bytes(images: Sequence[Image.Image]) -> bytes:
    """Encodes H.264 as every browser plays it: sides are made even by repeating the last row or column."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=Fraction(1000, FRAME_MILLISECONDS), options={"crf": "18", "threads": "1"})
        stream.width, stream.height = (side + side % 2 for side in images[0].size)
        stream.pix_fmt = "yuv420p"
        for image in images:
            array = np.pad(np.asarray(image), ((0, image.height % 2), (0, image.width % 2), (0, 0)), mode="edge")
            film.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        film.mux(stream.encode())
    return out.getvalue()


def strip(frames: Sequence[UInt8[Tensor, "3 h w"]], most: int = 10) -> UInt8[Tensor, "3 h n"]:
    """Frames side by side, at most so many, evenly spaced from the first to the last."""
    count = min(most, len(frames))
    chosen = [round(i * (len(frames) - 1) / max(1, count - 1)) for i in range(count)]
    return torch.cat([frames[at] for at in chosen], 2)


def grid(frames: Sequence[UInt8[Tensor, "3 h w"]]) -> UInt8[Tensor, "3 n m"]:
    """Frames in rows, as many columns as rows or one more; white where there are too few."""
    columns = math.ceil(math.sqrt(len(frames)))
    blank = torch.full_like(frames[0], 255)
    filled = [*frames, *[blank] * (-len(frames) % columns)]
    return torch.cat([torch.cat(filled[at : at + columns], 2) for at in range(0, len(filled), columns)], 1)


def decode_png(data: bytes) -> UInt8[Tensor, "3 h w"]:
    """Returns the pixels of a PNG that `png_bytes` made."""
    return torch.from_numpy(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).copy()).permute(2, 0, 1)


def spec_json_of(data: bytes) -> str | None:
    """Returns the trial's spec that `png_bytes` put into a PNG; None where there is none. Raises OSError where it is no picture."""
    with Image.open(io.BytesIO(data)) as image:
        spec: str | None = image.info.get(METADATA_KEY)
        return spec


def pixels_sha256(picture: UInt8[Tensor, "3 h w"]) -> str:
    """Returns the SHA-256 of a picture's size and pixels, whatever file they are in."""
    array: NDArray[np.uint8] = picture.contiguous().numpy()
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()


def read_picture(file: ImageFile, side: int) -> Float[Tensor, "3 h w"]:
    """Returns a picture from the user's disk, or from a store, cut to a square of `side` pixels, in [0, 1].

    Raises SweepFileError when it is missing, is no picture, or has changed since the sweep was read.
    """
    try:
        data = read_uri(file.path) if "://" in file.path else Path(file.path).read_bytes()
    except OSError as error:
        raise SweepFileError(f"init_image: {file.path!r} cannot be read ({error.strerror}).") from None
    if file.sha256 and hashlib.sha256(data).hexdigest() != file.sha256:
        raise SweepFileError(f"init_image: {file.path!r} has changed since the sweep was read; run the sweep again.")
    try:
        picture = decode_picture(data)
    except ValueError as error:
        raise SweepFileError(f"init_image: {file.path!r} {error}.") from None
    return square_pixels(picture, side)


def square_pixels(picture: Image.Image, side: int | None = None) -> Float[Tensor, "3 h w"]:
    """Returns the largest square in the middle of an RGB picture, in [0, 1]; of `side` pixels, or as large as it is."""
    square = ImageOps.fit(picture, (side or min(picture.size),) * 2, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).float() / 255  # h w 3 -> 3 h w


def _image(picture: UInt8[Tensor, "3 h w"]) -> Image.Image:
    """Returns a picture for Pillow, by NumPy alone: each thread that calls torch may start threads of its own."""
    return Image.fromarray(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()))

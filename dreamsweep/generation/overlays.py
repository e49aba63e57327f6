"""Overlay pictures of the segments judge: each class in its colour over the picture, with its name and its share below."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from dreamsweep.compute.devices import resolve_device
from dreamsweep.compute.images import decode_png
from dreamsweep.compute.torchvision_ops import declare_missing_ops
from dreamsweep.errors import UserError
from dreamsweep.generation.judging import PictureKind
from dreamsweep.judges.segments import SEGMENTERS, shares_of
from dreamsweep.report.fonts import legible
from dreamsweep.report.query import query
from dreamsweep.spec.judges import SEGMENTS
from dreamsweep.store import Store, keys

NAMES: dict[PictureKind, str] = {"best": r"best\.png", "final": r"final\.png", "snapshots": r"\d{6}\.png"}
"""Patterns of the names of a trial's pictures."""
LEAST_SIDE = 256
"""Pixels: smaller pictures are enlarged."""
LINE, MOST_NAMED, OPACITY = 18, 5, 0.6


def write_overlays(
    store: Store, sweep: str, folder: Path, pictures: Sequence[PictureKind] = ("best",), device: str = "auto", judge: str = SEGMENTS
) -> int:
    """Draws the classes that a judge sees over each kept picture of a sweep, into `folder/TRIAL-NAME.png`; returns how many were drawn.

    Pictures that cannot be read are left out: the judge's rows say why. Raises StoreError where there is no such sweep, WeightsError
    without the network's weights, and UserError where the folder cannot be written.
    """
    segmenter = SEGMENTERS[judge](resolve_device(device))
    drawn = 0
    for trial, name, picture in _pictures(store, sweep, pictures):
        (classes,) = segmenter.classes_of((picture[None].float() / 255).to(resolve_device(device))).cpu()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draw_overlay(picture, classes, segmenter.classes).save(folder / f"{trial}-{name}")
        except OSError as error:
            raise UserError(f"--overlays: {folder} cannot be written ({error.strerror}); name another folder.") from None
        drawn += 1
    return drawn


def _pictures(store: Store, sweep: str, kinds: Sequence[PictureKind]) -> Iterator[tuple[str, str, UInt8[Tensor, "3 h w"]]]:
    pattern = re.compile("|".join(NAMES[kind] for kind in kinds))
    for row in query(store, "SELECT trial_id FROM trials ORDER BY trial_id", sweep).to_pylist():
        folder = keys.picture(sweep, row["trial_id"], "")
        for key in sorted(store.keys(folder)):
            if pattern.fullmatch(name := key.removeprefix(folder)):
                try:
                    yield row["trial_id"], name, decode_png(store.read(key))
                except (OSError, ValueError, SyntaxError):
                    continue


def draw_overlay(picture: UInt8[Tensor, "3 h w"], classes: Int[Tensor, "y x"], names: Sequence[str]) -> Image.Image:
    """Returns a picture with its classes in Pascal VOC's colours, the background left as it is, and a line for each class below."""
    declare_missing_ops()
    from torchvision.utils import draw_segmentation_masks

    times = max(1, -(-LEAST_SIDE // min(picture.shape[1:])))
    large = picture.repeat_interleave(times, 1).repeat_interleave(times, 2)
    seen = F.interpolate(classes[None, None].float(), large.shape[1:], mode="nearest")[0, 0].long()
    shares = shares_of(classes[None], len(names))[0].tolist()
    shown = [at for at in range(1, len(names)) if shares[at] > 0]
    if shown:
        masks = torch.stack([seen == at for at in shown])
        large = draw_segmentation_masks(large, masks, alpha=OPACITY, colors=[voc_colour(at) for at in shown])
    image = Image.fromarray(large.permute(1, 2, 0).numpy())
    named = sorted(shown, key=lambda at: -shares[at])[:MOST_NAMED]
    return _with_legend(image, [(voc_colour(at), f"{names[at]} {shares[at]:.1%}") for at in named])


def voc_colour(number: int) -> tuple[int, int, int]:
    """Returns a class's colour in Pascal VOC's own palette: its bits, three at a time, from the highest bits of red, green and blue."""
    channels = [0, 0, 0]
    for place in range(7, -1, -1):
        for channel in range(3):
            channels[channel] |= (number >> channel & 1) << place
        number >>= 3
    return channels[0], channels[1], channels[2]


def _with_legend(image: Image.Image, lines: Sequence[tuple[tuple[int, int, int], str]]) -> Image.Image:
    if not lines:
        return image
    page = Image.new("RGB", (image.width, image.height + LINE * len(lines)), "white")
    page.paste(image)
    pen = ImageDraw.Draw(page)
    texts, typeface = legible([text for _, text in lines], 12)
    for number, ((colour, _), text) in enumerate(zip(lines, texts, strict=True)):
        top = image.height + LINE * number
        pen.rectangle((4, top + 4, 14, top + 14), colour)
        typeface.draw(pen, (20, top + 2), text, "black")
    return page

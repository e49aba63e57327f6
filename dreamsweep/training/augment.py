"""Augmentation of RGBA art, a batch at a time: warps, colours, backgrounds, outlines, patches, blur and noise."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Generator, Tensor

from dreamsweep.compute.colours import PAINTS as EVERY_PAINT
from dreamsweep.compute.colours import paint as paint_rgb


def premultiplied(rgba: NDArray[np.uint8]) -> Float[Tensor, "n 4 h w"]:
    """Returns drawings in [0, 1], their colours multiplied by their opacity, from bytes `n h w 4`."""
    scaled = torch.from_numpy(rgba).permute(0, 3, 1, 2).float() / 255
    return torch.cat([scaled[:, :3] * scaled[:, 3:], scaled[:, 3:]], 1)


def on_white(rgba: Float[Tensor, "n 4 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Returns premultiplied drawings on white."""
    return rgba[:, :3] + 1 - rgba[:, 3:]


def augment(rgba: Tensor, rng: Generator) -> Tensor:
    """Returns pictures in [0, 1], `n 3 h w`, from premultiplied RGBA in [0, 1], `n 4 h w`; every draw comes from `rng`."""
    rgba = _warp(rgba, rng)
    return damage(_colours(rgba, rng), rng)


def damage(pictures: Tensor, rng: Generator) -> Tensor:
    """Returns pictures, `n 3 h w`, some of them as outlines, some with less detail, some with noise and holes."""
    pictures = _outline(pictures, rng)
    pictures = _coarsen(pictures, rng)
    return _noise(pictures, rng).clamp(0, 1)


def place_on_white(rgba: Tensor, rng: Generator) -> Tensor:
    """Returns pictures, `n 3 h w`, that are hardly changed: a little moved and resized, on white."""
    n, _, h, w = rgba.shape
    zoom = torch.exp(_uniform(n, -0.15, 0.15, rng))
    mirror = torch.where(torch.rand(n, generator=rng) < 0.1, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * mirror, zoom
    theta[:, :, 2] = torch.randn(n, 2, generator=rng) * 0.04
    moved = F.grid_sample(rgba, F.affine_grid(theta, [n, 4, h, w], align_corners=False), align_corners=False)
    return (moved[:, :3] + 1 - moved[:, 3:]).clamp(0, 1)


def shuffle_patches(pictures: Tensor, rng: Generator, patch: int = 16) -> Tensor:
    """Returns the same pictures with their patches in another order: right colours and textures, wrong shape."""
    n, c, h, w = pictures.shape
    rows, columns = h // patch, w // patch
    tiles = pictures.reshape(n, c, rows, patch, columns, patch).permute(0, 2, 4, 1, 3, 5).reshape(n, rows * columns, c, patch, patch)
    order = torch.rand(n, rows * columns, generator=rng).argsort(1)
    tiles = tiles[torch.arange(n)[:, None], order].reshape(n, rows, columns, c, patch, patch)
    return tiles.permute(0, 3, 1, 4, 2, 5).reshape(n, c, h, w)


def _uniform(n: int, low: float, high: float, rng: Generator) -> Tensor:
    return torch.rand(n, generator=rng) * (high - low) + low


def _chosen(n: int, share: float, rng: Generator) -> Tensor:
    """Returns `n 1 1 1`, 1.0 for about `share` of the batch."""
    return (torch.rand(n, 1, 1, 1, generator=rng) < share).float()


def _warp(rgba: Tensor, rng: Generator) -> Tensor:
    n = len(rgba)
    log_zoom = torch.where(torch.rand(n, generator=rng) < 0.3, _uniform(n, -0.55, 0.55, rng), _uniform(n, -0.2, 0.2, rng))
    angle = torch.where(torch.rand(n, generator=rng) < 0.3, _uniform(n, -0.5, 0.5, rng), torch.randn(n, generator=rng) * 0.08)
    stretch = torch.exp(torch.randn(n, generator=rng) * 0.08)
    mirror = torch.where(torch.rand(n, generator=rng) < 0.25, -1.0, 1.0)
    zoom = torch.exp(-log_zoom)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shear = torch.randn(n, generator=rng) * 0.07
    reach = 0.1 + 0.25 * log_zoom.abs()
    dx, dy = _uniform(n, -1, 1, rng) * reach, _uniform(n, -1, 1, rng) * reach
    theta = torch.stack([torch.stack([cos * stretch * mirror, -sin + shear, dx], 1), torch.stack([sin * mirror, cos / stretch, dy], 1)], 1)
    return bend(rgba, theta, rng)


def bend(rgba: Tensor, theta: Tensor, rng: Generator) -> Tensor:
    """Returns drawings, `n c h w`, moved by affine maps `n 2 3` of the plane, half of them bent as well."""
    n, c, h, w = rgba.shape
    grid = F.affine_grid(theta, [n, c, h, w], align_corners=False)
    bent = torch.randn(n, 2, 4, 4, generator=rng) * 0.09 * _chosen(n, 0.5, rng)
    grid = grid + F.interpolate(bent, size=(h, w), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return F.grid_sample(rgba, grid, align_corners=False)


def recolour(rgba: Tensor, rng: Generator) -> Tensor:
    """Returns the colours, `n 3 h w`, of premultiplied drawings, `n 4 h w`: other contrast, saturation, brightness, a little hue."""
    matrix = _colour_matrix(len(rgba), rng)
    bright = (torch.randn(len(rgba), 1, 1, 1, generator=rng) * 0.08) * rgba[:, 3:]
    return torch.einsum("nij,njhw->nihw", matrix, rgba[:, :3]) + bright


PAINTS = {name: EVERY_PAINT[name] for name in ("red", "orange", "yellow", "green", "blue", "purple", "pink")}
"""Paints of captions, as red, green and blue of a fully saturated pixel."""


def paint(rgba: Tensor, paints: Tensor) -> Tensor:
    """Returns premultiplied drawings, `n 4 h w`, whose saturated parts have another colour, `n 3`; greys, black and white stay."""
    return torch.cat([paint_rgb(rgba[:, :3], paints), rgba[:, 3:]], 1)


def vividness(rgba: Tensor) -> Tensor:
    """Returns the mean chroma of premultiplied drawings over their opaque parts, `n`; 0 is grey."""
    chroma = rgba[:, :3].amax(1) - rgba[:, :3].amin(1)
    return chroma.sum((1, 2)) / rgba[:, 3].sum((1, 2)).clamp(min=1)


def grounds(n: int, h: int, w: int, rng: Generator) -> Tensor:
    """Returns backgrounds, `n 3 h w`: half of them of one colour, half of them of four that run into each other."""
    ground = torch.rand(n, 3, 2, 2, generator=rng)
    ground = torch.where(_chosen(n, 0.5, rng) > 0, ground, ground.mean((2, 3), keepdim=True).expand(n, 3, 2, 2))
    return F.interpolate(ground, size=(h, w), mode="bilinear", align_corners=True)


def _colours(rgba: Tensor, rng: Generator) -> Tensor:
    n, _, h, w = rgba.shape
    rgb, alpha = recolour(rgba, rng), rgba[:, 3:]
    ground = grounds(n, h, w, rng)
    plain = _chosen(n, 0.65, rng)
    ground = plain + (1 - plain) * ground
    return (rgb + (1 - alpha) * ground).clamp(0, 1)


def _colour_matrix(n: int, rng: Generator) -> Tensor:
    """Returns saturation, contrast about black and a small turn of the hue, as one matrix a picture."""
    grey = torch.full((3, 3), 1 / 3)
    saturation = _uniform(n, 0.55, 1.4, rng)[:, None, None]
    angle = torch.randn(n, generator=rng) * 0.12
    a, b = torch.cos(angle), torch.sin(angle) / math.sqrt(3)
    c = (1 - a) / 3
    turn = torch.stack([a + c, c - b, c + b, c + b, a + c, c - b, c - b, c + b, a + c], 1).reshape(n, 3, 3)
    contrast = _uniform(n, 0.75, 1.15, rng)[:, None, None]
    return contrast * (saturation * turn + (1 - saturation) * grey)


def _outline(pictures: Tensor, rng: Generator) -> Tensor:
    n = len(pictures)
    grey = pictures.mean(1, keepdim=True)
    dx = F.pad((grey[..., :, 1:] - grey[..., :, :-1]).abs(), (0, 1))
    dy = F.pad((grey[..., 1:, :] - grey[..., :-1, :]).abs(), (0, 0, 0, 1))
    edge = (F.max_pool2d(dx + dy, 3, 1, 1) * 4).clamp(0, 1)
    drawn = _chosen(n, 0.12, rng)
    pale = _chosen(n, 0.4, rng) * drawn * _uniform(n, 0.3, 1, rng)[:, None, None, None]
    return (pictures * (1 - pale) + pale) * (1 - drawn * edge)


def _coarsen(pictures: Tensor, rng: Generator) -> Tensor:
    """Returns a third of the batch loses detail: shrunk, and enlarged again in squares or smoothly."""
    n, _, h, w = pictures.shape
    order = torch.randperm(n, generator=rng)
    pictures = pictures.clone()
    for part in order[: n // 3].chunk(4):
        side = int(torch.randint(14, 44, (1,), generator=rng))
        small = F.interpolate(pictures[part], size=(side, side), mode="area")
        if torch.rand(1, generator=rng) < 0.5:
            pictures[part] = F.interpolate(small, size=(h, w), mode="nearest")
        else:
            pictures[part] = F.interpolate(small, size=(h, w), mode="bilinear", align_corners=False)
    return pictures


def _noise(pictures: Tensor, rng: Generator) -> Tensor:
    n, c, h, w = pictures.shape
    fine = torch.randn(n, c, h, w, generator=rng) * _uniform(n, 0, 0.12, rng)[:, None, None, None] * _chosen(n, 0.25, rng)
    blocks = torch.randn(n, c, h // 4, w // 4, generator=rng) * 0.12 * _chosen(n, 0.2, rng)
    pictures = pictures + fine + F.interpolate(blocks, size=(h, w), mode="nearest")
    hole = F.interpolate((torch.rand(n, 1, 4, 4, generator=rng) < 0.12).float() * _chosen(n, 0.2, rng), size=(h, w))
    return pictures * (1 - hole) + hole * torch.rand(n, 3, 1, 1, generator=rng)

"""Augmentation of RGBA art, a batch at a time: warps, colours, backgrounds, outlines, patches, blur and noise."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def augment(rgba: Tensor, rng: Generator) -> Tensor:
    """Returns pictures in [0, 1], `n 3 h w`, from premultiplied RGBA in [0, 1], `n 4 h w`; every draw comes from `rng`."""
    rgba = _warp(rgba, rng)
    pictures = _colours(rgba, rng)
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
    n, _, h, w = rgba.shape
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
    grid = F.affine_grid(theta, [n, 4, h, w], align_corners=False)
    bend = torch.randn(n, 2, 4, 4, generator=rng) * 0.09 * _chosen(n, 0.5, rng)
    grid = grid + F.interpolate(bend, size=(h, w), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return F.grid_sample(rgba, grid, align_corners=False)


def _colours(rgba: Tensor, rng: Generator) -> Tensor:
    n, _, h, w = rgba.shape
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    matrix = _colour_matrix(n, rng)
    bright = (torch.randn(n, 1, 1, 1, generator=rng) * 0.08) * alpha
    rgb = torch.einsum("nij,njhw->nihw", matrix, rgb) + bright
    ground = torch.rand(n, 3, 2, 2, generator=rng)
    ground = torch.where(_chosen(n, 0.5, rng) > 0, ground, ground.mean((2, 3), keepdim=True).expand(n, 3, 2, 2))
    ground = F.interpolate(ground, size=(h, w), mode="bilinear", align_corners=True)
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

"""Randomness without state: every draw comes from (seed, stream, iteration), so a resumed trial needs no random state."""

import hashlib

import torch


def generator(seed: int, stream: str, iteration: int = 0) -> torch.Generator:
    """Returns a fresh CPU generator for one purpose (`stream`) of one trial (`seed`) in one iteration.

    On the CPU whatever the device, so that a trial draws the same numbers everywhere.
    """
    digest = hashlib.sha256(f"{seed}/{stream}/{iteration}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))

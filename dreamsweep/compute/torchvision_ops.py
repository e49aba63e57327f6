"""Lets `import torchvision` work beside a torch that its compiled operators were not built for.

A CPU torch with the registry's torchvision fails at import because the operators `nms` and `qnms` are missing, though
nothing here uses them. They are declared, without a body, only where the real ones are not there.
"""

import importlib.util

import torch

_kept: list[torch.library.Library] = []


def declare_missing_ops() -> None:
    """Declares torchvision's missing operators; does nothing where torchvision is absent or whole."""
    if _kept or importlib.util.find_spec("torchvision") is None or hasattr(torch.ops.torchvision, "nms"):
        return
    _load_real_ops()
    if hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)  # a library that is collected takes its operators with it


def _load_real_ops() -> None:
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        from pathlib import Path

        for path in Path(folder).glob("_C*.so"):
            try:
                torch.ops.load_library(str(path))
            except OSError:
                return

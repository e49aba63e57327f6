"""What `torch.compile` (DREAMSWEEP_COMPILE) gains where a sweep spends its time: a perceptor that looks at cutouts, and back to the pixels.

    python benchmarks/compiled.py           # five minutes of one core

Random weights of full size, and the starter guide. Both take turns; medians. Networks that draw are not compiled: with `--all` the
table shows why.
"""

import argparse
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
warnings.simplefilter("ignore")

Network = Callable[..., Tensor]
Inputs = Callable[[], tuple[Tensor, ...]]


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    print("| network | eager, CPU s | compiled, CPU s | gain | compiling, s |")
    print("|---|---|---|---|---|")
    for name, network, inputs in (*perceptors(), *(drawing() if options.all else ())):
        line(name, network, inputs, options.times)
    now = f"{datetime.now(UTC):%Y-%m-%d}"
    print(f"\nmedians of {options.times}, {options.threads} thread, {platform.machine()}; torch {version('torch')}, {now}")


def perceptors() -> list[tuple[str, Network, Inputs]]:
    from dreamsweep.perceptors import load_perceptor

    guide = load_perceptor("starter-guide", "cpu")
    from clip.model import ModifiedResNet, VisionTransformer  # after torchvision was made to load

    vit = VisionTransformer(224, 32, 768, 12, 12, 512).eval().requires_grad_(False)
    resnet = ModifiedResNet((3, 4, 6, 3), 1024, 32, 224, 64).eval().requires_grad_(False)
    return [
        ("starter-guide, 16 cutouts", guide.model.visual, _pixels(16, guide.resolution)),  # type: ignore[attr-defined]
        ("ViT-B/32, 8 cutouts", vit, _pixels(8, 224)),
        ("RN50, 8 cutouts", resnet, _pixels(8, 224)),
    ]


def drawing() -> list[tuple[str, Network, Inputs]]:
    from dreamsweep.models.biggan import draw, load_biggan
    from dreamsweep.models.dvae import load_dvae
    from dreamsweep.spec import BigSleepSpec

    generator = load_biggan("starter", BigSleepSpec().image_size, "cpu").model
    sizes = len(generator.config.layers) + 1, generator.config.z_dim, generator.config.num_classes
    dvae = load_dvae("starter", "cpu")

    def vectors() -> tuple[Tensor, ...]:
        return torch.randn(1, *sizes[:2], requires_grad=True), torch.rand(1, sizes[0], sizes[2])

    return [
        ("starter BigGAN", lambda latents, classes: draw(generator, latents, classes), vectors),
        ("starter dVAE's decoder", dvae.decoder, lambda: (torch.rand(1, dvae.codes, 16, 16, requires_grad=True),)),
    ]


def line(name: str, network: Network, inputs: Inputs, times: int) -> None:
    """One line of the table."""
    compiled = torch.compile(network)
    begun = time.monotonic()
    seconds(compiled, inputs)
    compiling = time.monotonic() - begun
    seconds(network, inputs)
    pairs = [(seconds(network, inputs), seconds(compiled, inputs)) for _ in range(times)]
    eager, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"| {name} | {eager:.3f} | {fast:.3f} | {eager / fast:.2f} × | {compiling:.0f} |", flush=True)


def seconds(network: Network, inputs: Inputs) -> float:
    """CPU seconds of one look forward, and back to what it was given."""
    given = inputs()
    begun = time.process_time()
    network(*given).sum().backward()
    return time.process_time() - begun


def _pixels(cutouts: int, side: int) -> Inputs:
    return lambda: (torch.rand(cutouts, 3, side, side, requires_grad=True),)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="the networks that draw as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()

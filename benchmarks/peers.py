"""What Big Sleep costs here and in the package `big-sleep`: seconds, memory and trials a minute, on the same work.

    python benchmarks/peers.py            # BigGAN-deep-512 and ViT-B/32; some 16 GiB of memory and half an hour of two cores
    python benchmarks/peers.py --quick    # BigGAN-deep-128 and 16 cutouts: a few minutes

Both draw with the same random weights of full size, from the same vectors, and cut in the same places; the first losses of the package
and of dreamsweep in float32 must agree. Each runs in a process of its own, and they take turns, one iteration each, so that a busy
machine is busy for all. Times are medians after a first iteration that does not count; peak memory is the process's, weights and imports
included. The package is run as it comes, but for its insistence on CUDA. It does several prompts one after the other; dreamsweep does
them in one batch.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
warnings.simplefilter("ignore")

PROMPT = "a red heart"
SEED, ITERATIONS_A_TRIAL = 3, 200
VIT_B_32 = (512, 224, 12, 768, 32, 77, 49408, 512, 8, 12)
"""The arguments of `clip.model.CLIP`."""
LAYERS = {
    128: [(0, 16, 16), (1, 16, 16), (0, 16, 16), (1, 16, 8), (0, 8, 8), (1, 8, 4), (0, 4, 4), (1, 4, 2), (0, 2, 2), (1, 2, 1)],
    512: [
        (0, 16, 16), (1, 16, 16), (0, 16, 16), (1, 16, 8), (0, 8, 8), (1, 8, 8), (0, 8, 8),
        (1, 8, 4), (0, 4, 4), (1, 4, 2), (0, 2, 2), (1, 2, 1), (0, 1, 1), (1, 1, 1),
    ],
}  # fmt: skip
"""Blocks of BigGAN-deep (Brock et al., 2019, tables 7 and 9): doubling?, channels in and out, in units of 128."""
ATTENTION = 8
"""Before which block the pictures are 64 px and attention is paid."""
CASES = [(16, 1), (128, 1), (16, 4)]
"""Cutouts, prompts."""
OURS = ("dreamsweep", "dreamsweep-bfloat16")
"""The second computes its networks in `precision: bfloat16`, which is less exact work; the floors are for the first."""
FLOORS = "floors for one trial, at equal precision: at least 1.4 times the package's iterations a CPU second, at most 0.7 of its memory"


def main() -> None:
    options = _options()
    if options.worker:
        work(options)
        return
    size = 128 if options.quick else 512
    cases = [(16, 1)] if options.quick else [case for case in CASES if options.case in (None, case)]
    print(f"| BigGAN-deep-{size}: cutouts, prompts | system | CPU s an iteration | s | peak, GiB | trials a minute |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dreamsweep-benchmark-") as folder:
        write_random_weights(Path(folder), size)
        for cutouts, prompts in cases:
            results = take_turns(Path(folder), size, cutouts, prompts, options.runs, options.threads)
            for system, result in results.items():
                rate = 60 * prompts / (result["wall"] * ITERATIONS_A_TRIAL * (prompts if system == "big-sleep" else 1))
                row = f"{result['cpu']:.2f} | {result['wall']:.2f} | {result['peak']:.2f} | {rate:.3g}"
                print(f"| {cutouts}, {prompts} | {system} | {row} |", flush=True)
            for system in OURS if prompts == 1 else ():
                speed, memory = results["big-sleep"]["cpu"] / results[system]["cpu"], results[system]["peak"] / results["big-sleep"]["peak"]
                print(f"| {cutouts}, {prompts} | {system} / big-sleep | {speed:.2f}× its/s | | {memory:.2f}× | |", flush=True)
    print(f"\n{FLOORS}\ntrials of {ITERATIONS_A_TRIAL} iterations; medians of {options.runs}; {machine(options.threads)}")


def take_turns(folder: Path, size: int, cutouts: int, prompts: int, runs: int, threads: int) -> dict[str, dict[str, float]]:
    """Medians of CPU and clock seconds an iteration and the peak memory in GiB, of each system."""
    workers = {
        system: _start(system, folder, size, cutouts, 1 if system == "big-sleep" else prompts, threads) for system in ("big-sleep", *OURS)
    }
    samples: dict[str, list[dict[str, float]]] = {system: [] for system in workers}
    try:
        for _ in range(runs + 1):
            for system, worker in workers.items():
                _pipe(worker.stdin).write("step\n")
                _pipe(worker.stdin).flush()
                answer = _pipe(worker.stdout).readline()
                if not answer:
                    raise SystemExit(f"{system} with {cutouts} cutouts and {prompts} prompt(s) broke off; what it said stands above")
                samples[system].append(json.loads(answer))
    finally:
        for worker in workers.values():
            _pipe(worker.stdin).close()
            worker.wait(60)
    losses = [rows[0]["loss"] for rows in samples.values()]
    if abs(losses[0] - losses[1]) > 1e-3 * abs(losses[0]):
        raise SystemExit(f"the two did not do the same: first losses {losses}")
    return {
        system: {
            "cpu": statistics.median(row["cpu"] for row in rows[1:]),
            "wall": statistics.median(row["wall"] for row in rows[1:]),
            "peak": max(row["peak"] for row in rows),
        }
        for system, rows in samples.items()
    }


def _start(system: str, folder: Path, size: int, cutouts: int, prompts: int, threads: int) -> "subprocess.Popen[str]":
    sizes = {"folder": folder, "size": size, "cutouts": cutouts, "prompts": prompts, "threads": threads}
    command = [sys.executable, __file__, "--worker", system, *(word for name, value in sizes.items() for word in (f"--{name}", str(value)))]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **limits})


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def work(options: argparse.Namespace) -> None:
    """In a process of its own: one iteration for each line that comes in, and what it took."""
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    steps = (of_package if options.worker == "big-sleep" else of_dreamsweep)(options.folder, options.size, options.cutouts, options.prompts)
    if options.worker == OURS[1]:
        from dreamsweep.compute.precision import iterate_with_precision

        steps = iterate_with_precision("bfloat16", steps)
    for _ in sys.stdin:
        wall, cpu = time.monotonic(), time.process_time()
        loss = next(steps)
        record = {"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu, "peak": peak_gib(), "loss": loss}
        print(json.dumps(record), flush=True)


def write_random_weights(folder: Path, size: int) -> None:
    """A BigGAN's and a CLIP's state dicts, of full size."""
    import torch
    from safetensors.torch import save_file

    from dreamsweep.models.biggan import plain, with_spectral_norm

    stock = stock_clip()
    torch.manual_seed(0)
    state = with_spectral_norm(plain(config(size), seed=0))
    save_file({name: tensor.detach().contiguous() for name, tensor in state.items()}, folder / "biggan.safetensors")
    save_file(dict(stock(*VIT_B_32).state_dict()), folder / "clip.safetensors")


def config(size: int) -> Any:
    from pytorch_pretrained_biggan import BigGANConfig

    blocks = [[bool(doubles), before, after] for doubles, before, after in LAYERS[size]]
    return BigGANConfig(output_dim=size, layers=blocks, attention_layer_position=ATTENTION)


def stock_clip() -> Callable[..., Any]:
    from dreamsweep.perceptors.clip_package import import_clip

    import_clip()
    from clip import model

    return model.CLIP  # type: ignore[no-any-return]


def of_dreamsweep(folder: Path, size: int, cutouts: int, prompts: int) -> Iterator[float]:
    """The first trial's loss of each iteration."""
    import torch
    from pytorch_pretrained_biggan import BigGAN
    from safetensors.torch import load_file

    from dreamsweep.engines.big_sleep import BigSleepEngine
    from dreamsweep.guidance.guides import ClipGuide
    from dreamsweep.models.biggan import Biggan, frozen
    from dreamsweep.perceptors.clip_state import OPENAI, clip_model
    from dreamsweep.perceptors.two_towers import Pixels, TwoTowerPerceptor, clip_tokens
    from dreamsweep.spec import BigSleepSpec, Trial

    model = BigGAN(config(size))
    model.load_state_dict(load_file(folder / "biggan.safetensors"))
    clip = clip_model(load_file(folder / "clip.safetensors"), OPENAI, torch.float32)
    spec = BigSleepSpec.model_validate(
        {"image_size": size, "cutouts": cutouts, "contrast": 0, "start": "noise", "class_weight": 1, "num_iter": 10_000}
    )
    common = {"guide": "ViT-B/32", "weights": "published"}
    trials = [Trial.model_validate({"prompt": PROMPT, "engine": spec, "seed": SEED + i, **common}) for i in range(prompts)]
    guide = ClipGuide(TwoTowerPerceptor("ViT-B/32", clip, clip_tokens, Pixels(), "", "cpu"), trials)
    for step in BigSleepEngine(spec, Biggan("random", frozen(model), (), "", "cpu")).generate(trials, guide):
        yield float(step.loss[0])


def of_package(folder: Path, size: int, cutouts: int, prompts: int) -> Iterator[float]:
    """The loss of each iteration, one prompt; its training step as `Imagine.train_step` makes it."""
    import torch
    from safetensors.torch import load_file

    from dreamsweep.compute.randomness import Draws
    from dreamsweep.guidance.cutouts import draw_boxes
    from dreamsweep.perceptors.starter import PIXEL_MEAN, PIXEL_STD
    from dreamsweep.spec import BigSleepSpec

    package = import_package()
    from big_sleep import biggan as its_biggan
    from big_sleep import clip as its_clip
    from torchvision.transforms import Normalize

    model, clip = its_biggan.BigGAN(config(size)), its_clip.CLIP(*VIT_B_32)
    model.load_state_dict(load_file(folder / "biggan.safetensors"))
    clip.load_state_dict(load_file(folder / "clip.safetensors"))
    package.load = lambda name, jit: (clip.eval(), Normalize(PIXEL_MEAN, PIXEL_STD))
    package.BigGAN.from_pretrained = lambda name: model
    sleep = package.BigSleep(num_cutouts=cutouts, image_size=size)
    latents = sleep.model.latents
    latents.model.normu.data = Draws([SEED]).normal("latents", *latents.model.normu.shape)[0]
    latents.model.cls.data = Draws([SEED]).normal("classes", *latents.model.cls.shape)[0] * 0.3 - 3.9
    optimizer = torch.optim.Adam(latents.model.parameters(), 0.07)
    text = clip.encode_text(package.tokenize(PROMPT)).detach()
    spec = BigSleepSpec.model_validate({"image_size": size, "cutouts": cutouts})
    iteration = 0
    while True:
        iteration += 1
        corners, sizes = draw_boxes(spec.boxes, Draws([SEED], iteration), size)
        boxes = iter(zip(corners[0].tolist(), sizes[0].tolist(), strict=True))

        def cut(image: Any, size: int, boxes: Iterator[Any] = boxes, **_: object) -> Any:
            (row, column), side = next(boxes)
            return image[:, :, row : row + side, column : column + side]

        package.rand_cutout = cut
        _, losses = sleep([text])
        loss = sum(losses)
        loss.backward()
        optimizer.step()
        latents.update()
        optimizer.zero_grad()
        yield float(loss)


def import_package() -> Any:
    """`big_sleep`, which refuses to be imported without CUDA and takes Ctrl-C for itself."""
    import torch

    from dreamsweep.compute.torchvision_ops import declare_missing_ops

    declare_missing_ops()
    before, has_cuda = signal.getsignal(signal.SIGINT), torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    try:
        from big_sleep import big_sleep
    finally:
        torch.cuda.is_available = has_cuda
        signal.signal(signal.SIGINT, before)
    return big_sleep


def peak_gib() -> float:
    """Of this process since it began."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # bytes on a Mac
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def machine(threads: int) -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {version('torch')}, big-sleep {version('big-sleep')}"
    return f"{processor}, {os.cpu_count()} cores, {threads} thread(s), {platform.system()}; {versions}; {datetime.now(UTC):%Y-%m-%d}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="BigGAN-deep-128, 16 cutouts, one prompt")
    parser.add_argument("--case", type=lambda text: tuple(map(int, text.split(","))), help="only this many cutouts, prompts: 128,1")
    parser.add_argument("--runs", type=int, default=3, help="iterations that the medians are over (3)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each process (1)")
    parser.add_argument("--worker", choices=["big-sleep", *OURS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    for name in ("size", "cutouts", "prompts"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()

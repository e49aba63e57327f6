"""What a GPU makes of each engine: trial iterations a second, CPU time an iteration, memory, and the same work by its peer in the same run.

    python benchmarks/gpu.py --out gpu.json                    # one card, random weights of full size, under six minutes
    python benchmarks/gpu.py --small                           # any machine: tiny networks, to see that every row runs

Networks have random weights: speed does not depend on them. `plain` is what runs by default, `graphs` is DREAMSWEEP_GRAPHS=1. A row that
fails says why, and the others go on. Times are medians over iterations after those that do not count, between two waits for the device;
the share of the peak is the networks' arithmetic (torch's FlopCounterMode) by the time, against a product of bfloat16 matrices on this
card.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
warnings.simplefilter("ignore")

import peers  # noqa: E402
import torch  # noqa: E402

SMALL_CLIP = (64, 224, 2, 64, 32, 77, 49408, 64, 2, 2)
PROMPT = "a red heart"
WARM_UP, LEAST, SECONDS = 6, 5, 3.0
"""Iterations that do not count, how many count at least, and for how long more are taken."""


def main() -> None:
    options = _options()
    from dreamsweep.compute.torchvision_ops import declare_missing_ops

    declare_missing_ops()  # before diffusers looks for torchvision
    bench = Bench("cpu" if options.small else "cuda", options.small, options.only)
    bench.limits()
    for size, cutouts, batch in [(128, 4, 1)] if options.small else [(512, 128, 1), (512, 128, 8), (512, 32, 16)]:
        for system in ("plain", "graphs"):
            bench.row("big-sleep", f"{size} px, {cutouts} cutouts", batch, system, lambda: big_sleep(bench, size, cutouts, batch))  # noqa: B023
    size, cutouts = (128, 4) if options.small else (512, 128)
    bench.row("big-sleep", f"{size} px, {cutouts} cutouts", 1, "package big-sleep", lambda: package(bench, size, cutouts))
    for size, cutouts, batch in [(64, 4, 1)] if options.small else [(512, 64, 1), (512, 64, 4), (256, 64, 4)]:
        for system in ("plain", "graphs"):
            bench.row("dalle", f"{size} px, {cutouts} cutouts", batch, system, lambda: dalle(bench, size, cutouts, batch))  # noqa: B023
    for batch in (1, 2) if options.small else (1, 32):
        bench.row("strokes", "256 paths", batch, "plain", lambda: strokes(bench, batch))  # noqa: B023
    for batch in (1,) if options.small else (1, 4):
        for system in ("plain", "graphs"):
            bench.row("guided-diffusion", "Stable Diffusion 1.5", batch, system, lambda: guided_diffusion(bench, batch))  # noqa: B023
        bench.row("interpolation", "Stable Diffusion 1.5, 25 steps", batch, "plain", lambda: interpolation(bench, batch))  # noqa: B023
        bench.row("interpolation", "Stable Diffusion 1.5, 25 steps", batch, "diffusers", lambda: diffusers_pipeline(bench, batch))  # noqa: B023
    for engine in ("dalle", "big-sleep", "strokes"):
        for batch in (2,) if options.small else (8, 64):
            for system in ("plain",) if engine == "strokes" else ("plain", "graphs"):
                bench.row(engine, "starter weights", batch, system, lambda: starter(bench, engine, batch))  # noqa: B023
    bench.night(2 if options.small else 64)
    print(f"\n{bench.machine}")
    if options.out:
        options.out.write_text(json.dumps({"machine": bench.machine, "rows": bench.rows}, indent=1))


class Bench:
    """The table while it grows."""

    def __init__(self, device: str, small: bool, only: str | None) -> None:
        self.device, self.small, self.only = device, small, only
        self.rows: list[dict[str, Any]] = []
        card = torch.cuda.get_device_name() if device == "cuda" else "no GPU (--small)"
        versions = f"Python {sys.version.split()[0]}, torch {torch.__version__}, diffusers {version('diffusers')}"
        self.machine = f"{card}, {os.cpu_count()} CPUs; {versions}; {datetime.now(UTC):%Y-%m-%d}"
        self.peak = 0.0
        print("| engine | work | batch | system | trial its/s | ms | CPU ms | GiB | share of peak |\n|---|---|---|---|---|---|---|---|---|")

    def wait(self) -> None:
        """Waits for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def limits(self) -> None:
        """Measures the peak: products of two square bfloat16 matrices."""
        side = 256 if self.small else 8192
        a, b = (torch.randn(side, side, device=self.device, dtype=torch.bfloat16) for _ in "ab")
        for _ in range(3):
            a @ b
        self.wait()
        begun = time.perf_counter()
        for _ in range(5):
            a @ b
        self.wait()
        self.peak = 5 * 2 * side**3 / (time.perf_counter() - begun)
        self.machine += f"; bfloat16 products {self.peak / 1e12:.3g} TFLOP/s"

    def row(self, engine: str, work: str, batch: int, system: str, make: Callable[[], Iterator[object]]) -> None:
        """Measures one row. `make` begins the work; each item is an iteration of the batch."""
        if self.only and self.only not in (engine, system):
            return
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        record: dict[str, Any] = {"engine": engine, "work": work, "batch": batch, "system": system}
        os.environ["DREAMSWEEP_GRAPHS"] = "1" if system == "graphs" else "0"
        try:
            flops = self.arithmetic(make()) if system == "plain" else None
            record |= self.paced(make(), batch)
            if flops and not self.small:
                record["share"] = flops / record["seconds"] / self.peak
            share = f"{record['share']:.0%}" if "share" in record else "–"
            figures = f"{record['rate']:.3g} | {record['seconds'] * 1e3:.1f} | {record['cpu'] * 1e3:.1f} | {record['gib']:.1f}"
            print(f"| {engine} | {work} | {batch} | {system} | {figures} | {share} |", flush=True)
        except Exception as error:  # noqa: BLE001 - the other rows are worth having
            record["error"] = f"{type(error).__name__}: {error}"
            print(f"| {engine} | {work} | {batch} | {system} | {record['error'].splitlines()[0][:120]} |", flush=True)
        self.rows.append(record)

    def paced(self, steps: Iterator[object], batch: int) -> dict[str, float]:
        """Takes iterations; returns medians of their seconds and CPU seconds, trial iterations a second, and the peak memory in GiB."""
        walls, cpus, end = [], [], float("inf")
        warm_up, least = (1, 1) if self.small else (WARM_UP, LEAST)
        for number in range(10_000):
            if number >= warm_up + least and time.perf_counter() > end:
                break
            self.wait()
            wall, cpu = time.perf_counter(), time.process_time()
            next(steps)
            self.wait()
            if number >= warm_up:
                end = min(end, wall + (0 if self.small else SECONDS))
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
        gib = torch.cuda.max_memory_allocated() / 2**30 if self.device == "cuda" else 0.0
        return {"seconds": statistics.median(walls), "cpu": statistics.median(cpus), "rate": batch / statistics.median(walls), "gib": gib}

    def arithmetic(self, steps: Iterator[object]) -> float:
        """Counts the floating-point operations of the first iteration."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            next(steps)
        return float(counter.get_total_flops())

    def night(self, trials: int) -> None:
        """Draws a whole shard into a store, pictures, films and rows included."""
        from dreamsweep.generation.shard import run_shard
        from dreamsweep.planning.expand import shards
        from dreamsweep.planning.sweep_file import parse_sweep
        from dreamsweep.store.local import LocalStore

        if self.only and self.only != "night":
            return
        iterations = 10 if self.small else 100
        wanted = {"prompts": [PROMPT], "engines": ["dalle"], "seeds": list(range(trials)), "iterations": iterations, "shard_size": trials}
        with tempfile.TemporaryDirectory(prefix="dreamsweep-benchmark-") as folder:
            begun, cpu = time.perf_counter(), time.process_time()
            for shard in shards(parse_sweep({"name": "gpu", **wanted}, Path(folder), "gpu")):
                for _ in run_shard(shard, LocalStore(Path(folder)), self.device):
                    pass
            wall = time.perf_counter() - begun
        record = {"engine": "dalle", "work": "whole shard", "batch": trials, "system": "plain", "pictures_an_hour": 3600 * trials / wall}
        self.rows.append(record | {"seconds": wall, "cpu": time.process_time() - cpu})
        work = f"whole shard with its store, {iterations} iterations"
        print(f"| dalle | {work} | {trials} | plain | {3600 * trials / wall:.0f} pictures an hour |")


@contextmanager
def seeded() -> Iterator[None]:
    """Networks made in here have the same random weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def trials_of(spec: Any, batch: int, **more: object) -> list[Any]:
    """Returns a batch of one prompt."""
    from dreamsweep.spec import Trial

    common = {"prompt": PROMPT, "engine": spec, "guide": "ViT-B/32", "weights": "published", **more}
    return [Trial.model_validate({**common, "seed": 3 + number}) for number in range(batch)]


def guide_of(bench: Bench, trials: list[Any]) -> Any:
    """Returns ViT-B/32 with random weights, in half precision on a GPU, as it is loaded."""
    from dreamsweep.guidance.guides import make_guide
    from dreamsweep.perceptors.clip_state import OPENAI, clip_model
    from dreamsweep.perceptors.two_towers import Pixels, TwoTowerPerceptor, clip_tokens

    with seeded():
        clip = peers.stock_clip()(*(SMALL_CLIP if bench.small else peers.VIT_B_32))
    dtype = torch.float32 if bench.device == "cpu" else torch.float16
    network = clip_model(clip.state_dict(), OPENAI, dtype)
    return make_guide([(TwoTowerPerceptor("ViT-B/32", network, clip_tokens, Pixels(), "", bench.device), 1.0)], trials)


def in_bfloat16(bench: Bench, steps: Iterator[Any]) -> Iterator[Any]:
    """Computes networks in bfloat16 on a GPU, as every row does but those of Stable Diffusion, which is loaded in float16."""
    from dreamsweep.compute.precision import iterate_with_precision

    return steps if bench.small else iterate_with_precision("bfloat16", steps)


def big_sleep(bench: Bench, size: int, cutouts: int, batch: int) -> Iterator[Any]:
    """BigGAN-deep with ViT-B/32."""
    from dreamsweep.engines.big_sleep import BigSleepEngine
    from dreamsweep.models.biggan import Biggan, plain
    from dreamsweep.spec import BigSleepSpec

    settings = {"image_size": size, "cutouts": cutouts, "contrast": 0, "start": "noise", "class_weight": 1, "num_iter": 10_000}
    trials = trials_of(BigSleepSpec.model_validate(settings), batch)
    model = plain(peers.config(size), seed=0).eval().requires_grad_(False).to(bench.device)
    engine = BigSleepEngine(trials[0].engine, Biggan("random", model, (), "", bench.device))
    return in_bfloat16(bench, engine.generate(trials, guide_of(bench, trials)))


def package(bench: Bench, size: int, cutouts: int) -> Iterator[Any]:
    """The package big-sleep as it comes, on the same networks."""
    folder = Path(tempfile.mkdtemp(prefix="dreamsweep-benchmark-"))
    peers.write_random_weights(folder, size)
    before = torch.get_default_device()
    torch.set_default_device(bench.device)
    try:
        yield from peers.of_package(folder, size, cutouts, 1)
    finally:
        torch.set_default_device(before)


def dalle(bench: Bench, size: int, cutouts: int, batch: int) -> Iterator[Any]:
    """DALL-E's decoder with ViT-B/32."""
    from dreamsweep.engines.dalle import DalleEngine
    from dreamsweep.models.dvae import Dvae, DvaeShape, build_decoder, build_encoder
    from dreamsweep.spec import DalleSpec

    settings = {"image_size": size, "cutouts": cutouts, "contrast": 0, "start": "noise", "code_prior": 0, "num_iter": 10_000}
    trials = trials_of(DalleSpec.model_validate(settings), batch)
    shape = DvaeShape(64, 32, 512) if bench.small else DvaeShape(256, 128, 8192)
    with seeded():
        encoder, decoder = (build(shape).eval().requires_grad_(False).to(bench.device) for build in (build_encoder, build_decoder))
    engine = DalleEngine(trials[0].engine, Dvae(encoder, decoder, shape.codes, None, None, "", bench.device))
    return in_bfloat16(bench, engine.generate(trials, guide_of(bench, trials)))


def strokes(bench: Bench, batch: int) -> Iterator[Any]:
    """CLIPDraw's canvas and cutouts, with ViT-B/32."""
    from dreamsweep.engines.strokes import StrokesEngine
    from dreamsweep.spec import StrokesSpec

    settings = {"num_paths": 16, "canvas": 64, "cutouts": 2} if bench.small else {"num_paths": 256, "canvas": 224}
    trials = trials_of(StrokesSpec.model_validate({**settings, "contrast": 0, "num_iter": 10_000}), batch)
    return in_bfloat16(bench, StrokesEngine(trials[0].engine, bench.device).generate(trials, guide_of(bench, trials)))


def stable_diffusion(bench: Bench) -> Any:
    """Returns Stable Diffusion 1.5 with random weights, and random conditions in place of its text encoder's."""
    import diffusers

    from dreamsweep.models.stable_diffusion import Condition, StableDiffusion

    library: Any = diffusers  # untyped
    widths, depths = ((32, 64, 64, 64), (32, 32, 32, 32)) if bench.small else ((320, 640, 1280, 1280), (128, 256, 512, 512))
    with seeded():
        unet = library.UNet2DConditionModel(
            sample_size=16 if bench.small else 64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=widths
        )
        vae = library.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=depths,
            layers_per_block=2, latent_channels=4, sample_size=512,
        )  # fmt: skip
    scheduler = library.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    parts = {"text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None}
    pipeline = library.StableDiffusionPipeline(
        vae=vae.eval(), unet=unet.eval(), scheduler=scheduler, requires_safety_checker=False, **parts
    )
    pipeline = pipeline if bench.small else pipeline.to(bench.device, torch.float16)  # as published weights are loaded
    pipeline.set_progress_bar_config(disable=True)
    for network in (pipeline.vae, pipeline.unet):
        network.requires_grad_(False)
    model = StableDiffusion(pipeline, "random", "", bench.device)
    condition = Condition(torch.randn(77, 768, device=bench.device), None)
    model.condition = lambda text, prompt: condition  # type: ignore[method-assign]
    model.against = lambda prompt: condition  # type: ignore[method-assign]
    return model


def guided_diffusion(bench: Bench, batch: int) -> Iterator[Any]:
    """A guided step: predict, decode, look, and back through all of it."""
    from dreamsweep.engines.guided_diffusion import GuidedDiffusionEngine
    from dreamsweep.spec import GuidedDiffusionSpec

    settings = {"num_iter": 4 if bench.small else 100, "cutouts": 2 if bench.small else 16, "contrast": 0, "guidance_scale": 7.5}
    trials = trials_of(GuidedDiffusionSpec.model_validate(settings), batch)
    engine = GuidedDiffusionEngine(trials[0].engine, stable_diffusion(bench))
    return engine.generate(trials, guide_of(bench, trials))


def interpolation(bench: Bench, batch: int) -> Iterator[Any]:
    """A frame of a walk; an iteration is a frame."""
    from dreamsweep.engines.interpolation import InterpolationEngine
    from dreamsweep.spec import InterpolationSpec

    settings = {"num_iter": 60, "steps": 2 if bench.small else 25, "frames_at_once": 1, "guidance_scale": 7.5, "scheduler": "ddim"}
    trials = trials_of(InterpolationSpec.model_validate(settings), batch, prompt={"text": PROMPT, "to": ["a green apple"]})
    engine = InterpolationEngine(trials[0].engine, stable_diffusion(bench))
    return engine.generate(trials, guide_of(bench, trials))


def diffusers_pipeline(bench: Bench, batch: int) -> Iterator[Any]:
    """The same frames by diffusers' own pipeline and scheduler, no guide looking on."""
    import diffusers

    model = stable_diffusion(bench)
    scheduler: Any = diffusers.DDIMScheduler  # untyped
    model.pipeline.scheduler = scheduler.from_config(model.trained_with)
    embeds = torch.randn(batch, 77, 768, device=bench.device, dtype=model.pipeline.unet.dtype)
    side = 128 if bench.small else 512
    while True:
        yield model.pipeline(
            prompt_embeds=embeds, negative_prompt_embeds=embeds, num_inference_steps=2 if bench.small else 25, guidance_scale=7.5,
            height=side, width=side, output_type="pt",
        )  # fmt: skip


def starter(bench: Bench, engine: str, batch: int) -> Iterator[Any]:
    """An engine as it comes, with what ships."""
    from dreamsweep.engines import make_engine
    from dreamsweep.guidance.guides import make_guide
    from dreamsweep.perceptors import load_perceptor
    from dreamsweep.spec import ENGINES

    trials = trials_of(ENGINES[engine].model_validate({"num_iter": 10_000}), batch, guide="starter-guide", weights="starter")
    guide = make_guide([(load_perceptor("starter-guide", bench.device), 1.0)], trials)
    return make_engine(trials[0].engine, "starter", bench.device).generate(trials, guide)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="tiny networks on the CPU, one iteration a row: shows that every row runs")
    parser.add_argument("--only", help="only rows of this engine or system, such as dalle or graphs; night for the whole shard")
    parser.add_argument("--out", type=Path, help="writes the table as JSON too")
    options = parser.parse_args()
    if not options.small and not torch.cuda.is_available():
        parser.error("there is no CUDA device; --small shows that every row runs")
    return options


if __name__ == "__main__":
    main()

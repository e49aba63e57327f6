"""The recipe of the starter weights, as commands: `python -m dreamsweep.training all`."""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from dreamsweep.errors import DreamsweepError, UserError
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.training.art import Art, load_art
from dreamsweep.training.export import SEEDS, export_all
from dreamsweep.weights.starter import weights_folder

NEVER = 2.0
ALL = (
    "guide", "judge", "dvae", "biggan", "vae", "export", "auditor", "diffusion", "unclip", "export", "segmenter", "export", "evaluate",
)  # fmt: skip
"""In this order: the auditor learns from what the exported guide steers, the diffusion and unCLIP read texts as it does, and the segmenter
reads pictures with the exported auditor's network."""


def main() -> int:
    """Runs one command; 2 for what the user can fix, 1 for what may pass by itself."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    try:
        art = load_art(options.folder)
        for command in ALL if options.command == "all" else (options.command,):
            _run(command, art, options)
    except DreamsweepError as error:
        print(f"dreamsweep: {error}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from the last checkpoint.", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dreamsweep.training", description="Trains, exports and marks the starter weights; goes on where it stopped."
    )
    parser.add_argument("command", choices=["art", "restore", *dict.fromkeys(ALL), "all"])
    parser.add_argument("--folder", type=Path, default=Path(".starter"), help="where art and checkpoints are kept (default: .starter)")
    parser.add_argument("--device", default="cpu", help="what all but guide, judge and dvae are trained on: cpu or cuda (default: cpu)")
    parser.add_argument(
        "--minutes",
        type=float,
        help="ends the BigGAN's last stage, the diffusion's, unCLIP's or segmenter's training after so many minutes (default: no limit)",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    return parser


def _run(command: str, art: Art, options: argparse.Namespace) -> None:
    limited = partial(replace, minutes=options.minutes)
    match command:
        case "guide" | "judge":
            from dreamsweep.training.train_clip import ClipRun, train_clip

            run = ClipRun(seed=SEEDS[command], attack_from=NEVER) if command == "judge" else ClipRun(seed=SEEDS[command])
            train_clip(art, run, options.folder)
        case "restore":
            from dreamsweep.training.restore import restore

            for name in restore(options.folder):
                print(f"restored {name}")  # noqa: T201
        case "auditor":
            from dreamsweep.training.train_auditor import AuditorRun, train_auditor

            train_auditor(art, AuditorRun(), options.folder)
        case "segmenter":
            from dreamsweep.training.train_segmenter import SEGMENTER_RUN, train_segmenter

            train_segmenter(art, limited(SEGMENTER_RUN), options.folder, options.device)
        case "dvae":
            from dreamsweep.training.train_dvae import DvaeRun, train_dvae

            train_dvae(art, DvaeRun(), options.folder)
        case "biggan":
            from dreamsweep.training.train_biggan import STAGES, train_biggan

            *growing, last = STAGES
            train_biggan(art, (*growing, replace(last, run=limited(last.run))), options.folder, options.device)
        case "vae":
            from dreamsweep.training.train_vae import VaeRun, train_vae

            train_vae(art, VaeRun(), options.folder, options.device)
        case "diffusion":
            from dreamsweep.training.train_diffusion import DIFFUSION_RUN, train_diffusion

            train_diffusion(art, _guide(options.device), limited(DIFFUSION_RUN), options.folder, options.device)
        case "unclip":
            from dreamsweep.training import train_unclip as unclip

            unclip.train_prior(art, _guide(options.device), limited(unclip.PRIOR_RUN), options.folder, options.device)
            unclip.train_autoregressive_prior(
                art, _guide(options.device), limited(unclip.AUTOREGRESSIVE_RUN), options.folder, options.device
            )
            unclip.train_decoder(art, _guide(options.device), limited(unclip.DECODER_RUN), options.folder, options.device)
            unclip.train_upsampler(art, limited(unclip.UPSAMPLER_RUN), options.folder, options.device)
        case "export":
            for name in export_all(art, options.folder, weights_folder()):
                print(f"exported {name}")  # noqa: T201
        case "evaluate":
            from dreamsweep.training.evaluate import evaluate

            for mark in evaluate(art, options.folder):
                print(f"{mark.what:80} {mark.figure}")  # noqa: T201
        case _:
            print(f"art: {len(art.rgba)} pictures of {len(art.names)} names in {options.folder}")  # noqa: T201


def _guide(device: str) -> StarterPerceptor:
    """Returns the exported guide: what the networks that read texts learn beside."""
    from dreamsweep.perceptors.starter import load_starter

    return load_starter("starter-guide", device)


if __name__ == "__main__":
    sys.exit(main())

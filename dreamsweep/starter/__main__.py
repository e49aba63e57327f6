"""The recipe of the starter weights, as commands: `python -m dreamsweep.starter all`."""

import argparse
import sys
from pathlib import Path

import torch

from dreamsweep.errors import DreamsweepError
from dreamsweep.perceptors.starter import StarterPerceptor
from dreamsweep.starter.art import Art, load_art
from dreamsweep.starter.export import SEEDS, export_all
from dreamsweep.starter.files import weights_folder

NEVER = 2.0
ALL = ("guide", "judge", "dvae", "biggan", "vae", "export", "diffusion", "unclip", "export", "evaluate")
"""In this order: the diffusion and unCLIP read texts as the exported guide does."""


def main() -> int:
    """Runs one command; 2 for what the user can mend."""
    asked = _parser().parse_args()
    torch.set_num_threads(asked.threads)
    try:
        art = load_art(asked.folder)
        for command in ALL if asked.command == "all" else (asked.command,):
            _run(command, art, asked)
    except DreamsweepError as error:
        print(f"dreamsweep: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from the last checkpoint.", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dreamsweep.starter", description="Trains, exports and marks the starter weights; goes on where it stopped."
    )
    parser.add_argument("command", choices=["art", *dict.fromkeys(ALL), "all"])
    parser.add_argument("--folder", type=Path, default=Path(".starter"), help="where art and checkpoints are kept (default: .starter)")
    parser.add_argument("--device", default="cpu", help="what all but guide, judge and dvae are trained on: cpu or cuda (default: cpu)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    return parser


def _run(command: str, art: Art, asked: argparse.Namespace) -> None:
    match command:
        case "guide" | "judge":
            from dreamsweep.starter.train_clip import ClipRun, train_clip

            run = ClipRun(seed=SEEDS[command], attack_from=NEVER) if command == "judge" else ClipRun(seed=SEEDS[command])
            train_clip(art, run, asked.folder)
        case "dvae":
            from dreamsweep.starter.train_dvae import DvaeRun, train_dvae

            train_dvae(art, DvaeRun(), asked.folder)
        case "biggan":
            from dreamsweep.starter.train_biggan import BigganRun, train_biggan

            train_biggan(art, BigganRun(), asked.folder, asked.device)
        case "vae":
            from dreamsweep.starter.train_vae import VaeRun, train_vae

            train_vae(art, VaeRun(), asked.folder, asked.device)
        case "diffusion":
            from dreamsweep.starter.train_diffusion import DIFFUSION_RUN, train_diffusion

            train_diffusion(art, _guide(asked.device), DIFFUSION_RUN, asked.folder, asked.device)
        case "unclip":
            from dreamsweep.starter import train_unclip as unclip

            unclip.train_prior(art, _guide(asked.device), unclip.PRIOR_RUN, asked.folder, asked.device)
            unclip.train_autoregressive_prior(art, _guide(asked.device), unclip.AUTOREGRESSIVE_RUN, asked.folder, asked.device)
            unclip.train_decoder(art, _guide(asked.device), unclip.DECODER_RUN, asked.folder, asked.device)
            unclip.train_upsampler(art, unclip.UPSAMPLER_RUN, asked.folder, asked.device)
        case "export":
            for name in export_all(art, asked.folder, weights_folder()):
                print(f"exported {name}")  # noqa: T201
        case "evaluate":
            from dreamsweep.starter.evaluate import evaluate

            for mark in evaluate(art, asked.folder):
                print(f"{mark.what:80} {mark.figure}")  # noqa: T201
        case _:
            print(f"art: {len(art.rgba)} pictures of {len(art.names)} names in {asked.folder}")  # noqa: T201


def _guide(device: str) -> StarterPerceptor:
    """The exported guide: what the networks that read texts learn beside."""
    from dreamsweep.perceptors.starter import load_starter

    return load_starter("starter-guide", device)


if __name__ == "__main__":
    sys.exit(main())

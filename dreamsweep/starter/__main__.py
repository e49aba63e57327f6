"""The recipe of the starter weights, as commands: `python -m dreamsweep.starter all`."""

import argparse
import sys
from pathlib import Path

import torch

from dreamsweep.errors import DreamsweepError
from dreamsweep.starter.art import Art, load_art
from dreamsweep.starter.files import weights_folder

SEEDS = {"guide": 2, "judge": 1}
NEVER = 2.0


def main() -> int:
    """Runs one command; 2 for what the user can mend."""
    asked = _parser().parse_args()
    torch.set_num_threads(asked.threads)
    try:
        art = load_art(asked.folder)
        for command in ("guide", "judge", "dvae", "biggan", "export", "evaluate") if asked.command == "all" else (asked.command,):
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
    parser.add_argument("command", choices=["art", "guide", "judge", "dvae", "biggan", "export", "evaluate", "all"])
    parser.add_argument("--folder", type=Path, default=Path(".starter"), help="where art and checkpoints are kept (default: .starter)")
    parser.add_argument("--device", default="cpu", help="what `biggan` is trained on: cpu or cuda (default: cpu)")
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
        case "export":
            from dreamsweep.starter.export import export_biggan, export_clip, export_dvae

            for name, seed in SEEDS.items():
                export_clip(art, asked.folder / f"clip-{seed}.pt", weights_folder() / f"starter-{name}.safetensors")
            export_dvae(art, asked.folder / "dvae.pt", weights_folder() / "starter-dvae.safetensors")
            export_biggan(art, asked.folder / "biggan.pt", weights_folder() / "starter-biggan.safetensors")
        case "evaluate":
            from dreamsweep.starter.evaluate import evaluate

            for mark in evaluate(art, asked.folder / "guided.png"):
                print(f"{mark.what:80} {mark.figure}")  # noqa: T201
        case _:
            print(f"art: {len(art.rgba)} pictures of {len(art.names)} names in {asked.folder}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())

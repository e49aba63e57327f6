"""`dreamsweep new`: a sweep file to begin with."""

import re
from pathlib import Path
from typing import Annotated

import typer

from dreamsweep.cli.terminal import say
from dreamsweep.errors import UserError

TEMPLATE = """\
# Every prompt × every engine setting × every seed is one trial: one picture, with its film and its scores.
# `dreamsweep plan {file}` says how many trials these are, and about how long they take.

name: {name}                      # {{date}} in it makes a sweep of its own every day

prompts:
- a red heart
- {{text: a green apple, negatives: [a red apple]}}      # to be kept away from
# - {{file: prompts.txt}}                                # one prompt a line; .csv, .tsv, .json and .yaml as well
# - {{template: "a {{colour}} {{thing}}", colour: [red, blue], thing: [heart, star]}}

engines:                          # a list of values makes a trial of each
- {{engine: strokes, num_paths: [64, 128]}}
- dalle
# - big-sleep
# - {{engine: guided-diffusion, guide_strength: [0.5, 1]}}
# - unclip

seeds: [0, 1]                     # or {{count: 8}}, or {{count: 8, daily: true}} for others every day
iterations: 60
snapshot_every: 20                # a picture is kept so often; 0 keeps the last and the best alone
films: [webp]                     # also gif and mp4

# What steers the pictures, and what scores them. The small weights that ship with dreamsweep need no download:
guide: starter-guide              # or ViT-B/32, ViT-L/14, a list of several; `dreamsweep weights list` names them all
judge: starter-judge
# judges: [labels:things, views:starter-judge]   # score each best picture once more, and choose nothing
weights: starter                  # or published: the full-size engines, on a GPU

# schedule: {{cron: "0 2 * * *", timezone: Europe/Berlin}}   # for `dreamsweep schedule`, `up` and `deploy`
"""


def new(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The sweep's name, and the file's without .yaml.")] = "my-sweep",
) -> None:
    """Write a sweep file with comments, to change and to run. An existing file is left alone."""
    plain = name.removesuffix(".yaml").removesuffix(".yml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", plain):
        raise UserError(f"NAME: {name!r} is no name for a sweep; take letters, digits, '-', '_' and '.'.")
    path = Path(f"{plain}.yaml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.format(name=plain, file=path))
    except FileExistsError:
        raise UserError(f"{path} is there already; give another name: dreamsweep new NAME.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from None
    say(f"{path} is written. Next: dreamsweep plan {path}, dreamsweep run {path}")

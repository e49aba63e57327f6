"""How well scores of networks tell pictures that a viewer could name from those that the viewer could not (docs/naming.md).

    python benchmarks/naming.py

Reads the answers of the blind naming test and its pictures (`tests/data`). Prints, seed by seed and engine by engine, the share of
pictures that were named and the area under the ROC curve of the starter guide, judge, auditor and segmenter: the share of
pairs of a named and an unnamed picture in which the named one has the higher score. The last rows: all pictures, a 95 % interval
(bootstrap over prompts), and pairs of pictures of one prompt alone, which is what sorting within a prompt gets right. Last, the same
pairs on the wall of `prompts/engines.yaml`, by the ranks that the sweep's own run gave its trials.
"""

import csv
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from dreamsweep.judges.auditor import LEAST_SHARE, Calibration, load_auditor
from dreamsweep.report.ranks import AUDITOR_WEIGHT

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
SIDE, COLUMNS = 128, 16
"""Pixels on a side of a picture, and pictures in a row, of the files with pictures."""
DRAWS = 1000
OTHER_WORDS = {"blue": ("teal", "turquoise"), "yellow": ("gold", "golden"), "purple": ("violet",)}
"""Words of answers that count as a colour."""
SHIPPED = AUDITOR_WEIGHT / (1 + AUDITOR_WEIGHT)
SHARES = (0, 0.25, 0.5, 0.67, SHIPPED, 0.9, 1)
"""Shares of the auditor in a standing that are compared."""
NETWORKS = ("starter-guide", "starter-judge", "starter-auditor", "starter-segmenter")


@dataclass(frozen=True)
class Named:
    """A picture of the naming test."""

    number: int
    """Place among the pictures of its seed, from 0."""
    seed: int
    prompt: str
    engine: str
    was_named: bool


def read_pictures() -> list[Named]:
    """Returns the pictures of the naming test with what became of each, seed by seed."""
    with (DATA / "naming.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [Named(int(row["picture"]), int(row["seed"]), row["prompt"], row["engine"], row["named"] == "yes") for row in rows]


def atlas_of(seed: int) -> Path:
    """Returns the file with the pictures of a seed."""
    return DATA / ("naming.webp" if seed == 0 else f"naming-seed-{seed}.webp")


def area(scores: Sequence[float], named: Sequence[bool]) -> float:
    """Returns the area under the ROC curve; not a number where all pictures or none were named."""
    high = np.array([score for score, yes in zip(scores, named, strict=True) if yes])
    low = np.array([score for score, yes in zip(scores, named, strict=True) if not yes])
    if not len(high) or not len(low):
        return float("nan")
    return float(((high[:, None] > low).mean() + (high[:, None] >= low).mean()) / 2)


def score_all(pictures: Sequence[Named]) -> dict[str, list[float]]:
    """Returns each network's score of each picture.

    Cosine to the prompt by guide and judge, share of the prompt's thing among all things by the auditor, and the share of the picture that
    the prompt's thing covers by the segmenter.
    """
    import torch

    from dreamsweep.guidance.targets import shrink
    from dreamsweep.guidance.wording import things_in
    from dreamsweep.judges.segments import classes_in, shares_of
    from dreamsweep.models.starter_segmenter import load_starter_segmenter
    from dreamsweep.perceptors import load_perceptor

    atlases = {seed: np.asarray(Image.open(atlas_of(seed)).convert("RGB")) for seed in {picture.seed for picture in pictures}}
    places = [(picture.seed, picture.number // COLUMNS * SIDE, picture.number % COLUMNS * SIDE) for picture in pictures]
    tiles = np.stack([atlases[seed][top : top + SIDE, left : left + SIDE] for seed, top, left in places])
    pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 255
    scores = {}
    for name in ("starter-guide", "starter-judge"):
        perceptor = load_perceptor(name, "cpu")
        texts = perceptor.embed_texts([picture.prompt for picture in pictures])
        with torch.no_grad():
            embedded = torch.cat([perceptor.embed_pictures(shrink(part, perceptor.resolution)) for part in pixels.split(40)])
        scores[name] = (embedded * texts).sum(1).tolist()
    auditor = load_auditor("cpu")
    shares = torch.cat([auditor.shares(part)[0] for part in pixels.split(40)])
    scores["starter-auditor"] = [
        float(row[[*things_in(picture.prompt, auditor.names)]].sum()) for row, picture in zip(shares, pictures, strict=True)
    ]
    segmenter = load_starter_segmenter("cpu")
    covered = torch.cat([shares_of(segmenter.classes_of(part), len(segmenter.classes)) for part in pixels.split(40)])
    scores["starter-segmenter"] = [
        float(row[[*classes_in(picture.prompt, segmenter.words)]].sum()) for row, picture in zip(covered, pictures, strict=True)
    ]
    return scores


def interval(pictures: Sequence[Named], statistic: Callable[[Sequence[int]], float]) -> tuple[float, float]:
    """Returns the 2.5th and 97.5th percentile of a statistic of pictures' places, over prompts drawn with replacement."""
    rng, prompts = random.Random(0), sorted({picture.prompt for picture in pictures})
    of_prompt = {prompt: [at for at, picture in enumerate(pictures) if picture.prompt == prompt] for prompt in prompts}
    drawn = [statistic([at for prompt in rng.choices(prompts, k=len(prompts)) for at in of_prompt[prompt]]) for _ in range(DRAWS)]
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def within_prompts(pictures: Sequence[Named], scores: Sequence[float]) -> float:
    """Returns the share of pairs of one prompt, a named and an unnamed picture, in which the named one has the higher score."""
    right = pairs = 0.0
    for high, named in zip(scores, pictures, strict=True):
        for low, unnamed in zip(scores, pictures, strict=True):
            if named.was_named and not unnamed.was_named and named.prompt == unnamed.prompt:
                right, pairs = right + (high > low) + (high == low) / 2, pairs + 1
    return right / pairs if pairs else float("nan")


def standings(pictures: Sequence[Named], judge: Sequence[float], auditor: Sequence[float], share: float) -> list[float]:
    """Returns the mean of both scores' z-scores within the prompt, of which the auditor has this share, as the table `standings` has it."""
    prompts = [picture.prompt for picture in pictures]
    means = np.zeros(len(pictures))
    for prompt in set(prompts):
        places = [at for at, other in enumerate(prompts) if other == prompt]
        for values, part in ((judge, 1 - share), (auditor, share)):
            of_prompt = np.array([values[at] for at in places])
            means[places] += part * (of_prompt - of_prompt.mean()) / (of_prompt.std() or 1)
    return [float(mean) for mean in means]


def wall_pairs() -> tuple[float, int]:
    """Returns how many pairs of the wall of `prompts/engines.yaml` are in the right order, equal ranks counting half, and their number.

    A pair is a named and an unnamed picture of one prompt; a walk and a picture of its first text are two prompts.
    """
    with (DATA / "naming-wall.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    right, pairs = 0.0, 0
    for named in rows:
        for unnamed in rows:
            same = (named["prompt"], named["to"]) == (unnamed["prompt"], unnamed["to"])
            if same and named["named"] == "yes" and unnamed["named"] == "no":
                high, low = int(named["rank"]), int(unnamed["rank"])
                right, pairs = right + (high < low) + (high == low) / 2, pairs + 1
    return right, pairs


def first_choices() -> dict[str, dict[str, int]]:
    """Returns for each sweep of the naming test how often the BigGAN's class that is chosen is the prompt's noun.

    As engines choose it; by the name that the guide finds nearest, which decides where a prompt names no thing; and by the nearest picture,
    which is how classes without names are chosen.
    """
    from dreamsweep.engines.starts import choose, likeliest_classes
    from dreamsweep.guidance.guides import make_guide
    from dreamsweep.guidance.protocol import Chooser
    from dreamsweep.models.biggan import load_biggan
    from dreamsweep.perceptors import load_perceptor
    from dreamsweep.planning.expand import trials
    from dreamsweep.planning.sweep_file import load_sweep

    with (DATA / "naming-synonyms.csv").open(encoding="utf-8", newline="") as file:
        words = {row["prompt"]: row["words"].split("|") for row in csv.DictReader(file)}
    biggan, choices = load_biggan("starter", 128, "cpu"), dict[str, dict[str, int]]()
    for sweep in ("naming.yaml", "naming-seed-2.yaml", "naming-seed-3.yaml", "naming-seed-4.yaml", "naming-seed-5.yaml"):
        of_sweep = trials(load_sweep(DATA / sweep))
        wanted = [trial.model_copy(update={"seed": 0}) for trial in of_sweep if trial.engine.engine == "big-sleep"]
        guide = make_guide([(load_perceptor("starter-guide", "cpu"), 1.0)], wanted)
        assert isinstance(guide, Chooser)
        choices[sweep] = {}
        for how, chosen in (
            ("as it ships", likeliest_classes(biggan, wanted, guide)),
            ("name", choose(guide.weigh_names(biggan.names), wanted, "class")),
            ("picture", likeliest_classes(replace(biggan, names=()), wanted, guide)),
        ):
            named = [biggan.names[index].split() for index in chosen.tolist()]
            choices[sweep][how] = sum(bool({*words[trial.prompt.text]} & {*name}) for trial, name in zip(wanted, named, strict=True))
    return choices


def print_colours() -> None:
    """Prints, seed by seed, how many answers that name anything have the prompt's colour, and how many pictures show thing and colour."""
    with (DATA / "naming.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["answer"] != "nothing"]
    for seed in sorted({row["seed"] for row in rows}):
        right = [row for row in rows if row["seed"] == seed and has_colour(row["prompt"], row["answer"])]
        both = Counter(row["engine"] for row in right if row["named"] == "yes")
        answers = sum(row["seed"] == seed for row in rows)
        print(f"Seed {seed}: the prompt's colour in {len(right)} of {answers} answers; thing and colour in {both.total()}: {dict(both)}")


def has_colour(prompt: str, answer: str) -> bool:
    """Returns whether an answer has the colour that is the prompt's second word, or another word for it."""
    colour = prompt.split()[1]
    return not {colour, *OTHER_WORDS.get(colour, ())}.isdisjoint(answer.split())


def print_table(pictures: Sequence[Named], scores: dict[str, list[float]]) -> None:
    """Prints what each network makes of these pictures, engine by engine and of all."""
    print("| engine | pictures | named by the viewer | " + " | ".join(NETWORKS) + " |")
    print("|---|---|---|" + "---|" * len(NETWORKS))
    for engine in (*sorted({picture.engine for picture in pictures}), "all"):
        chosen = [at for at, picture in enumerate(pictures) if engine in (picture.engine, "all")]
        named = [pictures[at].was_named for at in chosen]
        areas = " | ".join(f"{area([scores[name][at] for at in chosen], named):.2f}" for name in NETWORKS)
        print(f"| {engine} | {len(chosen)} | {sum(named)} ({np.mean(named):.0%}) | {areas} |")
    intervals = []
    for name in NETWORKS:

        def of_places(places: Sequence[int], name: str = name) -> float:
            return area([scores[name][at] for at in places], [pictures[at].was_named for at in places])

        intervals.append("{:.2f} to {:.2f}".format(*interval(pictures, of_places)))
    print("| all, 95 % interval | | | " + " | ".join(intervals) + " |")
    print("| pairs within a prompt | | | " + " | ".join(f"{within_prompts(pictures, scores[name]):.0%}" for name in NETWORKS) + " |")
    judge, auditor = scores["starter-judge"], [load_auditor("cpu").calibration(share) for share in scores["starter-auditor"]]
    right = [within_prompts(pictures, standings(pictures, judge, auditor, share)) for share in SHARES]
    print(f"\nPairs within a prompt by the mean z-score of judge and auditor, by the auditor's share of it ({SHIPPED:g} ships):\n")
    print("| " + " | ".join(f"{share:g}" for share in SHARES) + " |")
    print("|---" * len(SHARES) + "|")
    print("| " + " | ".join(f"{value:.0%}" for value in right) + " |\n")


def named_probabilities(shares: np.ndarray, named: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Returns how likely a viewer names each picture, by its share, calibrated on the other seeds."""
    likely = np.zeros(len(shares))
    for seed in set(seeds.tolist()):
        others = seeds != seed
        calibration = Calibration(*fit_calibration(shares[others], named[others]))
        likely[~others] = [calibration(share) for share in shares[~others]]
    return likely


def fit_calibration(shares: np.ndarray, named: np.ndarray) -> np.ndarray:
    """Returns slope and intercept of the logistic regression of "named" on the shares' log-odds."""
    within = np.clip(shares, LEAST_SHARE, 1 - LEAST_SHARE)
    inputs, weights = np.stack([np.log(within / (1 - within)), np.ones_like(within)], 1), np.zeros(2)
    for _ in range(20):  # Newton's method
        chance = 1 / (1 + np.exp(-inputs @ weights))
        weights += np.linalg.solve((inputs.T * (chance * (1 - chance))) @ inputs, inputs.T @ (named - chance))
    return weights


def print_calibration(shares: Sequence[float], pictures: Sequence[Named]) -> None:
    """Prints how many pictures of each range of the auditor's share were named, and how well a probability can be had from the share."""
    values, named = np.array(shares), np.array([picture.was_named for picture in pictures])
    seeds = np.array([picture.seed for picture in pictures])
    print("| the auditor's share | pictures | named |\n|---|---|---|")
    for low, high in itertools.pairwise((0, 0.001, 0.01, 0.1, 0.3, 1.001)):
        inside = (values >= low) & (values < high)
        print(f"| {low:g} to {min(high, 1):g} | {inside.sum()} | {named[inside].mean():.0%} |")
    for what, guess in (("share", values), ("probability from it", named_probabilities(values, named, seeds))):
        tenths = np.minimum((guess * 10).astype(int), 9)
        gaps = [(tenths == tenth).mean() * abs((guess - named)[tenths == tenth].mean()) for tenth in set(tenths.tolist())]
        print(f"\n{what}: expected calibration error {sum(gaps):.3f}, Brier score {((guess - named) ** 2).mean():.3f}", end="")
    slope, intercept = fit_calibration(values, named)
    print(f"\ncalibration on all: slope {slope:.3f}, intercept {intercept:.3f}\n")


def main() -> None:
    """Prints a table for each seed and one for all pictures, and the pairs of the wall."""
    pictures = read_pictures()
    scores = score_all(pictures)
    seeds = sorted({picture.seed for picture in pictures})
    for title, wanted in (*((f"Seed {seed}", {seed}) for seed in seeds), ("All seeds", {*seeds})):
        places = [at for at, picture in enumerate(pictures) if picture.seed in wanted]
        print(f"{title}\n")
        print_table([pictures[at] for at in places], {name: [values[at] for at in places] for name, values in scores.items()})
    print_calibration(scores["starter-auditor"], pictures)
    for sweep, choices in first_choices().items():
        print(f"{sweep}: of 20 prompts the first class is the noun of " + ", ".join(f"{count} ({how})" for how, count in choices.items()))
    print_colours()
    right, pairs = wall_pairs()
    print(f"The wall of prompts/engines.yaml: {right:g} of {pairs} pairs in the right order ({right / pairs:.0%})")


if __name__ == "__main__":
    main()

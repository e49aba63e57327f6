"""Statistics of sets of pictures after the fact: how much they differ within a prompt, how near they are to real ones.

The best pictures of a published sweep are read a batch at a time; of each, its features stay in memory. All rows of a judge are written
as one file, whose name says of which pictures they are: a run that is cut off is begun again and leaves the same rows, and one that is
done already does nothing.
"""

import hashlib
import io
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dreamsweep.compute.devices import resolve_device
from dreamsweep.compute.images import decode_png, square_pixels, to_bytes
from dreamsweep.errors import StoreError, UserError
from dreamsweep.generation.judging import Judged
from dreamsweep.guidance.targets import shrink
from dreamsweep.judges.inception import Inception, load_inception, require_torchmetrics
from dreamsweep.judges.label_lists import label_list
from dreamsweep.judges.labels import LabelsJudge
from dreamsweep.judges.set_judges import Score, SetJudge, Texts, diversity_scores, inception_scores, quality_scores, set_judge
from dreamsweep.perceptors import load_perceptor
from dreamsweep.perceptors.protocol import Perceptor
from dreamsweep.planning.pictures import decode_picture
from dreamsweep.report.labels import COLUMNS, PROMPT_COLUMNS, labels, natural, prompt_labels, prompt_of, variant_of
from dreamsweep.report.query import query
from dreamsweep.report.sheet_drawing import Cell, draw_grid
from dreamsweep.report.stored_pictures import read_tiles
from dreamsweep.results.appended import write_judged
from dreamsweep.store import Store, keys
from dreamsweep.tables.parquet import ahead
from dreamsweep.text import counted
from dreamsweep.weights.hashes import sha256_of

T = TypeVar("T")
PICTURES_AT_ONCE = 32
"""Pictures that are in memory together."""
LABELS = "cifar100"
"""List of labels behind `label_score`."""
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
"""Ends of the names of a folder's pictures; other files are passed over."""
MOST_TILES, TILE = 144, 116
"""Pictures of a grid at most, and their side in pixels."""
RECIPE = "2"
"""Which sets are measured, and how; another one measures a sweep again. 2: sets of each setting as well."""
_TRIALS = f"SELECT trial_id, {', '.join((*COLUMNS, *PROMPT_COLUMNS))} FROM trials WHERE best_uri IS NOT NULL AND status = 'done'"


@dataclass(frozen=True)
class _Set:
    """Whose pictures are measured together; None: of any."""

    prompt: str | None = None
    engine: str | None = None
    setting: str | None = None
    """The engine with those of its settings in which the sweep's trials differ."""


@dataclass(frozen=True)
class _Pictures:
    """Best pictures of a sweep as their features, with what each is of; rows agree."""

    rows: Sequence[Mapping[str, Any]]
    features: Float[np.ndarray, "n d"]
    sets: Sequence[_Set]
    """Prompt, engine and setting of each picture, by the names that contact sheets give them."""

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], features: Float[np.ndarray, "n d"]) -> "_Pictures":
        """Names what each picture is of."""
        prompts = prompt_labels(prompt_of(row) for row in rows)
        seedless = [{**row, "seed": 0} for row in rows]
        settings = labels(seedless)
        sets = [_Set(prompts[prompt_of(row)], row["engine"], settings[variant_of(row)]) for row in seedless]
        return cls(rows, features, sets)

    def groups(self) -> dict[_Set, list[int]]:
        """Returns which pictures each set has: of a prompt, engine and setting; all prompts of a setting; all of an engine; everything.

        An engine with one setting has no sets of settings, and a setting with one picture of a prompt has none of that prompt.
        """
        settings: dict[str | None, set[str | None]] = {}
        for own in self.sets:
            settings.setdefault(own.engine, set()).add(own.setting)
        groups: dict[_Set, list[int]] = {}
        for at, own in enumerate(self.sets):
            varied = [own, _Set(None, own.engine, own.setting)] if len(settings[own.engine]) > 1 else []
            for of_set in (*varied, _Set(own.prompt, own.engine), _Set(None, own.engine), _Set()):
                groups.setdefault(of_set, []).append(at)
        return {of_set: chosen for of_set, chosen in sorted(groups.items(), key=_place) if of_set.setting is None or len(chosen) > 1}


@dataclass
class _Run:
    """A judge's run over a sweep."""

    store: Store
    sweep: str
    judge: SetJudge
    version: str
    network: Perceptor | Inception
    device: str
    unread: list[str] = field(default_factory=list)
    """Trials whose pictures could not be read."""


def judge_sets(store: Store, sweep: str, judges: Sequence[str], device: str = "auto") -> Generator[Judged, None, None]:
    """Computes the statistics of a published sweep by judges of sets (`judges/set_judges.py`); says after every batch how far it is.

    A picture that cannot be read is left out and counted. Raises StoreError where there is no such sweep, UserError for a judge or a
    folder that there is not or a damaged real picture, WeightsError without the perceptor's weights.
    """
    chosen = resolve_device(device)
    known = [(judge := set_judge(name), _version(judge)) for name in judges]  # before the first picture: a wrong name ends it here
    rows = query(store, f"{_TRIALS} ORDER BY trial_id", sweep).to_pylist()
    for judge, version in known:
        trials = [row["trial_id"] for row in rows]
        if store.exists(keys.judged_rows(sweep, "set_scores", _rows_name(judge, version, trials))):
            yield Judged(judge.name, len(rows), len(rows), 0)
            continue
        network = load_inception(chosen) if judge.perceptor == "inception" else load_perceptor(judge.perceptor, chosen)
        run = _Run(store, sweep, judge, version, network, chosen)
        yield from _judge(run, rows)


def _judge(run: _Run, rows: Sequence[Mapping[str, Any]]) -> Iterator[Judged]:
    yield Judged(run.judge.name, 0, len(rows), 0)
    read: list[Mapping[str, Any]] = []
    features: list[Tensor] = []
    for number, batch in enumerate(_batches(rows), 1):
        opened = list(ahead(lambda row: _pixels(run, row["trial_id"]), batch))
        read += [row for row, pixels in zip(batch, opened, strict=True) if pixels is not None]
        features += [_embedded(run, [pixels for pixels in opened if pixels is not None])]
        yield Judged(run.judge.name, min(number * PICTURES_AT_ONCE, len(rows)), len(rows), len(run.unread))
    pictures = _Pictures.of(read, _matrix(features))
    scored = _diversity(run, pictures) if run.judge.kind == "diversity" else _quality(run, pictures)
    trials = [row["trial_id"] for row in read]
    write_judged(run.store, run.sweep, "set_scores", list(scored), _rows_name(run.judge, run.version, trials))


def _diversity(run: _Run, pictures: _Pictures) -> Iterator[dict[str, Any]]:
    """Yields rows of every set, with a grid where there are several pictures of one prompt."""
    for of_set, chosen in pictures.groups().items():
        scores = diversity_scores(pictures.features[chosen])
        grid = _grid(run, pictures, chosen, of_set, scores) if of_set.prompt is not None and len(chosen) > 1 else None
        yield from _rows(run, of_set, scores, len(chosen), None, grid)


def _quality(run: _Run, pictures: _Pictures) -> Iterator[dict[str, Any]]:
    """Yields rows of each setting, of each engine, and of all pictures."""
    assert run.judge.folder is not None
    real = _matrix(_embedded(run, batch) for batch in _real_pictures(run.judge.name, run.judge.folder))
    for of_set, chosen in pictures.groups().items():
        if of_set.prompt is None:
            features = pictures.features[chosen]
            if isinstance(run.network, Inception):
                scores = inception_scores(features, real)
            else:
                scores = quality_scores(features, real, _texts(run.network, [pictures.rows[at]["prompt"] for at in chosen], pictures))
            yield from _rows(run, of_set, scores, len(chosen), len(real), None)


def _texts(network: Perceptor, own: Sequence[str], pictures: _Pictures) -> Texts:
    """Returns the texts of all prompts of the sweep, which of them these pictures are of, and the labels, as the perceptor embeds them."""
    texts = list(dict.fromkeys(row["prompt"] for row in pictures.rows))
    labels = LabelsJudge(network, label_list(LABELS, network.name.startswith("starter-")), []).embedded
    prompts = network.embed_texts(texts) if texts else labels[:0]
    return Texts(_matrix([prompts]), np.array([texts.index(text) for text in own], int), _matrix([labels]), network.scale)


def _place(group: tuple[_Set, Sequence[int]]) -> tuple[Any, ...]:
    """Returns a key that puts prompts first, then what is of all prompts, and smaller sets before larger ones."""
    of_set, _ = group
    names = natural(of_set.prompt or ""), natural(of_set.engine or "")
    return of_set.prompt is None, of_set.engine is None, *names, of_set.setting is None, natural(of_set.setting or "")


def _rows(run: _Run, of_set: _Set, scores: Iterable[Score], pictures: int, real: int | None, grid: str | None) -> Iterator[dict[str, Any]]:
    for score in scores:
        yield {
            "prompt": of_set.prompt,
            "engine": of_set.engine,
            "setting": of_set.setting,
            "judge": run.judge.name,
            "perceptor": run.judge.perceptor,
            "version": run.version,
            "metric": score.metric,
            "value": score.value,
            "pictures": pictures,
            "real_pictures": real,
            "unread": len(run.unread),
            "grid_uri": grid,
            "error": score.error,
            "scored_at": datetime.now(UTC),
        }


def _grid(run: _Run, pictures: _Pictures, chosen: Sequence[int], of_set: _Set, scores: Sequence[Score]) -> str:
    """Draws the pictures of a set in a square and returns its address relative to the sweep's folder."""
    rows = sorted((pictures.rows[at] for at in chosen), key=lambda row: (row["seed"], row["trial_id"]))
    trials = [row["trial_id"] for row in rows]
    cells = [Cell(row["trial_id"], (f"seed {row['seed']}",) * 2, "no picture", True) for row in rows[:MOST_TILES]]
    tiles = read_tiles(run.store, {cell.trial_id: keys.picture(run.sweep, cell.trial_id, keys.BEST) for cell in cells}, TILE)
    values = [f"{score.metric.replace('_', ' ')} {score.value:.3f}" for score in scores if score.value is not None]
    of = counted(len(chosen), "picture") if len(cells) == len(chosen) else f"the first {len(cells)} of {len(chosen):,} pictures"
    note = " · ".join([str(of_set.setting or of_set.engine), of, *values, f"by {run.judge.perceptor}"])
    image = draw_grid(str(of_set.prompt), note, [""] * len(cells), cells, TILE, tiles, columns=math.ceil(math.sqrt(len(cells))))
    out = io.BytesIO()
    image.save(out, "PNG")
    name = hashlib.sha256("\n".join((run.judge.name, run.version, *trials)).encode()).hexdigest()[:16]
    run.store.write(keys.set_grid(run.sweep, name), out.getvalue(), "image/png")
    return keys.set_grid_address(name)


def _pixels(run: _Run, trial_id: str) -> UInt8[Tensor, "3 h w"] | None:
    """Returns a trial's best picture; None, and a note of it, where it cannot be read."""
    try:
        return decode_png(run.store.read(keys.picture(run.sweep, trial_id, keys.BEST)))
    except (StoreError, OSError, ValueError, SyntaxError):
        run.unread.append(trial_id)
        return None


def _real_pictures(judge: str, folder: Path) -> Iterator[list[Tensor]]:
    """Yields the pictures of a folder, a batch at a time. Raises UserError where there is none, or one is damaged."""
    paths = _paths(folder)
    if not paths:
        kinds = ", ".join(sorted(SUFFIXES))
        raise UserError(f"judge {judge!r}: folder {str(folder)!r} holds no pictures ({kinds}); name one with real pictures.")
    for batch in _batches(paths):
        pixels = []
        for path in batch:
            try:
                pixels.append(to_bytes(square_pixels(decode_picture(path.read_bytes()))[None])[0])
            except ValueError as error:
                raise UserError(f"judge {judge!r}: {str(path)!r} {error}.") from None
        yield pixels


@torch.no_grad()
def _embedded(run: _Run, pictures: Sequence[UInt8[Tensor, "3 _ _"]]) -> Float[Tensor, "n d"]:
    """Returns the features of some pictures of any sizes: a perceptor's unit embeddings, or what FID takes of the Inception network."""
    if not pictures:
        return torch.zeros(0, 0)
    if isinstance(run.network, Inception):
        return run.network.features(pictures)
    pixels = torch.cat([shrink(picture[None].to(run.device).float() / 255, run.network.resolution) for picture in pictures])
    return run.network.embed_pictures(pixels).cpu()


def _batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + PICTURES_AT_ONCE] for start in range(0, len(values), PICTURES_AT_ONCE))


def _matrix(parts: Iterable[Tensor]) -> Float[np.ndarray, "n d"]:
    filled = [part.double().cpu().numpy() for part in parts if part.numel()]
    return np.concatenate(filled) if filled else np.zeros((0, 1))


def _paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _version(judge: SetJudge) -> str:
    """Returns the hashes of the network's weights and, of a judge of quality, of the real pictures."""
    if judge.perceptor == "inception":
        require_torchmetrics(judge.name)
    versions = [*sha256_of(judge.perceptor).values()]
    if judge.folder is not None:
        digest = hashlib.sha256()
        for path in _paths(judge.folder):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        versions.append(digest.hexdigest())
    return " ".join(versions)


def _rows_name(judge: SetJudge, version: str, trials: Sequence[str]) -> str:
    """Returns the name of a judge's rows over these trials: the same whoever writes them."""
    return hashlib.sha256("\n".join((judge.name, version, RECIPE, *trials)).encode()).hexdigest()[:16]

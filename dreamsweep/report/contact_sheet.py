"""Contact sheet: the best picture of every trial, a row for each prompt, a column for each engine's settings and seed.

A sheet with many pictures has pages. The first is then an overview of the best; the others hold the prompts in the order of their names.
"""

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from PIL import Image

from dreamsweep.report.labels import COLUMNS, PROMPT_COLUMNS, PromptKey, Variant, labels, natural, prompt_labels, prompt_of, variant_of
from dreamsweep.report.query import query
from dreamsweep.report.ranks import RANKED_TRIALS
from dreamsweep.report.sheet_drawing import Cell, Page, Section, draw_page, prompts_a_page, tile_side
from dreamsweep.report.stored_pictures import read_tiles
from dreamsweep.store import Store, keys
from dreamsweep.text import counted

MAX_TILES = 60
"""Pictures that are a single page, whatever their prompts and variants."""
MAX_COLUMNS = 12
"""Variants beside each other; further ones stand below."""
MAX_VARIANTS = 8 * MAX_COLUMNS
"""Variants on the sheet: of more, those that stand highest on average among the trials of each prompt."""
MAX_PAGES = 20
"""Pages of a sheet, the overview included: of more prompts, those whose best trial stands out the most."""
Row = dict[str, Any]
T = TypeVar("T", PromptKey, Variant)
_COLUMNS = ("trial_id", *PROMPT_COLUMNS, *COLUMNS, "judge_best", "guide_best", "status", "best_uri", "z_score")


def contact_sheet(store: Store, sweep: str) -> Iterator[bytes]:
    """Draws the pages of a published sweep's contact sheet, each a PNG. Raises StoreError where there is no such sweep."""
    for page in pages(sweep, rows_of(store, sweep)):
        out = io.BytesIO()
        draw_page(page, _pictures(store, sweep, page)).save(out, "PNG")
        yield out.getvalue()


def rows_of(store: Store, sweep: str) -> list[Row]:
    """Returns what a sheet shows of each trial."""
    rows: list[Row] = query(store, f"SELECT {', '.join(_COLUMNS)} FROM {RANKED_TRIALS} ORDER BY trial_id", sweep).to_pylist()
    return rows


def pages(sweep: str, rows: Sequence[Row]) -> list[Page]:
    """Returns the pages of a sweep's sheet: one with everything, or an overview of the best, and then the prompts in the order of
    their names.
    """
    grid = _Grid.of(rows)
    variants = grid.best(grid.variants, MAX_VARIANTS)
    groups = _parts(variants, math.ceil(len(variants) / math.ceil(len(variants) / MAX_COLUMNS)))
    tile = tile_side(len(grid.prompts), len(groups[0]))
    few = len(grid.prompts) * len(variants) <= MAX_TILES
    room = len(grid.prompts) if few else prompts_a_page(len(groups[0]), tile)
    groups_a_page = len(groups) if few else max(1, room // len(grid.prompts))
    most = room * max(1, (MAX_PAGES - 1) // math.ceil(len(groups) / groups_a_page))
    prompts = grid.best(grid.prompts, most)
    stacks = [(part, stack) for part in _parts(prompts, room) for stack in _parts(groups, groups_a_page)]
    note = grid.note(rows) if tile > 150 else f"{grid.note(rows)} · the judge’s score, then the guide’s"
    left_out = _left_out(grid, prompts, variants)
    if len(stacks) == 1:
        return [Page(sweep, note + left_out, [grid.section(prompts, group) for group in groups], tile)]

    best_variants = grid.best(variants, MAX_COLUMNS)
    best_prompts = grid.best_first(prompts)[: prompts_a_page(len(best_variants), tile)]
    where = f" · page 1 of {len(stacks) + 1}{_left_out(grid, best_prompts, best_variants)}"
    sheet = [Page(sweep, note + where, [grid.section(best_prompts, best_variants)], tile)]
    for number, (part, stack) in enumerate(stacks, 2):
        first, last = prompts.index(part[0]) + 1, prompts.index(part[-1]) + 1
        shown = f"prompts {first:,} to {last:,} of {len(prompts):,}" if last > first else f"prompt {first:,} of {len(prompts):,}"
        where = f" · page {number} of {len(stacks) + 1}: {shown}{left_out}"
        sheet.append(Page(sweep, note + where, [grid.section(part, group) for group in stack], tile))
    return sheet


@dataclass(frozen=True)
class _Grid:
    """Every trial of a sweep by its prompt and its variant, both in the order of their names."""

    prompts: list[PromptKey]
    variants: list[Variant]
    prompt_names: dict[PromptKey, str]
    variant_names: dict[Variant, str]
    trials: dict[tuple[PromptKey, Variant], Row]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "_Grid":
        trials = {(prompt_of(row), variant_of(row)): row for row in reversed(rows)}
        _fill_walks(trials)
        prompt_names, variant_names = prompt_labels(prompt for prompt, _ in trials), labels(rows)
        prompts = sorted(prompt_names, key=lambda prompt: (natural(prompt_names[prompt]), prompt))
        variants = sorted(variant_names, key=lambda variant: (natural(variant_names[variant]), variant))
        return cls(prompts, variants, prompt_names, variant_names, trials)

    def section(self, prompts: Sequence[PromptKey], variants: Sequence[Variant]) -> Section:
        """Returns the part of the sheet with these prompts and variants."""
        cells = [[_cell(self.trials.get((prompt, variant))) for variant in variants] for prompt in prompts]
        headings = [self.variant_names[variant] if len(self.variants) > 1 else "" for variant in variants]
        return Section([self.prompt_names[prompt] for prompt in prompts], headings, cells)

    def note(self, rows: Sequence[Row]) -> str:
        """Returns what the whole sheet shows."""
        done, trials = sum(row["status"] == "done" for row in rows), counted(len(rows), "trial")
        engine = f"{self.variant_names[self.variants[0]]} · " if len(self.variants) == 1 else ""
        return engine + (trials if done == len(rows) else f"{trials}, {done:,} of them done")

    def best(self, names: Sequence[T], most: int) -> list[T]:
        """Returns at most so many of the prompts or variants, the best by the judge, in the order that they have."""
        chosen = set(self.best_first(names)[:most])
        return [name for name in names if name in chosen]

    def best_first(self, names: Sequence[T]) -> list[T]:
        """Returns the same prompts or variants, the best first: prompts by their best trial, variants by the mean of theirs.

        Both by z-scores among the trials of a prompt, as scores of several prompts cannot be compared; where there are none, as they were.
        """
        scores: dict[PromptKey | Variant, list[float]] = {}
        for key, row in self.trials.items():
            for name in key:
                scores.setdefault(name, []).extend([] if row["z_score"] is None else [row["z_score"]])
        best = {name: max(values) if isinstance(name, PromptKey) else fmean(values) for name, values in scores.items() if values}
        return sorted(names, key=lambda name: -best.get(name, -math.inf))

    @property
    def is_ranked(self) -> bool:
        """Whether any prompt has trials that differ by the judge."""
        return any(row["z_score"] is not None for row in self.trials.values())


def _fill_walks(trials: dict[tuple[PromptKey, Variant], Row]) -> None:
    """Puts what an engine without walks drew of `a cat → a dog`, which is `a cat`, beside the walk, where no other row needs it."""
    walks: dict[PromptKey, list[PromptKey]] = {}
    for prompt in dict.fromkeys(prompt for prompt, _ in trials):
        if prompt.to:
            walks.setdefault(prompt._replace(to=()), []).append(prompt)
    for plain, beside in walks.items():
        mine = {variant: row for (prompt, variant), row in trials.items() if prompt == plain}
        if not any((walk, variant) in trials for walk in beside for variant in mine):
            for variant, row in mine.items():
                del trials[plain, variant]
                trials |= {(walk, variant): row for walk in beside}


def _cell(row: Row | None) -> Cell | None:
    if row is None:
        return None
    scores = {who: f"{row[f'{who}_best']:.2f}" for who in ("judge", "guide") if row[f"{who}_best"] is not None}
    ending = [] if row["status"] == "done" else [row["status"]]
    captions = (" · ".join([*ending, *(f"{who} {score}" for who, score in scores.items())]), " · ".join([*ending, *scores.values()]))
    return Cell(row["trial_id"], captions, row["status"], row["best_uri"] is not None)


def _left_out(grid: _Grid, prompts: Sequence[PromptKey], variants: Sequence[Variant]) -> str:
    """Returns what a page has to say where it shows only some of the prompts or variants."""
    kinds = ((prompts, grid.prompts, "prompts"), (variants, grid.variants, "settings and seeds"))
    which, by_whom = ("best", ", by their standing within each prompt") if grid.is_ranked else ("first", "")
    parts = [f"the {which} {len(shown):,} of {len(every):,} {kind}" for shown, every, kind in kinds if len(shown) < len(every)]
    return f" · {' and '.join(parts)}{by_whom}" if parts else ""


def _parts(names: Sequence[Any], most: int) -> list[Sequence[Any]]:
    return [names[start : start + most] for start in range(0, len(names), most)]


def _pictures(store: Store, sweep: str, page: Page) -> dict[str, Image.Image]:
    """Returns the pictures of a page's trials, by their ids."""
    cells = (cell for section in page.sections for row in section.cells for cell in row)
    ids = dict.fromkeys(cell.trial_id for cell in cells if cell is not None and cell.pictured)
    return read_tiles(store, {trial: keys.picture(sweep, trial, keys.BEST) for trial in ids}, page.tile)

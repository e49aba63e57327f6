"""Selections: which trials of which sweeps are taken away, by the words of the review page's filters."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
import pyarrow as pa
from pydantic import Field, PositiveInt, StringConstraints, ValidationError

from dreamsweep.errors import UserError
from dreamsweep.export.conditions import search
from dreamsweep.report.catalogue import make_catalogue
from dreamsweep.report.marks import HOLDING
from dreamsweep.report.query import Session
from dreamsweep.report.ranks import FOREMOST, RANKED_TRIALS
from dreamsweep.report.views import quoted
from dreamsweep.spec import Spec

ANYBODY = "*"
"""In place of a reviewer's name."""
MarksFilter = Literal["unreviewed", "suggested", "picked", "rejected", "tagged", "noted"]
TrialId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
PROMPT = "prompt, weight, also, negatives, prompts_to"
"""Columns of a whole prompt."""
PREDICATES = {
    "picked": "kind = 'pick' AND value > 0",
    "rejected": "kind = 'pick' AND value < 0",
    "tagged": "kind = 'tag' AND value > 0",
    "noted": "kind = 'note' AND text <> ''",
    "unreviewed": "kind IN ('pick', 'stars') AND value <> 0",
}
"""Conditions on a mark that holds; a trial is unreviewed where no mark fits."""


class Conditions(TypedDict, total=False):
    """Conditions of a selection but for its sweeps, as arguments of a function; `Selection` describes them."""

    trials: Sequence[str]
    search: str
    engines: Sequence[str]
    marks: MarksFilter | None
    stars: int | None
    tag: str | None
    by: str
    best: int | None


class Selection(Spec):
    """Trials that meet every condition. A trial that several sweeps hold counts once."""

    sweeps: tuple[str, ...] = ()
    """Names of published sweeps; empty for all of the store."""
    trials: tuple[TrialId, ...] = ()
    """Ids of trials; empty for all."""
    search: str = ""
    """Words, as in the box of the review page."""
    engines: tuple[str, ...] = ()
    marks: MarksFilter | None = None
    stars: Annotated[int, Field(ge=1, le=5)] | None = None
    """Minimum number of stars."""
    tag: str | None = None
    by: str = ANYBODY
    """Reviewer whose marks count; `*` for anybody's."""
    best: PositiveInt | None = None
    """Number of trials of each prompt, the best by their standings, of those that meet all other conditions."""


def make_selection(**conditions: Any) -> Selection:
    """Returns a selection of these conditions. Raises UserError, which names the condition and its value, where one is invalid."""
    try:
        return Selection(**conditions)
    except ValidationError as error:
        first = error.errors()[0]
        name, message = first["loc"][0], first["msg"][:1].lower() + first["msg"][1:]
        reason = (
            "it is no trial's id, which has 16 hexadecimal digits; copy one from the page, or SELECT trial_id"
            if name == "trials"
            else message
        )
        raise UserError(f"{name} {first['input']!r}: {reason}.") from None


def trials_of(selection: Selection, session: Session) -> str:
    """Returns the SQL of the selected trials, rows of `RANKED_TRIALS` in the order in which they are taken away."""
    rows = f"SELECT * FROM {RANKED_TRIALS} WHERE {_condition(selection)}"
    if selection.search.strip():
        _register_matches(selection, session)
        rows += " AND (sweep, trial_id) IN (SELECT (sweep, trial_id) FROM matching)"
    once = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY trial_id ORDER BY sweep) = 1"
    if selection.best:
        once = f"SELECT * FROM ({once}) QUALIFY row_number() OVER (PARTITION BY {PROMPT} ORDER BY {FOREMOST}) <= {selection.best}"
    return f"{once} ORDER BY {FOREMOST}"


def _condition(selection: Selection) -> str:
    """Returns everything but the search as a condition of SQL."""
    whose = "true" if selection.by == ANYBODY else f"rated_by = {quoted(selection.by)}"
    lists = {"sweep": selection.sweeps, "trial_id": selection.trials, "engine": selection.engines}
    parts = [f"{column} IN ({', '.join(map(quoted, values))})" for column, values in lists.items() if values]
    marked = [PREDICATES[selection.marks]] if selection.marks in PREDICATES else []
    marked += [f"kind = 'stars' AND value >= {selection.stars}"] if selection.stars else []
    marked += [f"kind = 'tag' AND value > 0 AND text = {quoted(selection.tag)}"] if selection.tag else []
    for predicate in marked:
        absent = "NOT " if predicate == PREDICATES["unreviewed"] else ""
        parts.append(f"(sweep, trial_id) {absent}IN (SELECT (sweep, trial_id) FROM ({HOLDING}) WHERE {whose} AND {predicate})")
    if selection.marks == "suggested":
        parts.append("rivals > 2 AND rank <= ceil(rivals / 3)")
    return " AND ".join(parts) or "true"


def _register_matches(selection: Selection, session: Session) -> None:
    """Registers the ids of the trials that a search matches as the table `matching`."""
    catalogue = make_catalogue(session)
    rows = np.flatnonzero(search(catalogue, selection.search).mask)
    ids = {
        "sweep": [catalogue.sweep_names[number] for number in catalogue.sweep[rows]],
        "trial_id": [*map(catalogue.trial_id, rows.tolist())],
    }
    session.connection.register("matching", pa.table(ids, schema=pa.schema([(name, pa.string()) for name in ids])))

"""How many trials a selection holds."""

from typing import Any

from dreamsweep.errors import UserError
from dreamsweep.export.chosen import chosen
from dreamsweep.export.selection import make_selection
from dreamsweep.store import Store


def count(store: Store, **conditions: Any) -> int:
    """The number of trials selected, 0 where it is refused as empty."""
    try:
        with chosen(store, make_selection(**conditions)) as trials:
            assert trials.trials == len(list(trials.rows()))
            return trials.trials
    except UserError:
        return 0

"""The sweep file that a run leaves in the store, as its plain words."""

import logging
from typing import Any

import yaml

from dreamsweep.store import Store, keys

LOG = logging.getLogger(__name__)


def stored_words(store: Store, sweep: str) -> dict[str, Any]:
    """Returns the words of a stored sweep file and their values; none where there is no file, or, with a warning, a damaged one."""
    written = store.get(keys.sweep_file(sweep))
    try:
        words = yaml.safe_load(written or b"")
    except (yaml.YAMLError, RecursionError):
        words = ()
    if words is None or isinstance(words, dict):
        return words or {}
    LOG.warning("%s cannot be read as a sweep file; running the sweep again writes it anew.", keys.sweep_file(sweep))
    return {}

"""Stores that are away for a while, for the tests of retries."""

import inspect
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dreamsweep import store as stores
from dreamsweep.errors import StoreUnavailableError
from dreamsweep.store import Store
from dreamsweep.store.local import LocalStore

OPERATIONS = tuple(name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_") and name != "uri_of")
"""Every method of a store that asks a disk or server."""


class Outage:
    """A fault that all stores of a test share: operations fail as long as `is_away` says so of them."""

    def __init__(self) -> None:
        self.calls = Counter[str]()
        self.failures = Counter[str]()
        self.is_away: Callable[[str], bool] = lambda operation: False
        self.lock = threading.Lock()

    def fail_first(self, times: int, *operations: str) -> None:
        """Lets each of these operations fail so many times, and then work."""
        self.is_away = lambda operation: operation in operations and self.failures[operation] < times

    def begin(self, failures: int) -> None:
        """Lets this many operations fail from now on, whichever they are, and then works."""
        until = self.failures.total() + failures
        self.is_away = lambda operation: self.failures.total() < until

    def meet(self, operation: str) -> None:
        with self.lock:
            self.calls[operation] += 1
            if self.is_away(operation):
                self.failures[operation] += 1
                raise StoreUnavailableError(f"store does not answer ({operation}).")


class FailingStore(LocalStore):
    """A folder behind a fault. Every operation meets it first; those that give iterators, as the first item is asked for."""

    outage: Outage

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        if name not in OPERATIONS:
            return attribute
        outage = super().__getattribute__("outage")

        def operation(*arguments: Any, **named: Any) -> Any:
            outage.meet(name)
            return attribute(*arguments, **named)

        return operation


def make_stores_fail(outage: Outage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts every folder that `open_store` opens from now on behind the fault."""

    def opened(folder: Path) -> Store:
        store = FailingStore(folder)
        store.outage = outage
        return store

    monkeypatch.setattr(stores, "_local", opened)


def shorten_retries(monkeypatch: pytest.MonkeyPatch, first: float) -> None:
    """Sets the first delay in seconds, here and of tasks that are defined already, all others in proportion."""
    from dreamsweep.retry import TASK_RETRIES, delays
    from dreamsweep.tasks import check, generate, summarise

    monkeypatch.setenv("DREAMSWEEP_RETRY_SECONDS", str(first))
    for task in (check.check_shard, generate.generate_shard, summarise.show_summary):
        monkeypatch.setattr(task, "retry_delay_seconds", list(delays(TASK_RETRIES)))

"""Turns of the writers of one object, on S3 servers without conditional writes, kept with plain objects.

A writer puts a lease beside the object, then lists the leases there. Where its own is the only one, it compares the object's version and
writes. Where there are several, each writer takes its own back and tries again after a random pause. Of two writers the one that lists
later sees the lease of the other, so at most one of them writes. This needs a listing that holds every write that was answered before it,
as S3's has since 2020; a server whose listing does not is refused.

A process that was killed leaves its lease. It expires by the server's clock, which dates each of them. A writer never writes with
a lease that may be old enough to expire. After a write whose outcome is not known its lease stays until it expires, as the server may
still carry the write out; the same process goes on with it.
"""

import itertools
import logging
import os
import random
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from dreamsweep.errors import DreamsweepError, StoreError, StoreUnavailableError
from dreamsweep.store import Store, keys

LEASE_SECONDS = 120.0
"""Age in seconds at which a lease expires, compared with a new one."""
WRITE_SECONDS = 60.0
"""Age in seconds of its own lease after which a writer asks for a new one. A write that begins then ends well before the lease expires."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds of the pauses of several writers, at most: the first, doubled each time, and the longest."""
SAID_AFTER = 3.0
"""Seconds of waiting for another writer after which a line says so."""
LOG = logging.getLogger("dreamsweep.progress")


def lock_of(store: Store, key: str) -> "ObjectLock":
    """Returns this process's lock on an object."""
    return _lock_of(store.uri_of(key), os.getpid())


@cache
def _lock_of(uri: str, process: int) -> "ObjectLock":
    return ObjectLock(secrets.token_hex(8))


class ObjectLock:
    """One process's lock on one object, whose leases all have the same name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._threads = threading.Lock()
        self._uncertain_until = 0.0
        """Time until which a write of unknown outcome may still be carried out (of the monotonic clock)."""

    def replace(self, store: Store, key: str, version: str | None, write: Callable[[], None]) -> bool:
        """Writes the object if it still has a version, while no other writer does; returns whether it did.

        `write` raises StoreUnavailableError where the server may have written all the same, or still will. Raises StoreError where the
        server's listing lacks what was written before it.
        """
        began, is_said = time.monotonic(), False
        for attempt in itertools.count():
            with self._threads:
                if store.version(key) != version:
                    return False
                if self._write_if_alone(store, key, version, write):
                    return True
            if not is_said and time.monotonic() - began > SAID_AFTER:
                LOG.warning("Another run publishes %s, or was killed while it did. Waiting up to %d s for it.", key, LEASE_SECONDS)
                is_said = True
            time.sleep(random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt, 16))))
        raise AssertionError("an attempt returns or raises")

    def _write_if_alone(self, store: Store, key: str, version: str | None, write: Callable[[], None]) -> bool:
        """Puts a lease, writes where no other one is valid, and takes the lease back."""
        mine, put_at = keys.lease(key, self.name), time.monotonic()
        store.write(mine, b"", "text/plain")
        try:
            if not _is_alone(store, key, mine) or store.version(key) != version or not store.exists(mine):
                return False
            if time.monotonic() - put_at > WRITE_SECONDS:
                return False
            try:
                write()
            except StoreUnavailableError:
                self._uncertain_until = time.monotonic() + LEASE_SECONDS
                raise
            return True
        finally:
            if time.monotonic() >= self._uncertain_until:
                with suppress(DreamsweepError):  # it expires
                    store.delete(mine)


def _is_alone(store: Store, key: str, mine: str) -> bool:
    """Returns whether no other lease on the key is valid; removes those that have expired."""
    leases = {entry.key: entry for entry in store.entries(keys.leases(key))}
    if mine not in leases:
        if store.exists(mine):
            raise StoreError(
                f"store {store.uri!r}: the server keeps no conditional writes, and its listing lacks an object that was just written, "
                "so two runs of one sweep would not notice each other; use a server that keeps If-Match (dreamsweep doctor)."
            )
        return False  # it took so long that another writer has removed it
    own = leases.pop(mine)
    expired = {other.key for other in leases.values() if own.modified - other.modified > LEASE_SECONDS}
    for other in expired:
        store.delete(other)
    return expired == leases.keys()

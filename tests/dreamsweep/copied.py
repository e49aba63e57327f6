"""Sample sweeps are published once in a process of the tests. Further stores get copies: writing the tables is most of the work."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from dreamsweep.results.manifest import Manifest
from dreamsweep.store import BYTES, Store, keys
from dreamsweep.store.local import LocalStore

_published: dict[str, tuple[Manifest, dict[str, bytes]]] = {}


def publish_once(store: Store, sweep: str, content: str, publish: Callable[[Store], Manifest]) -> Manifest:
    """Publishes a sweep of this content into a store: by `publish` where something of the sweep's name lies there, else as a copy."""
    if any(store.keys(f"{sweep}/")):
        return publish(store)
    if content not in _published:
        with TemporaryDirectory() as folder:
            first = LocalStore(Path(folder))
            _published[content] = publish(first), {key: first.read(key) for key in first.keys("")}
    manifest, objects = _published[content]
    for key in sorted(objects, key=lambda key: key == keys.manifest(sweep)):  # the manifest comes last
        store.write(key, objects[key], "image/png" if key.endswith(".png") else BYTES)
    return manifest

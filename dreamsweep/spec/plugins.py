"""Engines and judges that other packages bring, found by their entry points.

A package names them in its metadata, and an engine or a judge is there as soon as the package is installed:

    [project.entry-points."dreamsweep.engines"]
    spirals = "spirals.spec:SpiralsSpec"

    [project.entry-points."dreamsweep.judges"]
    sharpness = "spirals.judge:Sharpness"
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from dreamsweep.errors import PluginError

ENGINES_GROUP, JUDGES_GROUP = "dreamsweep.engines", "dreamsweep.judges"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Plugin:
    """An entry point of another package, not loaded yet."""

    entry: EntryPoint

    @property
    def name(self) -> str:
        """Name by which a sweep file calls it."""
        return self.entry.name

    @property
    def origin(self) -> str:
        """The distribution that brings it, with its version."""
        distribution = self.entry.dist
        return f"{distribution.name} {distribution.version}" if distribution else "a distribution without a name"

    def load(self) -> Any:
        """Returns the object that the entry point names. Raises PluginError, one sentence, when it cannot be imported."""
        try:
            return self.entry.load()
        except Exception as error:  # noqa: BLE001 - other people's code is imported, which may raise anything
            raise self.error(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}") from None

    def error(self, reason: str) -> PluginError:
        """Returns the error that says why it cannot be used."""
        kind = self.entry.group.rpartition(".")[2].removesuffix("s")
        return PluginError(
            f"{kind} {self.name!r} of {self.origin} cannot be used ({reason.rstrip('.')}); update that package, or uninstall it."
        )


@cache
def plugins(group: str, shipped: frozenset[str]) -> tuple[dict[str, Plugin], dict[str, PluginError]]:
    """Returns the plugins of a group by name, and the errors of those whose names cannot be used; none is loaded.

    `shipped`: names that dreamsweep itself uses, which no other package may take.
    """
    usable: dict[str, Plugin] = {}
    errors: dict[str, PluginError] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        plugin = Plugin(entry)
        if entry.name in shipped:
            errors[f"{entry.name} of {plugin.origin}"] = plugin.error("dreamsweep itself has one of that name")
        elif not _NAME.fullmatch(entry.name):
            errors[entry.name] = plugin.error("a name has small letters, digits and single dashes")
        elif entry.name in usable:
            errors[f"{entry.name} of {plugin.origin}"] = plugin.error(f"{usable[entry.name].origin} has one of that name")
        else:
            usable[entry.name] = plugin
    return usable, errors

"""Packages that dreamsweep asks for, as its own metadata lists them, and whether each is there in a version that will do."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

US = "dreamsweep"


@dataclass(frozen=True)
class Package:
    """A package that dreamsweep asks for."""

    name: str
    version: str
    """Installed version; empty where there is none."""
    extra: str
    """The extra that asks for it; empty for what every installation needs."""
    fault: str = ""
    """Fault and cure as a sentence; empty if there is no fault."""


def requirements(distribution: str) -> Iterator[tuple[Requirement, str]]:
    """Lists a distribution's requirements on this machine, each with its extra. Raises PackageNotFoundError."""
    extras = metadata.metadata(distribution).get_all("Provides-Extra") or []
    for line in metadata.requires(distribution) or ():
        requirement = Requirement(line)
        applies = [extra for extra in ("", *extras) if requirement.marker is None or requirement.marker.evaluate({"extra": extra})]
        if applies:
            yield requirement, applies[0]


def packages(distribution: str) -> list[Package]:
    """Looks each of them up, without importing it. Raises PackageNotFoundError where the distribution itself is not installed."""
    modules: dict[str, list[str]] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            modules.setdefault(canonicalize_name(owner), []).append(module)
    return [_package(requirement, extra, modules, distribution) for requirement, extra in requirements(distribution)]


def _package(requirement: Requirement, extra: str, modules: Mapping[str, Sequence[str]], distribution: str) -> Package:
    install = f"pip install '{distribution}[{extra}]'" if extra else f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Package(requirement.name, "", extra, f"not installed; {install}")
    if not requirement.specifier.contains(version, prereleases=True):
        return Package(requirement.name, version, extra, f"version {version}, but {requirement.specifier} is needed; {install}")
    missing = [module for module in modules.get(canonicalize_name(requirement.name), ()) if not _is_there(module)]
    if missing:
        again = f"pip install --force-reinstall '{requirement.name}=={version}'"
        return Package(requirement.name, version, extra, f"version {version}, but its module {missing[0]!r} is gone; {again}")
    return Package(requirement.name, version, extra)


def _is_there(module: str) -> bool:
    """Returns whether a top-level module can be found; it is not imported, as some take seconds."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a module without a spec is one that is imported already, in an unusual way
        return False

"""The locked requirements of devices, and whether they are those of pyproject.toml: asked of no network.

A lock is a file as pip's --require-hashes takes it. `uv` makes it, for x86-64 and aarch64 Linux and every Python that
is supported; its head says of which extras, and of which lines of pyproject.toml by their hash.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_runtime.errors import DataError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["LOCKS", "PYTHONS", "Lock", "Pin", "faults", "inputs_of", "project_of", "read_lock"]

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True)
class Lock:
    """A file below the repository's root, and the extras that it is of."""

    file: str
    extras: tuple[str, ...]


_STATION = ("codes", "gpio", "opcua", "sign", "station", "zstd")
LOCKS = (
    Lock("runtime/requirements-device.txt", ("cpu", *_STATION)),
    Lock("runtime/requirements-jetson.txt", _STATION),  # which has an onnxruntime of its own
)


@dataclass(frozen=True)
class Pin:
    """One line of a lock: `requirement` has a version, and where it counts; `hashes` are SHA-256 of its files."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one version."""
        (specifier,) = self.requirement.specifier
        return specifier.version


def project_of(root: Path) -> Mapping[str, Any]:
    """The [project] table of a checkout."""
    project: Mapping[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def inputs_of(project: Mapping[str, Any], extras: Sequence[str]) -> str:
    """The hash of what a lock was made of."""
    found = [project["requires-python"], project["dependencies"]]
    found += [[extra, project["optional-dependencies"][extra]] for extra in sorted(extras)]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def read_lock(text: str) -> list[Pin]:
    """The pins of a lock's text. Raises DataError for a line that is none."""
    pins = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        words, *hashes = line.split("--hash=sha256:")
        requirement = Requirement(words.strip())
        if [specifier.operator for specifier in requirement.specifier] != ["=="] or not hashes:
            raise DataError(f"expected NAME==VERSION with hashes, found {line[:100]!r}; make the lock again")
        pins.append(Pin(requirement, frozenset(digest.strip() for digest in hashes)))
    return pins


def faults(text: str, lock: Lock, project: Mapping[str, Any]) -> Iterator[str]:
    """Tell what is wrong with a lock's text: what pyproject.toml asks for and it does not have, or otherwise."""
    again = "python -m edge_tools.supply lock"
    if inputs_of(project, lock.extras) not in text:
        yield f"{lock.file} was made of another pyproject.toml: {again}"
    pins = read_lock(text)
    for pin in pins:
        if bad := [digest for digest in pin.hashes if not re.fullmatch("[0-9a-f]{64}", digest)]:
            yield f"{lock.file}: {pin.name} has the hash {bad[0][:70]!r}, expected 64 hexadecimal digits"
    lines = [*project["dependencies"], *(line for one in lock.extras for line in project["optional-dependencies"][one])]
    for python in PYTHONS:
        for machine in MACHINES:
            where = _environment(python, machine)
            here = [pin for pin in pins if _counts(pin.requirement, where)]
            held = {pin.name: pin for pin in here}
            if len(held) < len(here):
                yield f"{lock.file} has two versions of one package on Python {python}, {machine}: {again}"
            for line in lines:
                wanted = Requirement(line)
                if not _counts(wanted, where):
                    continue
                found = held.get(canonicalize_name(wanted.name))
                if found is None or not wanted.specifier.contains(found.version, prereleases=True):
                    version = "none" if found is None else found.version
                    yield f"{lock.file} has {version} for {line!r} on Python {python}, {machine}: {again}"


def _counts(requirement: Requirement, where: Mapping[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(dict(where))


def _environment(python: str, machine: str) -> dict[str, str]:
    """The markers of a device (PEP 508)."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.9",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }

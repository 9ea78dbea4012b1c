"""Bundles that follow one another, and folders of versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from signing_cases import PRISTINE

from edge_runtime.bundle.bundle import MANIFEST
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.station.updates import install as installing
from edge_runtime.station.updates.bring import open_update
from edge_runtime.station.updates.install import Wishes, install
from edge_runtime.station.updates.versions import Versions

__all__ = ["bundle_of", "changed", "installed", "untried", "versions"]


def bundle_of(folder: Path, version: str, **facts: Any) -> Path:
    """A small bundle whose model has that version (and what else of a model is given)."""
    return changed(Path(shutil.copytree(PRISTINE, folder / f"{version}.edge")), version=version, **facts)


def changed(bundle: Path, **facts: Any) -> Path:
    """Change what a bundle's manifest says of its model, and seal it again."""
    path = bundle / MANIFEST
    data = json.loads(path.read_text())
    data["model"].update(facts)
    data["digest"] = UNSEALED
    path.write_bytes(seal(json.dumps(data).encode()))
    return bundle


def untried(monkeypatch: Any) -> None:
    """Leave out the process that tries a version, for tests of all the rest."""
    monkeypatch.setattr(installing, "_try", lambda folder, wishes: None)


def versions(root: Path) -> Versions:
    """A folder of versions that may not be there yet."""
    return Versions(root / "models")


def installed(folder: Versions, source: Path | str, wishes: Wishes | None = None) -> int:
    """Bring a version."""
    update = open_update(str(source))
    try:
        return install(folder, update, wishes or Wishes(), lambda line: None)
    finally:
        update.close()

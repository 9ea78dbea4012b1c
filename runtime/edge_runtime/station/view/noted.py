"""How a station looked at its pictures, as the store notes it: what is judged again is looked at in the same way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.errors import UsageError
from edge_runtime.station.view.settings import Mask, Reference, Region, Tiles, ViewSettings

__all__ = ["view_from_json", "view_to_json"]


def view_to_json(view: ViewSettings) -> dict[str, Any]:
    """Return plain values. Of pictures that it names there is the path, and what their bytes are known by."""
    told: dict[str, Any] = {}
    for field in dataclasses.fields(view):
        part = getattr(view, field.name)
        if part is not None and field.name != "gate":  # what is judged again is judged in full
            told[field.name] = {name: value for name, value in dataclasses.asdict(part).items() if value is not None}
            if (picture := told[field.name].get("picture")) is not None:
                told[field.name] |= {"picture": str(picture), "sha256": _digest(picture)}
    return dict(json.loads(json.dumps(told)))


def view_from_json(told: Mapping[str, Any]) -> ViewSettings:
    """Return what view_to_json told of. Raises UsageError where a picture is not what it was."""
    parts = {name: dict(values) for name, values in told.items()}
    for values in parts.values():
        if "picture" in values:
            values["picture"] = Path(values["picture"])
            if _digest(values["picture"]) != values.pop("sha256"):
                raise UsageError(f"{values['picture']} is gone, or no longer the picture that the station had")
    if "mask" in parts:
        polygons = parts["mask"].get("polygons", ())
        parts["mask"]["polygons"] = tuple(tuple(map(tuple, polygon)) for polygon in polygons)
    return ViewSettings(
        Region(**parts["region"]) if "region" in parts else None,
        Mask(**parts["mask"]) if "mask" in parts else None,
        Tiles(**parts["tiles"]) if "tiles" in parts else None,
        Reference(**parts["reference"]) if "reference" in parts else None,
    )


def _digest(picture: Path) -> str:
    try:
        return hashlib.sha256(picture.read_bytes()).hexdigest()
    except OSError:
        return ""

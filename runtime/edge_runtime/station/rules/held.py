"""The rules of a recipe held against its bundles, and written down for a replay."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import EdgelineError
from edge_runtime.files.schema import from_json, to_json
from edge_runtime.inspect.settings import EngineSettings
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.recipe.mistakes import Mistake
from edge_runtime.station.recipe.recipe import Station
from edge_runtime.station.rules.against import Floor, floor_of, misfits
from edge_runtime.station.rules.settings import Rule

__all__ = ["floor_for", "read_down", "rule_mistakes", "with_floor", "written_down"]


def rule_mistakes(loaded: Loaded) -> Iterator[Mistake]:
    """Yield what the bundles of a recipe cannot do for its rules. A bundle that cannot be read is not looked at."""
    for name, station in loaded.recipe.stations.items():
        if not station.rules:
            continue
        try:
            manifest = read_bundle(station.bundle, check_hashes=False).manifest
        except (EdgelineError, OSError):
            continue
        for key, what in misfits(station.rules, manifest):
            yield loaded.mistake(f"stations.{name}.rules{'.' * bool(key)}{key}", what)


def floor_for(station: Station) -> Floor:
    """Return what the engine of a station must return. Raises BundleError where its rules ask for it."""
    if not station.rules:
        return Floor()
    return floor_of(station.rules, read_bundle(Path(station.bundle), check_hashes=False).manifest)


def with_floor(settings: EngineSettings, floor: Floor) -> EngineSettings:
    """Return settings of an engine that returns what is asked."""
    return dataclasses.replace(
        settings, confidence=floor.confidence, min_area=floor.min_area, everything=floor.everything
    )


def written_down(rules: Mapping[str, Rule]) -> list[dict[str, Any]]:
    """Return rules as plain JSON values, in their order, which is that of the reasons."""
    return [{"name": name, "rule": to_json(rule)} for name, rule in rules.items()]


def read_down(found: Sequence[Mapping[str, Any]]) -> dict[str, Rule]:
    """Return the rules that were written down. Raises SchemaError for what are none."""
    return {str(one["name"]): from_json(Rule, one["rule"]) for one in found}

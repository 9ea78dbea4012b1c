"""Which manifests this version reads, and what a newer one may add to them; BUNDLE.md has the rules for writers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from edge_runtime.errors import BundleError
from edge_runtime.files.schema import from_json

__all__ = [
    "MINOR_VERSION",
    "MOST_MINOR",
    "SCHEMA_VERSION",
    "UNDERSTOOD",
    "check_needs",
    "check_schema",
    "is_newer",
    "name_ignored",
]

SCHEMA_VERSION: Literal[1] = 1
MINOR_VERSION, MOST_MINOR = 1, 9999

# What a manifest's `requires` may name, with the minor version that brought it and what it is.
UNDERSTOOD: Mapping[str, str] = {
    "class indices": "1.1: a map of class indices with a channel of its own (Segment.indices)",
    "columns": "1.1: the order of a detector's row (Detect.columns)",
    "binary classifiers": "1.1: one score that tells two classes (Classify.binary)",
    "first class": "1.1: class ids that do not begin with 0 (Detect.first_class)",
    "heads by stride": "1.1: a detector's outputs for each stride (anchors, fastest-v2, distances of Detect.format)",
    "key points": "1.1: key points of objects (Detect.points)",
    "labels apart": "1.1: classes in an output of their own beside boxes with scores (final-labels of Detect.format)",
    "map normalization": "1.1: an anomaly map scaled otherwise than its score (Anomaly.map_threshold, map_span)",
    "mask thresholds": "1.1: the value from which a pixel counts (Segment.threshold)",
    "masks of scores": "1.1: prototypes whose scores are enlarged, not their sums (Masks.enlarged)",
    "multi-label classifiers": "1.1: classes of which several may be true (Classify.multilabel)",
    "object masks": "1.1: masks of objects (Detect.masks)",
    "points in lines": "1.1: key points of the whole picture in lines across and down (simcc of Detect.format)",
    "oriented boxes": "1.1: boxes that are turned (Detect.angle)",
    "overlapping classes": "1.1: a mask of its own for each class (Segment.multilabel)",
}

_LOG = logging.getLogger(__name__)
_UPDATE = "update edgeline on this device"
_MOST_NAMED, _LONGEST = 5, 60
_NAMED: set[str] = set()  # bundles whose unknown keys were named in this process, by their SHA-256


def check_schema(data: Any, where: Path) -> None:
    """Raise BundleError for a manifest of another major version, which may mean anything by any key."""
    version = data.get("schema") if isinstance(data, dict) else None
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BundleError(
            f"{where} has schema {repr(version)[:_LONGEST]}, this version of edgeline reads {SCHEMA_VERSION}; "
            f"{_UPDATE} or export the bundle again"
        )


def check_needs(data: Mapping[str, Any], where: Path) -> None:
    """Raise BundleError for a manifest that may not be read without something that this version does not know.

    SchemaError for needs that are no list of names.
    """
    for need in from_json(tuple[str, ...], data.get("requires", []), "$.requires"):
        if need not in UNDERSTOOD:
            raise BundleError(
                f"{where} needs {_shown(need)}, which this version of edgeline does not know "
                f"(format {_format(data)}, known up to {SCHEMA_VERSION}.{MINOR_VERSION}); {_UPDATE}"
            )


def is_newer(data: Mapping[str, Any]) -> bool:
    """Tell whether a manifest claims a newer minor version than this one."""
    minor = data.get("minor", 0)
    return isinstance(minor, int) and minor > MINOR_VERSION


def name_ignored(ignored: Sequence[str], data: Mapping[str, Any], folder: Path, sha256: str) -> None:
    """Name the keys that were ignored, once for each bundle: a warning in the log, which Python writes to stderr."""
    if not ignored or sha256 in _NAMED:
        return
    _NAMED.add(sha256)
    names = ", ".join(_shown(name) for name in ignored[:_MOST_NAMED])
    more = f" and {len(ignored) - _MOST_NAMED} more" if len(ignored) > _MOST_NAMED else ""
    _LOG.warning(
        "%s: ignored what this version of edgeline does not know: %s%s (format %s, known up to %s); %s to use it",
        folder, names, more, _format(data), f"{SCHEMA_VERSION}.{MINOR_VERSION}", _UPDATE,
    )  # fmt: skip


def _format(data: Mapping[str, Any]) -> str:
    minor = data.get("minor", 0)
    return f"{SCHEMA_VERSION}.{minor if isinstance(minor, int) and 0 <= minor <= MOST_MINOR else '?'}"


def _shown(name: str) -> str:
    return repr(name if len(name) <= _LONGEST else name[: _LONGEST - 3] + "...")

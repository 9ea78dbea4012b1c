"""Our own metadata key, `edgeline`: JSON with the manifest's own fields, as the sample's trainer writes
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edge_export.state import KnownFacts
from edge_runtime.errors import DataError
from edge_runtime.files.schema import SchemaError, from_json

__all__ = ["KEY", "read_own"]

KEY = "edgeline"
_FIELDS = ("name", "version", "preprocess", "postprocess", "labels", "thresholds", "verdict")


def read_own(properties: Mapping[str, str]) -> KnownFacts | None:
    """Facts of the `edgeline` key; None without one. Raises DataError naming the field that does not fit."""
    text = properties.get(KEY)
    if text is None:
        return None
    where = f"ONNX metadata {KEY!r}"
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: expected JSON, found {text[:40]!r}; write the model's metadata again") from error
    if not isinstance(data, dict):
        raise DataError(f"{where}: expected an object with {', '.join(_FIELDS)}, found {text[:40]!r}")
    if unknown := sorted(set(data) - set(_FIELDS)):
        raise DataError(f"{where}: unknown key {unknown[0]!r}; known keys: {', '.join(_FIELDS)}")
    try:
        return from_json(KnownFacts, data, where).found_in("edgeline metadata")
    except SchemaError as error:
        raise DataError(f"{error}; write the model's metadata again") from error

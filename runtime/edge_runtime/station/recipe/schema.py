"""The JSON schema of recipes, made of the dataclasses: editors complete keys and mark mistakes by it."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union

from edge_runtime.inspect.secret import Secret
from edge_runtime.station.recipe.recipe import Recipe
from edge_runtime.station.recipe.shape import hints_of

__all__ = ["SCHEMA_FILE", "recipe_schema"]

# Written by `edge-station schema`, and beside this module for editors: see edge-station init.
SCHEMA_FILE = Path(__file__).with_name("recipe.schema.json")


def recipe_schema() -> dict[str, Any]:
    """Return it (draft 2020-12)."""
    found = _schema(Recipe, {})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Edgeline station recipe", **found}


def _schema(kind: Any, metadata: Mapping[str, Any]) -> dict[str, Any]:
    origin = typing.get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _object(typing.cast("type[Any]", kind))
    if origin in (Union, types.UnionType):
        (kind,) = (each for each in typing.get_args(kind) if each is not type(None))
        return _schema(kind, metadata)
    if origin is tuple:
        items = _schema(typing.get_args(kind)[0], {})
        listed = {"type": "array", "items": items}
        return {"anyOf": [items, listed]} if metadata.get("single") else listed
    if origin is Literal:
        return {"enum": list(typing.get_args(kind))}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        names = {"pattern": f"^{metadata.get('words', '.+')}$"}
        values = _schema(typing.get_args(kind)[1], {})
        return {"type": "object", "minProperties": 1, "propertyNames": names, "additionalProperties": values}
    if metadata.get("unit") == "size":
        return {"type": ["string", "integer"], "pattern": r"^[0-9.]+ *([kKmMgG]i?)?[bB]?$"}
    if metadata.get("unit") == "seconds":
        return {"type": "string", "pattern": r"^[0-9.]+ ?(ms|s|min|h)$"}
    if isinstance(kind, type) and issubclass(kind, Secret):
        return {"type": ["string", "integer"]}
    return {"type": {int: "integer", float: "number", bool: "boolean"}.get(kind, "string")}


def _object(kind: type[Any]) -> dict[str, Any]:
    if hasattr(kind, "PATTERN"):
        return {"type": ["string", "number"], "pattern": f"^{kind.PATTERN}$"}
    fields = dataclasses.fields(kind)
    hints = hints_of(kind)
    properties = {field.name: {**_schema(hints[field.name], field.metadata), **_described(field)} for field in fields}
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    needed = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if getattr(kind, "ONE_OF", False):
        found |= {"minProperties": 1, "maxProperties": 1}
    elif needed:
        found["required"] = needed
    if getattr(kind, "LISTED", False):
        listed = {"type": "array", "prefixItems": [_schema(hints[field.name], field.metadata) for field in fields]}
        return {"anyOf": [{**listed, "minItems": len(fields), "maxItems": len(fields)}, found]}
    short = getattr(kind, "SHORT", None)
    if short is None:
        return found
    alone = _schema(hints[short], {}) if typing.get_origin(hints[short]) is tuple else {"type": ["string", "integer"]}
    return {"anyOf": [alone, found]}


def _described(field: dataclasses.Field[Any]) -> dict[str, Any]:
    found = {"description": field.metadata["help"]} if "help" in field.metadata else {}
    if isinstance(field.default, (int, float, str)):
        found["default"] = field.default
    return found

"""Read strangers' text safely: literals without `eval`, numbers within limits, None for anything else."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

__all__ = ["MAX_LABELS", "boolean", "label_list", "literal", "number", "numbers", "read_json"]

_MAX_TEXT = 1 << 20
MAX_LABELS = 65536
_MAX_LABEL_LENGTH = 200


def literal(text: str | None) -> Any:
    """A Python literal (dict, list, number, string, bool, None) from text; None for other or huge text."""
    if not text or len(text) > _MAX_TEXT:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file; None when there is none, or it is something else."""
    try:
        if path.stat().st_size > 8 * _MAX_TEXT:
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def number(value: Any, low: float, high: float) -> float | None:
    """A finite number of low..high, from a number or its text; None otherwise."""
    if isinstance(value, bool):
        return None
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) and low <= result <= high else None


def numbers(text: Any) -> tuple[float, ...] | None:
    """Numbers from "1 2 3", "1, 2, 3", "[1, 2, 3]" or a list; None when any is none, or there are over 16."""
    parts = text.strip("[]() ").replace(",", " ").split() if isinstance(text, str) else text
    if not isinstance(parts, (list, tuple)) or not 0 < len(parts) <= 16:
        return None
    values = [number(part, -1e9, 1e9) for part in parts]
    return None if any(value is None for value in values) else tuple(v for v in values if v is not None)


def boolean(value: Any) -> bool | None:
    """True or False from a bool or from the text that various tools write for it; None otherwise."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words.get(str(value).strip().lower())


def label_list(value: Any) -> tuple[str, ...] | None:
    """Labels from {index: name} (keys may be text) or [name, ...]; gaps become "class_7"; None if malformed."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_LABELS:
        return None
    by_index: dict[int, str] = {}
    for key, name in value.items():
        index = number(key, 0, MAX_LABELS - 1)
        if index is None or index != int(index) or not isinstance(name, (str, int)) or isinstance(name, bool):
            return None
        by_index[int(index)] = " ".join(str(name).split())[:_MAX_LABEL_LENGTH]
    count = max(by_index) + 1
    if count > 2 * len(by_index) + 16:
        return None
    return tuple(by_index.get(i) or f"class_{i}" for i in range(count))

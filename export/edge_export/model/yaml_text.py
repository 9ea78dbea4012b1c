"""The YAML that programs write: what `yaml.dump` makes of dictionaries, lists, numbers and texts, in blocks.

A model's settings lie beside it in such files; a library for all of YAML is not worth it for them. Anything else
(anchors, tags, texts of several lines) is not read at all.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edge_export.model.parse import literal

__all__ = ["read_yaml"]

_MOST = 1 << 20  # characters
_DEEPEST = 20
_KEY = re.compile(r"(?P<key>[\w][\w.\- ]*|'[^']*'|\"[^\"\\]*\"):(?: +(?P<value>.*))?$")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}

# A line's indentation and its text.
_Line = tuple[int, str]


def read_yaml(path: Path) -> dict[str, Any] | None:
    """A mapping from a file; None when there is none, or it is something else."""
    try:
        if path.stat().st_size > _MOST:
            return None
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
    lines = [(len(line) - len(line.lstrip(" ")), line.strip()) for line in text.splitlines()]
    lines = [(depth, line) for depth, line in lines if line and not line.startswith("#") and line != "---"]
    try:
        value, rest = _block(lines, 0) if lines else (None, [])
    except ValueError:
        return None
    return value if isinstance(value, dict) and not rest else None


def _block(lines: list[_Line], nested: int) -> tuple[Any, list[_Line]]:
    """The list or the mapping that begins with the first line, and the lines after it. Raises ValueError."""
    if nested > _DEEPEST:
        raise ValueError("too deep")
    depth, first = lines[0]
    made_list: list[Any] = []
    made: dict[str, Any] = {}
    listed = first == "-" or first.startswith("- ")
    while lines and lines[0][0] == depth and (lines[0][1] == "-" or lines[0][1].startswith("- ")) == listed:
        text, lines = lines[0][1], lines[1:]
        if listed:
            inner = text[1:].strip()
            if _KEY.match(inner) or inner.startswith("- "):  # a block that begins in the list's line
                value, lines = _block([(depth + len(text) - len(inner), inner), *lines], nested + 1)
            else:
                value, lines = _value(inner, lines, depth, nested)
            made_list.append(value)
            continue
        found = _KEY.match(text)
        if found is None:
            raise ValueError(f"no key: {text}")
        value, lines = _value(found["value"] or "", lines, depth, nested, below=True)
        made[found["key"].strip("'\"")] = value
    return (made_list if listed else made), lines


def _value(text: str, lines: list[_Line], depth: int, nested: int, below: bool = False) -> tuple[Any, list[_Line]]:
    """What stands behind a key or a dash. `below`: a list that belongs to it may stand as deep as it does."""
    if text:
        if lines and lines[0][0] > depth:
            raise ValueError("a text of several lines")
        return _scalar(text), lines
    if lines and (lines[0][0] > depth or (below and lines[0][0] == depth and lines[0][1].startswith("-"))):
        return _block(lines, nested + 1)
    return None, lines


def _scalar(text: str) -> Any:
    if text[0] in "&*!|>%@`":
        raise ValueError(f"not read here: {text}")
    if text[0] in "[{":
        inside = text[1:-1].strip()
        if text[0] == "{" or text[-1] != "]" or any(mark in inside for mark in "[]{}'\""):
            raise ValueError(f"not read here: {text}")
        return [_scalar(part.strip()) for part in inside.split(",")] if inside else []
    if text[0] in "'\"":
        if len(text) < 2 or text[-1] != text[0]:
            raise ValueError(f"a text of several lines: {text}")
        return text[1:-1].replace("''", "'") if text[0] == "'" else literal(text)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if re.fullmatch(r"[-+]?(\d[\d_]*)?\.?\d*(e[-+]?\d+)?", text, re.IGNORECASE) and any(map(str.isdigit, text)):
        return float(text) if re.search(r"[.eE]", text) else int(text)
    return text

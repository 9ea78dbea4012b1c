"""Sizes in bytes as people write them: "160MB", "1.5 GiB", 4096."""

from __future__ import annotations

import re

from edge_runtime.errors import UsageError

__all__ = ["format_size", "parse_size"]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kmg]i?|)b?", re.IGNORECASE | re.ASCII)


def parse_size(text: str | int) -> int:
    """Return bytes: MB is 10**6, MiB is 2**20, a bare number is bytes. Raises UsageError for what is no size."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"expected a size such as 160MB or 1.5GiB, found {text!r}")
    # In integers: what a float rounds would be another limit than the one that was asked for.
    whole, _, part = match[1].partition(".")
    unit = _UNITS[match[2].lower()]
    scale = int("1" + "0" * len(part))
    return (2 * int(whole + part) * unit + scale) // (2 * scale)


def format_size(size: float) -> str:
    """Return bytes in the unit that reads best, decimal: "160.0 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(size) >= 0.99995 * factor:  # what would be rounded to 1000.0 of the smaller unit is 1.0 of this one
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"

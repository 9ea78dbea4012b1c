"""Figures and facts as people read them, the same in every form of the report."""

from __future__ import annotations

import unicodedata

from edge_tools.bench.cases import Climate

__all__ = ["MARK", "climate_words", "marked", "printable", "short"]

# Stands at every figure that is not this machine's own; what it means is said once.
MARK = "\N{DAGGER}"


def printable(text: str) -> str:
    """Return text that moves no terminal's cursor and can be written as UTF-8: names of files are anybody's."""
    return "".join("?" if unicodedata.category(letter) in ("Cc", "Cf", "Cs") else letter for letter in text)


def short(value: float | None) -> str:
    """Three digits that count: 0.123, 1.23, 12.3, 1235."""
    if value is None:
        return "-"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}" if value >= 1 else f"{value:.3f}"


def marked(label: str) -> str:
    """Return what follows the name of a figure that bears this label: the mark, "" without a label."""
    return f" {MARK}" if label else ""


def climate_words(climate: Climate) -> str:
    """Return the temperature and what holds the clocks down; "" where nobody tells."""
    parts = [] if climate.celsius is None else [f"{climate.celsius:.0f} C ({climate.zone})"]
    if climate.throttled:
        parts.append(f"throttled: {', '.join(climate.throttled)}")
    elif climate.throttled_before:
        parts.append(f"throttled since boot: {', '.join(climate.throttled_before)}")
    return ", ".join(parts)

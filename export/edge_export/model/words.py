"""Words for messages about how a model is read: those of the user, and none that he did not write."""

from __future__ import annotations

from typing import Any

from edge_export.state import FactFlags, KnownFacts

__all__ = ["without_advice", "written"]


def written(facts: KnownFacts, flags: FactFlags) -> str:
    """What says how outputs are read, in the user's own words: the flags that were given, else where it was found."""
    given = [("task", flags.task), ("family", flags.family), *flags.postprocess.items()]
    words = [f"--{name.replace('_', '-')} {_word(value)}".rstrip() for name, value in given if value is not None]
    return " ".join(words) or facts.origin.get("postprocess", "the defaults")


def without_advice(error: BaseException) -> str:
    """What a device says of an answer that it cannot read, less what it says to whoever exported the model."""
    return str(error).partition("; export again")[0]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

"""How near to FP32 the outputs must stay, by effort."""

from __future__ import annotations

__all__ = ["target_db"]

# Signal to noise that the outputs must keep: below 20 dB detectors lost objects; 30 dB left 98 of 100 classes the same.
_TARGETS = {"fast": 20.0, "good": 24.0, "best": 30.0}


def target_db(effort: str) -> float:
    """Return the signal to noise ratio (dB) that outputs must keep with this effort."""
    return _TARGETS[effort]

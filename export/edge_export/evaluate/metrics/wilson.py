"""Wilson's interval of a share (E. B. Wilson, 1927, Probable inference, and the law of succession)."""

from __future__ import annotations

import math

__all__ = ["highest_share"]

_NORMAL = 1.959964  # 97.5 % of the normal distribution lie below


def highest_share(found: int, total: int) -> float:
    """Return the upper end, 0..1, of the 95 % interval of the share that `found` of `total` stand for; 1 of none."""
    if total < 1:
        return 1.0
    share, square = found / total, _NORMAL**2
    spread = _NORMAL * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    return min(1.0, (share + square / (2 * total) + spread) / (1 + square / total))

"""Wilson's interval of a share (E. B. Wilson, 1927, Probable inference, and the law of succession)."""

from __future__ import annotations

import math

__all__ = ["highest_share", "most_changed"]

_NORMAL = 1.959964  # 97.5 % of the normal distribution lie below


def most_changed(changed: float, images: float) -> float:
    """Return the share of all images that may change, at 95 % confidence, when `changed` of `images` did.

    None changed: exact, 1 - 0.05^(1/n). Else the upper end of Wilson's interval.
    """
    if images < 1:
        return 1.0
    if changed == 0:
        return 1.0 - math.pow(0.05, 1.0 / images)
    return highest_share(changed, images)


def highest_share(found: float, total: float) -> float:
    """Return the upper end, 0..1, of the 95 % interval of the share that `found` of `total` stand for; 1 of none."""
    if total < 1:
        return 1.0
    share, square = found / total, _NORMAL**2
    spread = _NORMAL * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    return min(1.0, (share + square / (2 * total) + spread) / (1 + square / total))

"""What is asked of a picture's health; a start that looks at files loads this much of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.inspect.health.limits import Limits

__all__ = ["CAMERA_FROZEN_S", "HealthSettings"]

CAMERA_FROZEN_S = 10.0  # a sensor's noise never repeats to the bit; what a stream decodes to does, of a still scene


@dataclass(frozen=True)
class HealthSettings:
    """`on` None: for live sources. `frozen_seconds`: how long the same picture may come; None:
    CAMERA_FROZEN_S of a camera of this machine, for ever of all else.

    `limits`: what was learnt from good pictures.
    """

    on: bool | None = None
    frozen_seconds: float | None = None
    limits: Limits | None = None

"""What the prepared folder keeps of measurements. Apart from prepared.py: a start without a limit does not read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_runtime.plan.measurements import Measurements, Speeds

__all__ = ["Measured"]


@dataclass(frozen=True)
class Measured:
    """measured-*.json: the bundle on this machine, and the machine itself."""

    schema: Literal[1]
    measurements: Measurements
    speeds: Speeds

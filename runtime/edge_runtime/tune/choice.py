"""How a bundle is run. Apart from what was measured of it, which a start without a tuned profile does not load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Choice", "Goal"]

# One image soon, or most images per second.
Goal = Literal["latency", "throughput"]


@dataclass(frozen=True)
class Choice:
    """How to run: `lanes` batches of `batch` images at a time with `threads` threads each, on the processors `cores`
    (none: wherever the system likes), spinning or not, on `provider` (onnxruntime's full name).
    """

    threads: int
    lanes: int
    batch: int
    spinning: bool
    cores: tuple[int, ...]
    provider: str = "CPUExecutionProvider"

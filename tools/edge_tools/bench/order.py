"""What a measured process is told on its command line. Imported by that process: standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

__all__ = ["Order"]


@dataclass(frozen=True)
class Order:
    """One process to measure.

    `engine`: "edgeline" opens the bundle `model`; "onnxruntime" opens the ONNX file `model` as anybody would;
    "reference" opens it without any graph optimization, so that the file's own arithmetic is done; "prepare" prepares
    the bundle `model` and runs nothing.
    `inputs`: an .npz with one array for each input, `batch` images of them. `cpus`: the processors to stay on, () for
    all. `started_ns` is CLOCK_MONOTONIC just before the process was started, `parent` the process to end with.
    """

    engine: str
    model: str
    inputs: str
    batch: int
    memory_limit: int | None = None
    threads: int | None = None
    cpus: tuple[int, ...] = ()
    started_ns: int = 0
    parent: int = 0

    def to_text(self) -> str:
        """Return the order as one argument of a command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> Order:
        """Return the order that `to_text` wrote."""
        values = json.loads(text)
        return Order(**{**values, "cpus": tuple(values["cpus"])})

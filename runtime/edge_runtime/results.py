"""What judges images, and what it answers for each: plain data, in pixels of the original image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edge_runtime.bundle.facts import Verdict
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.trust import Trust

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Box", "Judge", "Mask", "OrientedBox", "Point", "Prediction", "Result", "RunCall", "UrgentCall"]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the original image, x1 <= x2, y1 <= y2."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class OrientedBox:
    """A rectangle turned about its centre by `angle` radians, clockwise in the picture; pixels of the original."""

    x: float
    y: float
    width: float
    height: float
    angle: float

    def corners(self) -> tuple[tuple[float, float], ...]:
        """The four corners in order; the first is the upper left one of the box before it was turned."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        halves = [(sx * self.width / 2, sy * self.height / 2) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        return tuple((self.x + dx * cos - dy * sin, self.y + dx * sin + dy * cos) for dx, dy in halves)


@dataclass(frozen=True)
class Point:
    """A key point in pixels of the original image; `confidence` 0..1, 1 where the model gives none."""

    x: float
    y: float
    confidence: float = 1.0


@dataclass(frozen=True, eq=False)
class Mask:
    """The pixels of one object: bool [height, width], its upper left pixel at `left`, `top` of the original image."""

    left: int
    top: int
    inside: NDArray[np.bool_]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mask)
            and (self.left, self.top, self.inside.shape) == (other.left, other.top, other.inside.shape)
            and bool((self.inside == other.inside).all())
        )

    def __hash__(self) -> int:
        return hash((self.left, self.top, self.inside.tobytes()))


@dataclass(frozen=True)
class Prediction:
    """One thing seen: a detected object, a class of the whole image, or a segmented region (then with its box).

    `area` is the fraction of the image that a segmented region or a mask covers; None for other tasks. A turned box has
    `oriented` and, as `box`, the upright rectangle around it.
    """

    name: str
    class_id: int
    confidence: float  # 0..1
    box: Box | None = None
    area: float | None = None
    oriented: OrientedBox | None = None
    points: tuple[Point, ...] = ()
    mask: Mask | None = None


@dataclass(frozen=True)
class Result:
    """Everything the model said of one image.

    `mask` is uint8 [height, width] of the original image: class index (segment) or anomaly 0..255 (anomaly).
    `tensors` are the raw outputs of a Raw model, each without its batch dimension. `edges` are the pairs of key points
    that a drawing connects.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    score: float | None = None  # anomaly score 0..1
    mask: NDArray[np.uint8] | None = None
    tensors: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    edges: tuple[tuple[int, int], ...] = ()
    # milliseconds spent on this image: "preprocess", "inference" (its share of the batch), "postprocess"
    timing_ms: dict[str, float] = field(default_factory=dict)


RunCall = Callable[[Sequence["NDArray[np.uint8]"]], list[Result]]
# Asked between two blocks of a run: None, or what to do first, which is given a `run` for images of its own.
UrgentCall = Callable[[], "Callable[[RunCall], None] | None"]


class Judge(Protocol):
    """An engine that judges images: edge_runtime.Engine, and inspect.fake_engine.FakeEngine for tests.

    Several threads may use it; whoever opened it closes it.
    """

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        ...

    @property
    def bundle_sha256(self) -> str:
        """Names the bundle's exact bytes."""
        ...

    @property
    def trust(self) -> Trust:
        """Who vouches for them."""
        ...

    @property
    def lanes(self) -> int:
        """How many calls may be under way at a time; others wait."""
        ...

    @property
    def cores(self) -> tuple[int, ...]:
        """The processors to stay on; none: wherever the system likes."""
        ...

    @property
    def preemptible(self) -> bool:
        """Whether a call asks `urgent` between two blocks."""
        ...

    def run(self, images: Sequence[NDArray[np.uint8]], urgent: UrgentCall | None = None) -> list[Result]:
        """Judge images, uint8 [height, width, 3] BGR of any sizes; one result for each, in order. See Engine.run."""
        ...

    def infer(self, tensors: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run prepared tensors by input name; every output by name. See Engine.infer."""
        ...

    def close(self) -> None:
        """Free the model, when calls under way have ended. Closing twice does nothing."""
        ...

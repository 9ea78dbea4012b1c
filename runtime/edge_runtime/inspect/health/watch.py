"""Whether a picture may be judged: the policy of one source, which remembers what it has to."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_runtime.inspect.health.dead import dead, sampled
from edge_runtime.inspect.health.filled import filled
from edge_runtime.inspect.health.learn import dull_cells, odd_cells
from edge_runtime.inspect.health.limits import Limits
from edge_runtime.inspect.health.measures import Measures, measure, shift_between

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Watch"]

_CODEC_MOST, _CODEC_MEAN = (
    24,
    0.5,
)  # levels by which a still picture differs from keyframe to keyframe; measured: 11, 0.3


class Watch:
    """Looks at the pictures of one source, in their order."""

    def __init__(
        self, limits: Limits | None = None, frozen_seconds: float | None = None, compressed: bool = True
    ) -> None:
        """`compressed`: the same picture may come out a little otherwise each time, as keyframes do."""
        self._learnt = None if limits is None else _Learnt(limits)
        self._frozen = None if frozen_seconds is None else _Frozen(frozen_seconds, _alike if compressed else _equal)

    def finding(self, image: NDArray[np.uint8], taken_s: float) -> str | None:
        """Return why a picture, uint8 [height, width, 3], must not be judged; None: nothing is against it.

        `taken_s`: when it was taken, on a clock that never goes back.
        """
        sample = sampled(image)
        frozen = None if self._frozen is None else self._frozen.finding(image, sample, taken_s)
        if (reason := dead(image, sample) or filled(image) or frozen) is not None or self._learnt is None:
            return reason
        return self._learnt.finding(measure(image, sample))


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture as it is remembered: its sample, and a sum of all its pixels once that was asked for."""

    shape: tuple[int, ...]
    sample: NDArray[np.uint8]
    summed: int | None = None


class _Frozen:
    """The same picture for too long; `same` compares the first of those that are alike with the newest."""

    def __init__(self, seconds: float, same: Callable[[_Seen, NDArray[np.uint8], _Seen], _Seen | None]) -> None:
        self._seconds, self._same = seconds, same
        self._first: _Seen | None = None
        self._since = 0.0

    def finding(self, image: NDArray[np.uint8], sample: NDArray[np.uint8], taken_s: float) -> str | None:
        newest = _Seen(image.shape, sample)
        first = (
            None if self._first is None or self._first.shape != image.shape else self._same(self._first, image, newest)
        )
        if first is None:
            self._first, self._since = newest, taken_s
            return None
        self._first = first
        lasted = taken_s - self._since
        return f"frozen: the same picture for {lasted:.0f} s" if lasted >= self._seconds else None


def _equal(first: _Seen, image: NDArray[np.uint8], newest: _Seen) -> _Seen | None:
    """Whether two pictures are the same to the bit: all pixels are summed up only once those of the sample are."""
    if not np.array_equal(first.sample, newest.sample):
        return None
    summed = zlib.crc32(np.ascontiguousarray(image).data)
    return dataclasses.replace(first, summed=summed) if first.summed in (None, summed) else None


def _alike(first: _Seen, image: NDArray[np.uint8], newest: _Seen) -> _Seen | None:
    """Whether two pictures differ by no more than what a codec makes of one."""
    if cv2.norm(first.sample, newest.sample, cv2.NORM_INF) > _CODEC_MOST:
        return None
    mean = cv2.norm(first.sample, newest.sample, cv2.NORM_L1) / first.sample.size
    return first if mean <= _CODEC_MEAN else None


class _Learnt:
    """A picture beside what good ones are like."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._cells = (limits.cells("levels_least"), limits.cells("levels_most"), limits.cells("textures_least"))

    def finding(self, own: Measures) -> str | None:
        """The first of all limits that the picture does not keep to: the one that tells most stands first."""
        sharp = own.sharpness >= self._limits.sharpness
        return (
            (None if sharp or not own.sharpness else self._soft(own))
            or self._exposed(own)
            or self._dull(own)
            or self._lit(own)
            or (None if sharp else self._soft(own))
            or self._shifted(own)
            or self._toned(own)
            or self._covered(own)
        )

    def _soft(self, own: Measures) -> str:
        return f"out of focus: sharpness {own.sharpness:.2f}, good pictures have {self._limits.sharpness:.2f} or more"

    def _exposed(self, own: Measures) -> str | None:
        least, most = self._limits.white, self._limits.black
        if own.white < least:
            return (
                f"under-exposed: the lightest of it has level {own.white:.0f}, good pictures have {least:.0f} or more"
            )
        if own.black > most:
            return f"over-exposed or veiled: the darkest of it has level {own.black:.0f}, good pictures have {most:.0f}"
        return None

    def _dull(self, own: Measures) -> str | None:
        dull, most = dull_cells(own, self._limits.texture), self._limits.dull_cells
        if dull <= most:
            return None
        return f"covered: {dull} of {own.levels.size} fields without contrast, good pictures have {most} at most"

    def _lit(self, own: Measures) -> str | None:
        least, most = self._limits.darkest, self._limits.brightest
        if own.brightness < least:
            return f"under-exposed or covered: brightness {own.brightness:.0f}, good pictures have {least:.0f} or more"
        if own.brightness > most:
            return f"over-exposed: brightness {own.brightness:.0f}, good pictures have {most:.0f} at most"
        return None

    def _shifted(self, own: Measures) -> str | None:
        place = self._limits.place
        if place is None:
            return None
        right, down, sureness = shift_between(place.pixels, own.view)
        if sureness < place.sureness or max(abs(right), abs(down)) <= place.shift:
            return None
        return f"shifted: by {right:+.1%} of the width, {down:+.1%} of the height"

    def _toned(self, own: Measures) -> str | None:
        most = self._limits.tones_most
        for number, (share, allowed) in enumerate(zip(own.tones, most, strict=True)):
            if share > allowed:
                what = {0: "under-exposed or covered", len(most) - 1: "over-exposed"}.get(number, "covered or dirty")
                step = 256 // len(most)
                levels = f"levels {number * step} to {number * step + step - 1}"
                return f"{what}: {share:.1%} of it has {levels}, good pictures have {allowed:.1%} at most"
        return None

    def _covered(self, own: Measures) -> str | None:
        darker, lighter, duller = odd_cells(own, self._cells)
        most = self._limits.odd_cells
        for count, what in ((duller, "without contrast"), (darker, "too dark"), (lighter, "too bright")):
            if count > most:
                return (
                    f"covered or dirty: {count} of {own.levels.size} fields {what}, good pictures have {most} at most"
                )
        return None

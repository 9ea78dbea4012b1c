"""The images whose answer changed from FP32 to the bundle: the worst few, with both answers drawn.

Images stream through `Collector.see`; it keeps counts and at most MOST pairs of small JPEGs, so that its memory does
not grow with the data.
"""

from __future__ import annotations

import dataclasses
import heapq
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_export.certificate.difference import difference
from edge_export.certificate.pictures import answer_jpeg
from edge_export.state import Flip, Flips
from edge_export.text import printable
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.results import Result
from edge_runtime.vision.verdict import judge

__all__ = ["MOST", "Collector"]

Image = NDArray[np.uint8]  # height x width x 3, BGR

MOST = 8
_LONGEST_NAME = 60
# Another verdict is what a user suffers from: it comes before any other difference.
_VERDICT_WEIGHT = 10.0


@dataclass
class Collector:
    """Looks at both answers to one image after another. `facts` tell the task, the threshold and the verdict."""

    facts: ModelFacts
    most: int = MOST
    images: int = 0
    changed: int = 0
    verdicts: int = 0
    _kept: list[tuple[float, int, Flip]] = field(default_factory=list)

    def see(self, path: Path, image: Image, fp32: Result, bundle: Result) -> None:
        """Take in FP32's and the bundle's answer to one image; pictures are made only of those that are kept."""
        self.images += 1
        before, after = self._reported(fp32), self._reported(bundle)
        found = difference(before, after, self.facts, image.shape[:2])
        if found is None:
            return
        flipped = before.verdict != after.verdict
        severity = found.severity + _VERDICT_WEIGHT * flipped
        self.changed += 1
        self.verdicts += flipped
        if len(self._kept) == self.most and severity <= self._kept[0][0]:
            return
        change = f"verdict {_words(before)} became {_words(after)}; {found.words}" if flipped else found.words
        name = printable(path.name)
        name = name if len(name) <= _LONGEST_NAME else f"...{name[-(_LONGEST_NAME - 3) :]}"
        judged = self.facts.verdict.rule != "none"
        flip = Flip(
            name,
            change,
            flipped,
            severity,
            answer_jpeg(image, before, judged, found.lost, found.pixels),
            answer_jpeg(image, after, judged, found.new, found.pixels),
        )
        # Of equals the first one seen stays: the same data gives the same page.
        heapq.heappush(self._kept, (severity, -self.images, flip))
        if len(self._kept) > self.most:
            heapq.heappop(self._kept)

    def result(self, data: str) -> Flips:
        """Return what was collected; `data` says what the images were."""
        worst = tuple(flip for _, _, flip in sorted(self._kept, key=lambda item: (-item[0], -item[1])))
        return Flips(data, self.images, self.changed, self.verdicts, worst)

    def _reported(self, result: Result) -> Result:
        """The answer as the device reports it: metrics are measured on boxes of far lower confidence."""
        if self.facts.postprocess.task != "detect":
            return result
        threshold = self.facts.thresholds.confidence
        seen = tuple(prediction for prediction in result.predictions if prediction.confidence >= threshold)
        verdict, reasons = judge(self.facts.verdict, threshold, seen)
        return dataclasses.replace(result, predictions=seen, verdict=verdict, reasons=reasons)


def _words(result: Result) -> str:
    return result.verdict.replace("_", " ")

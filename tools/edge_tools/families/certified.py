"""Whether a bundle answers as its certificate says: what that states of the agreement with FP32 against the agreement
with the right answers, by the certificate's own measures.

A certificate promises the lower end of its 95 % interval. A few pictures, or many of which one holds most objects, tell
little: what was measured may be less by chance as far as the upper end of its own interval (Wilson's) reaches.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_export.evaluate.metrics.bootstrap import ones
from edge_export.evaluate.metrics.wilson import highest_share
from edge_export.evaluate.scores import Options, faithful_tally
from edge_export.state import Draft
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result
from edge_runtime.vision.postprocess.oriented import upright
from edge_tools.families.compare import is_flat, is_nothing
from edge_tools.families.truth import Truth

__all__ = ["LITTLE", "Answers", "Promise", "kept", "promises_of"]

LITTLE = 0.5  # a promise of less than this is next to none
_VOID = 255

Answers = Sequence[tuple[Sequence[Truth], Result]]  # the right answers to a picture, and a model's


@dataclass(frozen=True)
class Promise:
    """What a certificate states of the agreement with FP32 by one measure, and promises at least (`bound`).

    `measured` is the agreement with the right answers, `at_most` the upper end of its interval. `fp32` is that of FP32
    itself, which masks that are enlarged in another way leave short of 1.
    """

    metric: str
    stated: float
    bound: float
    measured: float = math.nan
    at_most: float = math.nan
    fp32: float = math.nan

    @property
    def lost(self) -> float:
        """By how much less was measured than is promised, below 0 where it was more."""
        return self.bound - (1.0 - self.fp32) - self.measured

    @property
    def kept(self) -> bool:
        """Whether as much was measured as is promised, but for the chance of few pictures."""
        return self.bound - (1.0 - self.fp32) <= self.at_most


def promises_of(draft: Draft) -> tuple[Promise, ...]:
    """Return what the certificate of a finished export promises; () where it states no agreement on pictures."""
    rows = () if draft.manifest is None else draft.manifest.accuracy
    return tuple(Promise(row.metric, row.bundle, row.low or 0.0) for row in rows if row.metric in _MEASURES)


def kept(promises: Sequence[Promise], bundle: Answers, fp32: Answers, options: Options) -> Promise | None:
    """Return the promise that fell shortest, with what was measured; None where none could be measured."""
    found, reference = _measured(bundle, options), _measured(fp32, options)
    known = [
        dataclasses.replace(
            one, measured=found[one.metric][0], at_most=found[one.metric][1], fp32=reference[one.metric][0]
        )
        for one in promises
        if one.metric in found and one.metric in reference
    ]
    return max(known, key=lambda one: one.lost, default=None)


def _measured(answers: Answers, options: Options) -> dict[str, tuple[float, float]]:
    """Return the agreement of a model's answers with the right ones by measure, and the upper end of its interval."""
    tally = faithful_tally(options.task, options)
    for truths, result in answers:
        seen = Result(
            result.verdict,
            result.reasons,
            tuple(one for one in result.predictions if options.task != "detect" or not is_nothing(one)),
            result.score,
            result.mask,
        )
        tally.see(_right(truths, result), seen)
    values = ((one, one.statistic(ones(len(answers)))) for one in tally.measures())
    return {
        one.metric: (value, highest_share(value * (one.worth or 0.0), one.worth or 0.0))
        for one, value in values
        if math.isfinite(value)
    }


def _right(truths: Sequence[Truth], result: Result) -> Result:
    """Return the right answers as a model's; pixels that the bundle did not see are nobody's."""
    mask = None
    if result.mask is not None:
        mask = np.zeros_like(result.mask)
        for truth in truths:
            for start, end in truth.mask if not truth.box else ():
                mask.reshape(-1)[start:end] = truth.class_id
        mask[result.mask == _VOID] = _VOID
    score = None if result.score is None else max((truth.score for truth in truths), default=0.0)
    return Result("NO_READ", (), tuple(_object(one) for one in truths if not is_flat(one)), score, mask)


def _object(truth: Truth) -> Prediction:
    box = truth.box
    if truth.oriented and not box:
        box = tuple(upright(np.array([truth.oriented]))[0].tolist())
    return Prediction(
        "",
        truth.class_id,
        truth.score,
        Box(*box) if box else None,
        oriented=OrientedBox(*truth.oriented) if truth.oriented else None,
        points=tuple(Point(x, y, seen[0] if seen else 1.0) for x, y, *seen in truth.points),
        mask=_mask(truth) if truth.box and truth.size else None,
    )


def _mask(truth: Truth) -> Mask:
    whole = np.zeros(truth.size[0] * truth.size[1], np.bool_)
    for start, end in truth.mask:
        whole[start:end] = True
    inside = whole.reshape(truth.size)
    rows, columns = inside.any(axis=1).nonzero()[0], inside.any(axis=0).nonzero()[0]
    top, left = int(rows[0]), int(columns[0])
    return Mask(left, top, inside[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1])


_MEASURES = ("agreement", "box_f1", "mask_f1", "points_f1", "oriented_f1", "mask_miou", "same_verdict")

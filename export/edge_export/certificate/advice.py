"""What to try next: sentences that follow from what was measured, and from what is missing for a verdict."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator

from edge_export.certificate.figures import lost_metrics, worst_agreement
from edge_export.certificate.words import machine, percent, plural, ratio
from edge_export.evaluate.data.calibration import RandomCalibration, SmoothImages
from edge_export.evaluate.metrics.wilson import most_changed
from edge_export.quant.arrived import arrived_quantized
from edge_export.quant.schemes import is_narrow
from edge_export.quant.select import COMPUTE_OPS
from edge_export.search.targets import allowed_loss
from edge_export.state import Draft
from edge_runtime.bundle.postprocess_spec import Classify

__all__ = ["advise"]

# A share known to less than this is worth more images: what a user would call "a few percent".
WIDE = 0.05
FEW_CALIBRATION = 64
_NAMED_LAYERS = 3
_NAMED_CLASSES = 6
_EVEN = 0.98  # of FP32's time: what is nearer to it than this is not faster


def advise(draft: Draft) -> tuple[str, ...]:
    """Return what to try next, the most useful first; () where nothing was found wanting."""
    arrived = bool(arrived_quantized(draft.reference)) if _is_int8(draft) else False
    return (
        *_about_verdict(draft),
        *_about_data(draft, arrived),
        *_about_drop(draft, arrived),
        *_about_latency(draft),
        *_about_proof(draft, arrived),
    )


def _is_int8(draft: Draft) -> bool:
    return any(node.precision == "int8" for node in draft.precision)


def _about_verdict(draft: Draft) -> Iterator[str]:
    """Which classes are good no file tells; what is a guess besides has its own note."""
    facts = draft.facts
    if not isinstance(facts.postprocess, Classify) or facts.verdict is not None or facts.unconfirmed is not None:
        return
    names = facts.labels or ()
    known = f"of {', '.join(names[:_NAMED_CLASSES])}{', ...' if len(names) > _NAMED_CLASSES else ''}"
    yield (
        "No verdict yet, edge-run says NO_READ: name the classes that mean OK with --ok-classes, or those that are NG "
        f"with --ng-classes ({known if names else 'which needs their names: --labels'})."
    )


def _about_data(draft: Draft, arrived: bool) -> Iterator[str]:
    if arrived:
        yield (
            "The model arrived quantized and its scales were kept. Where its FP32 original exists, export that: "
            "ranges and precision are then searched on your images."
        )
    elif draft.params is None:
        return
    elif isinstance(draft.calibration, RandomCalibration):
        yield "Ranges come from random noise, which is not what the model will see: give real inputs with --calibrate."
    elif isinstance(draft.calibration, SmoothImages):
        yield "Ranges come from made-up images: give photographs of the real scene with --calibrate."


def _about_drop(draft: Draft, arrived: bool) -> Iterator[str]:
    options = draft.options
    yield from _about_thresholds(draft)
    drop = _drop(draft)
    task = draft.facts.postprocess.task if draft.facts.postprocess else ""
    allowed = options.max_drop if draft.comparison else allowed_loss(task, options.max_drop)
    if drop is None or options.quantize != "int8" or arrived or drop[0] <= allowed + 1e-9:
        return
    yield f"{drop[1]}, allowed are {percent(allowed)} (--max-drop)."
    if len(draft.calibration) < FEW_CALIBRATION:
        yield (
            f"Ranges were taken from {plural(len(draft.calibration), 'sample')}: "
            f"{FEW_CALIBRATION} or more of the real scene often give better ones (--calibrate, --samples)."
        )
    if options.effort != "best":
        yield f"The search ran with --effort {options.effort}: --effort best repairs more before it gives up int8."
    worst = sorted(
        (
            node
            for node in draft.precision
            if node.precision == "int8" and node.op in COMPUTE_OPS and node.sqnr_db is not None
        ),
        key=lambda node: node.sqnr_db if node.sqnr_db is not None else math.inf,
    )[:_NAMED_LAYERS]
    if worst:
        names = " ".join(f"--keep-fp16 {shlex.quote(node.node)}" for node in worst)
        yield f"The int8 layers that cost most could stay FP16: --keep-fp16 auto {names}"
    yield "Fine-tuning with the quantizers in place (edge_export.qat) wins back what no choice of ranges can."


def _about_thresholds(draft: Draft) -> Iterator[str]:
    """A detector may find as well as before, and yet report less: its confidences moved across the threshold."""
    if draft.comparison is None:
        return
    leading = draft.comparison.difference[0]
    lost = lost_metrics(draft.comparison, draft.options.max_drop)
    if lost and leading.value >= -draft.options.max_drop:
        figures = ", ".join(f"{one.metric} fell by {-one.value:.4f}" for one in lost)
        moved = any(one.metric in ("precision", "recall", "f1") for one in lost)
        where = " at the reporting threshold: another --conf may win it back" if moved else ""
        yield f"{leading.metric} held, but {figures}{where}."


def _drop(draft: Draft) -> tuple[float, str] | None:
    """How much was lost and that in words: of the leading task metric, else of the agreement with FP32."""
    if draft.comparison is not None:
        change = draft.comparison.difference[0]
        if math.isfinite(change.value):
            words = f"{change.metric} fell by {-change.value:.4f} on {plural(change.images, 'image')}"
            return -change.value, words
    kept = [stage.agreement for stage in draft.stages if stage.kept and stage.agreement is not None]
    if row := worst_agreement(draft.accuracy):
        loss, data = 1.0 - row.bundle, row.data
    elif kept:
        loss, data = 1.0 - kept[-1], draft.holdout.description
    else:
        return None
    return loss, f"{percent(loss)} of the agreement with FP32 was lost on {data}"


def _about_latency(draft: Draft) -> Iterator[str]:
    latency = draft.latency
    if latency is None or latency.fp32_ms <= 0:
        return
    slower = latency.bundle_ms / latency.fp32_ms
    if slower < _EVEN or not _is_int8(draft):
        return
    yield (
        f"On {machine(latency)} the bundle takes {ratio(slower)} the time of "
        "FP32: int8 saves bytes there, not time. --quantize fp16 halves the bytes at FP32's speed."
    )


def _about_proof(draft: Draft, arrived: bool) -> Iterator[str]:
    if draft.options.quantize == "fp32" and not arrived:
        yield "The weights stay FP32: --quantize int8 with --calibrate makes most of them a quarter of that."
        return
    options, comparison, flips = draft.options, draft.comparison, draft.flips
    if comparison is None:
        if isinstance(draft.holdout, (RandomCalibration, SmoothImages)) and draft.params is None:
            yield f"Compared with FP32 only on {draft.holdout.description}: real inputs (--calibrate) tell more."
        narrow = any(is_narrow(node.precision) for node in draft.precision) and not arrived
        if narrow and flips is not None and flips.images and most_changed(flips.changed, flips.images) > WIDE:
            bound = percent(most_changed(flips.changed, flips.images))
            yield (
                f"{flips.changed} of {flips.images} held-back images changed their answer: up to {bound} of all images "
                "may (95 % confidence). Give --calibrate more images to know better."
            )
        if options.evaluate is None and draft.facts.postprocess is not None and draft.facts.postprocess.task != "raw":
            yield (
                "Agreement between models is not accuracy: --evaluate with labelled images measures both on the truth."
            )
        return
    change = comparison.difference[0]
    half = (change.high - change.low) / 2
    if math.isfinite(half) and options.max_drop > 0 and half > options.max_drop:
        enough = change.images * (half / options.max_drop) ** 2  # an interval shrinks with the root of the images
        yield (
            f"{plural(change.images, 'image')} tell the change of {change.metric} to within {half:.3f} (95 %); to tell "
            f"a drop of {options.max_drop:g}, about {_rounded(enough)} would be needed (--evaluate)."
        )
    elif change.images == 1:
        yield "A single labelled image proves nothing: give --evaluate more."


def _rounded(count: float) -> str:
    """Two digits are as much as such an estimate knows."""
    unit = 10 ** max(0, len(str(int(count))) - 2)
    return f"{math.ceil(count / unit) * unit:,}"

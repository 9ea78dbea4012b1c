"""Accuracy on labelled images, fidelity to FP32 without labels, each with a 95 % interval.

mAP is a property of the model, not of the threshold it is shown with: the runners given here must report
boxes from MEASURING_CONFIDENCE (0.001) on. They suppress overlaps as the bundle declares: what runs is measured.
Precision, recall and F1 are then taken at the threshold the device reports from, `Options.confidence`.

Two models are compared in one pass over the very same images, and their difference is bootstrapped in pairs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_export.evaluate.data.images import read_image
from edge_export.evaluate.data.mapping import ClassMap, map_classes
from edge_export.evaluate.data.truth import BoxTruth, Labelled, LabelledSet, Part
from edge_export.evaluate.metrics.answers import FIDELITY, FidelityTally
from edge_export.evaluate.metrics.bootstrap import Statistic, interval, ones
from edge_export.evaluate.metrics.fidelity import SignalNoise, signal_noise
from edge_export.evaluate.metrics.measure import Measure, Tally
from edge_export.evaluate.metrics.parts import parts_of
from edge_export.evaluate.metrics.tallies import tally_for
from edge_export.evaluate.metrics.wilson import most_changed
from edge_export.state import CalibrationSet, Comparison, Feeds, Score
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import DataError
from edge_runtime.results import Result
from edge_runtime.vision.settings import Settings

__all__ = [
    "MEASURING_CONFIDENCE",
    "Advance",
    "Evaluation",
    "Image",
    "ImageModel",
    "Options",
    "TensorModel",
    "Witness",
    "compare",
    "evaluate",
    "evaluation_of",
    "faithful_scores",
    "faithful_tally",
    "fidelity",
    "measuring_settings",
    "tensor_fidelity",
]

T = TypeVar("T")

Image = NDArray[np.uint8]  # height x width x 3, BGR
ImageModel = Callable[[list[Image]], list[Result]]
TensorModel = Callable[[Feeds], dict[str, NDArray[np.generic]]]
Advance = Callable[[int, int], None]  # images done, images in all
Witness = Callable[[Path, Image, Result, Result], None]  # an image, its first and its second model's answer

MEASURING_CONFIDENCE = 0.001
_FEW = 30.0
_PART_WORDS: dict[Part, str] = {"masks": "masks", "points": "key points", "oriented": "turned boxes"}


@dataclass(frozen=True)
class Options:
    """`labels`: the model's class names; `confidence`: what is reported from; `batch`: images a call.

    `task` is the model's; "" means that of the labels. An anomaly detector must say so. `parts` are what a detector
    gives of each object besides its box.
    """

    labels: tuple[str, ...] = ()
    confidence: float = 0.25
    batch: int = 1
    seed: int = 0
    task: str = ""
    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, facts: ModelFacts, seed: int = 0) -> Options:
        """Return what a model's facts tell."""
        post = facts.postprocess
        return cls(facts.labels, facts.thresholds.confidence, seed=seed, task=post.task, parts=parts_of(post))


@dataclass(frozen=True)
class Evaluation:
    """The scores of one model; `notes` say what was skipped and how classes were matched."""

    scores: tuple[Score, ...]
    notes: tuple[str, ...]


def measuring_settings(facts: ModelFacts) -> Settings:
    """Return the model's own settings; a detector reports from MEASURING_CONFIDENCE on."""
    settings = Settings.of(facts)
    if isinstance(facts.postprocess, Detect):
        return dataclasses.replace(settings, confidence=MEASURING_CONFIDENCE)
    return settings


def evaluate(
    runner: ImageModel, labelled: LabelledSet, options: Options = Options(), progress: Advance | None = None
) -> tuple[Score, ...]:
    """Return the scores of one model, the leading one first. Raises DataError when no image can be read."""
    return evaluation_of(runner, labelled, options, progress).scores


def evaluation_of(
    runner: ImageModel, labelled: LabelledSet, options: Options = Options(), progress: Advance | None = None
) -> Evaluation:
    """As `evaluate`, with the notes."""
    tally, notes = _tally(labelled, options)
    skipped: list[Path] = []
    for items, images in _batches(_pairs(labelled), options.batch, skipped, progress):
        for item, image, result in zip(items, images, runner(images), strict=True):
            tally.see(item.truth, image.shape[0], image.shape[1], result)
    seen = _seen(len(labelled.items), skipped)
    return Evaluation(tuple(_score(m, seen, options.seed) for m in tally.measures()), (*notes, *_skipped_note(skipped)))


def compare(
    fp32: ImageModel,
    bundle: ImageModel,
    labelled: LabelledSet,
    options: Options = Options(),
    progress: Advance | None = None,
    witness: Witness | None = None,
) -> Comparison:
    """Run both models on every image and judge them side by side; `witness` sees each image with both answers.

    Raises DataError when none can be read.
    """
    (left, notes), (right, _) = _tally(labelled, options), _tally(labelled, options)
    faithful = faithful_tally(options.task or labelled.task, options)
    skipped: list[Path] = []
    for items, images in _batches(_pairs(labelled), options.batch, skipped, progress):
        for item, image, a, b in zip(items, images, fp32(images), bundle(images), strict=True):
            left.see(item.truth, image.shape[0], image.shape[1], a)
            right.see(item.truth, image.shape[0], image.shape[1], b)
            faithful.see(a, b)
            if witness:
                witness(item.path, image, a, b)
    seen = _seen(len(labelled.items), skipped)
    before, after = left.measures(), right.measures()
    return Comparison(
        data=labelled.description,
        fp32=tuple(_score(m, seen, options.seed) for m in before),
        bundle=tuple(_score(m, seen, options.seed) for m in after),
        difference=tuple(_score(_less(a, b), seen, options.seed) for a, b in zip(after, before, strict=True)),
        fidelity=faithful_scores(faithful, seen, options.seed),
        notes=(*notes, *_skipped_note(skipped)),
    )


def fidelity(
    reference: ImageModel,
    other: ImageModel,
    images: Sequence[Path],
    task: str,
    options: Options = Options(),
    progress: Advance | None = None,
) -> Evaluation:
    """Compare two models' answers on images without labels: agreement, box_f1 (and mask_f1, points_f1, oriented_f1 of
    what else the objects have) or mask_miou, by task.
    """
    faithful = faithful_tally(task, options)
    skipped: list[Path] = []
    for _, read in _batches([(path, None) for path in images], options.batch, skipped, progress):
        for a, b in zip(reference(read), other(read), strict=True):
            faithful.see(a, b)
    seen = _seen(len(images), skipped)
    return Evaluation(faithful_scores(faithful, seen, options.seed), _skipped_note(skipped))


def tensor_fidelity(
    reference: TensorModel,
    other: TensorModel,
    samples: CalibrationSet,
    seed: int = 0,
    progress: Advance | None = None,
) -> tuple[Score, ...]:
    """Return `sqnr_db NAME` for every numeric output of the reference; the detail holds `largest_error`.

    Raises DataError when the other model lacks an output or answers in another shape.
    """
    sums: dict[str, list[tuple[float, float, float]]] = {}
    count = 0
    for sample in samples:
        before, after = reference(sample), other(sample)
        for name, tensor in before.items():
            if tensor.dtype.kind not in "fiub":
                continue
            if name not in after or after[name].shape != tensor.shape:
                found = list(after[name].shape) if name in after else "nothing"
                raise DataError(f"output {name!r}: expected {list(tensor.shape)} as the reference has, found {found}")
            sums.setdefault(name, []).append(signal_noise(tensor, after[name]))
        count += 1
        if progress:
            progress(count, len(samples))
    scores = []
    for name, rows in sums.items():
        signal, noise, largest = np.array(rows, dtype=np.float64).T
        detail = {"largest_error": float(largest.max())}
        measure_ = Measure(f"sqnr_db {name}", SignalNoise(signal, noise).sqnr_db, detail)
        scores.append(_score(measure_, count, seed))
    return tuple(scores)


def _tally(labelled: LabelledSet, options: Options) -> tuple[Tally, tuple[str, ...]]:
    if options.task == "anomaly":  # it scores; there are no classes to compare
        return tally_for(labelled, ClassMap(None, ""), (), options.confidence, options.task), labelled.notes
    classes = map_classes(labelled.names, options.labels)
    parts, notes = _judged_parts(labelled, options.parts)
    tally = tally_for(labelled, classes, options.labels or labelled.names, options.confidence, parts=parts)
    return tally, (*labelled.notes, classes.how, *notes)


def _judged_parts(labelled: LabelledSet, parts: tuple[Part, ...]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the parts that the labels hold too, and a note on each that they do not."""
    truths = [item.truth for item in labelled.items if isinstance(item.truth, BoxTruth)]
    outlined = any(truth.outlines for truth in truths)
    pointed = any(truth.points is not None and (truth.points[:, :, 2] > 0).any() for truth in truths)
    held = {"masks": outlined, "points": pointed, "oriented": outlined}
    notes = tuple(f"the labels hold no {_PART_WORDS[part]}: only boxes are judged" for part in parts if not held[part])
    return tuple(part for part in parts if held[part]), notes


def faithful_tally(task: str, options: Options) -> FidelityTally:
    """Return a fresh tally of how far two models answer alike. DataError for a task whose answers have no meaning."""
    if task not in FIDELITY:
        raise DataError(f"answers can be compared for {', '.join(FIDELITY)}, not {task}; compare its tensors")
    return FIDELITY[task](options.confidence, options.parts)


def faithful_scores(tally: FidelityTally, images: int, seed: int = 0) -> tuple[Score, ...]:
    """Return what a tally that has seen so many images says."""
    return tuple(_score(measure_, images, seed) for measure_ in tally.measures())


def _pairs(labelled: LabelledSet) -> list[tuple[Path, Labelled]]:
    return [(item.path, item) for item in labelled.items]


def _batches(
    pairs: Sequence[tuple[Path, T]], size: int, skipped: list[Path], progress: Advance | None
) -> Iterator[tuple[list[T], list[Image]]]:
    """Yield readable images in batches with what belongs to each; note the others in `skipped`."""
    for start in range(0, len(pairs), size):
        part = pairs[start : start + size]
        read = [(item, image) for path, item in part if (image := _read(path, skipped)) is not None]
        if read:
            yield [item for item, _ in read], [image for _, image in read]
        if progress:
            progress(start + len(part), len(pairs))


def _read(path: Path, skipped: list[Path]) -> Image | None:
    image = read_image(path)
    if image is None:
        skipped.append(path)
    return image


def _seen(total: int, skipped: Sequence[Path]) -> int:
    if total == len(skipped):
        raise DataError(f"none of the {total} images can be read, {'such as ' + str(skipped[0]) if skipped else ''}")
    return total - len(skipped)


def _skipped_note(skipped: Sequence[Path]) -> tuple[str, ...]:
    if not skipped:
        return ()
    names = ", ".join(path.name for path in skipped[:3]) + (" ..." if len(skipped) > 3 else "")
    return (f"{len(skipped)} images cannot be read, skipped: {names}",)


def _score(measure_: Measure, images: int, seed: int) -> Score:
    value = measure_.statistic(ones(images))
    low, high = interval(measure_.statistic, images, measure_.rounds, seed)
    if measure_.worth is not None and measure_.worth < _FEW and math.isfinite(value):
        # Drawn anew, a few images stay as alike as they are: the bootstrap is too sure of them.
        least = 1.0 - most_changed((1.0 - value) * measure_.worth, measure_.worth)
        low = min(low, least) if math.isfinite(low) else least
    return Score(measure_.metric, value, low, high, images, measure_.detail)


def _less(after: Measure, before: Measure) -> Measure:
    statistic: Statistic = lambda weights: after.statistic(weights) - before.statistic(weights)  # noqa: E731
    return Measure(after.metric, statistic, rounds=after.rounds)

"""Evaluate: FP32 against the bundle on images that calibration did not see, with labels or without (`--evaluate`)."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from edge_export.certificate.flips import Collector
from edge_export.evaluate.data.calibration import ImageCalibration
from edge_export.evaluate.data.images import find_images, spread
from edge_export.evaluate.data.labelled import LOOKED_FOR, NoLabelsError, open_labelled
from edge_export.evaluate.data.truth import LabelledSet
from edge_export.evaluate.metrics.answers import FIDELITY
from edge_export.evaluate.metrics.parts import parts_of
from edge_export.evaluate.runners import runner_of
from edge_export.evaluate.scores import Options, compare, fidelity
from edge_export.model.flags import confirmed
from edge_export.state import Comparison, Draft, Flips, KnownFacts, Progress
from edge_export.text import printable
from edge_runtime.errors import DataError, UsageError

__all__ = ["compare_models", "evaluate_draft"]

# FP32's leading score from which labelled images confirm a guess: what luck and a misread answer do not reach.
_RIGHT = {"detect": 0.5, "segment": 0.5, "classify": 0.8, "anomaly": 0.8}


def evaluate_draft(draft: Draft, progress: Progress) -> Draft:
    """Add task metrics to `accuracy` and the whole comparison to `comparison`, when `--evaluate` was given."""
    if draft.options.evaluate is None:
        return draft
    if draft.facts.preprocess is None or draft.facts.postprocess is None or draft.facts.postprocess.task == "raw":
        raise UsageError(
            "--evaluate needs to know what the model's answers mean: give --task and the pre-processing flags"
        )
    try:
        parts = parts_of(draft.facts.postprocess)
        labelled = open_labelled(draft.options.evaluate, draft.options.evaluate_limit, draft.options.seed, parts)
    except NoLabelsError:
        return _without_labels(draft, progress)
    labelled = _unseen(draft, labelled)
    labelled = dataclasses.replace(labelled, description=printable(labelled.description))
    comparison, flips = compare_models(draft, labelled, progress)
    facts, words = _facts(draft, comparison)
    # Figures about the same thing that labels give replace nothing: they stand beside those of `verify`.
    return dataclasses.replace(
        draft,
        facts=facts,
        accuracy=(*comparison.accuracy(), *draft.accuracy),
        comparison=comparison,
        flips=flips,
        notes=(*words, *comparison.notes),
        warnings=(*draft.warnings, *_nothing_right(comparison)),
    )


def _facts(draft: Draft, comparison: Comparison) -> tuple[KnownFacts, tuple[str, ...]]:
    """The facts and notes: labels that FP32 answers rightly confirm what was guessed of the model."""
    leading = comparison.fp32[0]
    if draft.facts.unconfirmed is None or not leading.value >= _RIGHT[draft.model_facts().postprocess.task]:
        return draft.facts, draft.notes
    words = f"{leading.metric} {leading.value:.3f} on {comparison.data}"
    facts = confirmed(draft.facts, f"labelled images: {words}")
    kept = tuple(note for note in draft.notes if note in facts.notes or note not in draft.facts.notes)
    return facts, (*kept, f"what was guessed of the model is right: FP32 scores {words}")


def _without_labels(draft: Draft, progress: Progress) -> Draft:
    """Add how far the bundle's answers are FP32's on images that nobody labelled; DataError where there are none."""
    folder = draft.options.evaluate
    images = find_images(folder) if folder is not None and folder.is_dir() else []
    task = draft.facts.postprocess.task if draft.facts.postprocess else ""
    seen = _seen(draft)
    images = [path for path in images if path.resolve() not in seen]
    if not images or task not in FIDELITY:
        raise DataError(f"no labels and no unseen images in {folder}; looked for " + "; ".join(LOOKED_FOR))
    chosen = [images[index] for index in spread(len(images), draft.options.evaluate_limit, draft.options.seed)]
    facts = draft.model_facts()
    data = printable(f"{folder.name if folder else ''}: {len(chosen)} images without labels")
    with progress.step("evaluate", len(chosen)) as advance:
        found = fidelity(
            runner_of(draft, reference=True),
            runner_of(draft, reference=False),
            chosen,
            task,
            Options.of(facts, draft.options.seed),
            lambda done, total: advance(),
        )
    rows = tuple(score.row(data) for score in found.scores if math.isfinite(score.value))
    return dataclasses.replace(draft, accuracy=(*rows, *draft.accuracy), notes=(*draft.notes, *found.notes))


def _nothing_right(comparison: Comparison) -> tuple[str, ...]:
    """Say so when FP32 itself scores nothing: the data's classes or the pre-processing are not the model's."""
    leading = comparison.fp32[0]
    if leading.value > 0:
        return ()
    return (
        f"FP32 itself scores {leading.metric} 0 on {comparison.data}: its classes are not the model's, or the "
        "pre- or post-processing flags are wrong; the comparison says nothing",
    )


def compare_models(draft: Draft, labelled: LabelledSet, progress: Progress) -> tuple[Comparison, Flips]:
    """Run FP32 and the finished graph over labelled images through the device's own pre- and post-processing.

    Returns the figures, and the images whose answer changed.
    """
    facts = draft.model_facts()
    options = Options.of(facts, draft.options.seed)
    collector = Collector(facts)
    with progress.step("evaluate", len(labelled.items)) as advance:
        comparison = compare(
            runner_of(draft, reference=True),
            runner_of(draft, reference=False),
            labelled,
            options,
            lambda done, total: advance(),
            collector.see,
        )
    return comparison, collector.result(labelled.description)


def _seen(draft: Draft) -> set[Path]:
    """Return the images that gave ranges, or that precision was chosen on."""
    if draft.params is None:
        return set()
    sets = [one for one in (draft.calibration, draft.holdout) if isinstance(one, ImageCalibration)]
    return {path.resolve() for one in sets for path in one.paths}


def _unseen(draft: Draft, labelled: LabelledSet) -> LabelledSet:
    """Leave out the images that ranges were calibrated on: a figure on those proves little."""
    seen = _seen(draft)
    items = tuple(item for item in labelled.items if item.path.resolve() not in seen)
    if not items:
        raise DataError(
            f"all {len(labelled.items)} images of {draft.options.evaluate} were used for calibration; "
            "give fewer with --samples, or other images"
        )
    if len(items) == len(labelled.items):
        return labelled
    left_out = len(labelled.items) - len(items)
    return dataclasses.replace(
        labelled,
        items=items,
        description=f"{labelled.description}, less {left_out} used for calibration",
    )

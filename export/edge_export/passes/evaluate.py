"""Evaluate: FP32 against the bundle on labelled images that calibration did not see (`--evaluate`)."""

from __future__ import annotations

import dataclasses

from edge_export.certificate.flips import Collector, Flips
from edge_export.data.calibration import ImageCalibration
from edge_export.data.labelled import open_labelled
from edge_export.data.truth import LabelledSet
from edge_export.draft import Draft, Progress
from edge_export.evaluate import Comparison, Options, compare, measuring_settings
from edge_export.ort import open_session
from edge_export.passes.rehearse import ProtoSession
from edge_export.passes.write import manifest_of
from edge_export.text import printable
from edge_runtime.errors import DataError, UsageError
from edge_runtime.manifest import Manifest
from edge_runtime.vision import VisionRunner

__all__ = ["compare_models", "evaluate_draft", "runner"]


def evaluate_draft(draft: Draft, progress: Progress) -> Draft:
    """Add task metrics to `accuracy` and the whole comparison to `comparison`, when `--evaluate` was given."""
    if draft.options.evaluate is None:
        return draft
    if draft.facts.preprocess is None or draft.facts.postprocess is None or draft.facts.postprocess.task == "raw":
        raise UsageError(
            "--evaluate needs to know what the model's answers mean: give --task and the pre-processing flags"
        )
    labelled = open_labelled(draft.options.evaluate, draft.options.evaluate_limit, draft.options.seed)
    labelled = _unseen(draft, labelled)
    labelled = dataclasses.replace(labelled, description=printable(labelled.description))
    comparison, flips = compare_models(draft, labelled, progress)
    # Figures about the same thing that labels give replace nothing: they stand beside those of `verify`.
    return dataclasses.replace(
        draft,
        accuracy=(*comparison.accuracy(), *draft.accuracy),
        comparison=comparison,
        flips=flips,
        notes=(*draft.notes, *comparison.notes),
        warnings=(*draft.warnings, *_nothing_right(comparison)),
    )


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
    manifest = manifest_of(draft, (), {}, 0)
    options = Options(
        manifest.labels,
        manifest.thresholds.confidence,
        seed=draft.options.seed,
        task=manifest.postprocess.task,
    )
    collector = Collector(manifest)
    with progress.step("evaluate", len(labelled.items)) as advance:
        comparison = compare(
            runner(draft, manifest, reference=True),
            runner(draft, manifest, reference=False),
            labelled,
            options,
            lambda done, total: advance(),
            collector.see,
        )
    return comparison, collector.result(labelled.description)


def runner(draft: Draft, manifest: Manifest, reference: bool) -> VisionRunner:
    """Return what answers images with the FP32 graph or the finished one, boxes down to the measuring confidence."""
    session = ProtoSession(open_session(draft.reference if reference else draft.model))
    return VisionRunner(manifest, session, measuring_settings(manifest))


def _unseen(draft: Draft, labelled: LabelledSet) -> LabelledSet:
    """Leave out the images that ranges were calibrated on: a figure on those proves little."""
    if not isinstance(draft.calibration, ImageCalibration) or draft.params is None:
        return labelled
    seen = {path.resolve() for path in draft.calibration.paths}
    if isinstance(draft.held_back, ImageCalibration):
        seen |= {path.resolve() for path in draft.held_back.paths}
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

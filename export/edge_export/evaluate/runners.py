"""What answers images with a graph of a draft, as the device will."""

from __future__ import annotations

from edge_export.evaluate.scores import measuring_settings
from edge_export.run import ProtoSession, open_session
from edge_export.state import Draft
from edge_runtime.vision.runner import VisionRunner
from edge_runtime.vision.settings import Settings

__all__ = ["runner_of"]


def runner_of(draft: Draft, reference: bool, settings: Settings | None = None) -> VisionRunner:
    """Return what answers images with the FP32 graph or the finished one; without `settings` from the measuring
    confidence on, which of a model with masks is hundreds of them for each image.
    """
    facts = draft.model_facts()
    session = ProtoSession(open_session(draft.reference if reference else draft.model))
    return VisionRunner(facts, session, settings or measuring_settings(facts))

"""The manifest's certificate: what the export did to the model, and how it knows."""

from __future__ import annotations

from edge_export.certificate.advice import advise
from edge_export.state import Draft
from edge_runtime.bundle.manifest import Certificate

__all__ = ["certificate_of"]


def certificate_of(draft: Draft) -> Certificate:
    """Return the certificate of a draft, as far as the draft has come."""
    return Certificate(
        effort=draft.options.effort,
        target=draft.latency.machine if draft.latency else "",
        max_drop=draft.options.max_drop,
        held_back=draft.holdout.description,
        stages=draft.stages,
        latency=draft.latency,
        advice=advise(draft),
    )

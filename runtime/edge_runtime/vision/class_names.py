"""The names under which classes are reported."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["anomaly_name", "class_name"]


def class_name(labels: Sequence[str], class_id: int) -> str:
    """The label of a class, or "class_7" for one that the manifest does not name."""
    return labels[class_id] if 0 <= class_id < len(labels) else f"class_{class_id}"


def anomaly_name(labels: Sequence[str]) -> str:
    """What an anomaly model calls its regions: the last label ("normal", "anomalous"), or "anomaly"."""
    return labels[-1] if labels else "anomaly"

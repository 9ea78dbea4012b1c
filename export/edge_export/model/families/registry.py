"""The table: one row a family, in groups. Of several rows that fit, the first is what is read until pictures tell."""

from __future__ import annotations

from edge_export.model.families import (
    anomaly,
    boxes_and_scores,
    by_stride,
    classify,
    detr,
    faces,
    finished,
    libreyolo,
    lines,
    segment,
    ssd_and_tf,
    ultralytics,
    yolo,
    yolo_nas,
)
from edge_export.model.families.family import Family

__all__ = ["FAMILIES"]

FAMILIES: tuple[Family, ...] = (
    *libreyolo.ROWS,
    *yolo.ROWS,
    *ultralytics.ROWS,
    *detr.ROWS,
    *ssd_and_tf.ROWS,
    *by_stride.ROWS,
    *faces.ROWS,
    *lines.ROWS,
    *boxes_and_scores.ROWS,
    *yolo_nas.ROWS,
    *finished.ROWS,
    *anomaly.ROWS,
    *classify.ROWS,
    *segment.ROWS,
)

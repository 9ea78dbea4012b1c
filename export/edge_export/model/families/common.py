"""What rows of several groups share: pre-processings by name, and readings that differ in little."""

from __future__ import annotations

from edge_export.model.families.family import Pixels

__all__ = ["IMAGENET", "LETTERBOX", "OPENCV", "UNIT"]

# What Ultralytics, YOLOv5, v6 and v7 do: grey 114 around the picture, RGB of 0..1.
LETTERBOX = Pixels(fit="letterbox")
# RGB of 0..1, stretched.
UNIT = Pixels()
# The same less ImageNet's mean, in its deviations.
IMAGENET = Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# Pixels as OpenCV reads them, the picture at the upper left.
OPENCV = Pixels(colour="bgr", scale=1.0, fit="letterbox", anchor="top-left")

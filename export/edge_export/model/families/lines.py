"""Key points of the whole picture, each in two lines of values (SimCC): RTMPose and its kin."""

from __future__ import annotations

from edge_export.model.families.common import CUT_OUT_UNTOLD
from edge_export.model.families.family import Family, Match, Out, Pixels
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Detect, Points, Postprocess

__all__ = ["ROWS"]


def _simcc(match: Match) -> Postprocess:
    return Detect(format="simcc", outputs=match.names, nms=False, points=Points(match.sizes["P"]))


ROWS: tuple[Family, ...] = (
    Family(
        name="rtmpose",
        source="https://github.com/open-mmlab/mmdeploy/tree/main/configs/mmpose (pose-detection_simcc_*.py)",
        outputs=(Out(("N", "P", "2*W"), "simcc_x", "f"), Out(("N", "P", "2*H"), "simcc_y", "f")),
        read=_simcc,
        pixels=Pixels(
            scale=1.0, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), fit="letterbox", pad_value=0
        ),
        unsure=CUT_OUT_UNTOLD,
        thresholds=Thresholds(confidence=0.3),
        told=lambda match: "names of outputs",
    ),
)

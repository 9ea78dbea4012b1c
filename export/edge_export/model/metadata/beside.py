"""Facts in the files that exporters write beside a model."""

from __future__ import annotations

from pathlib import Path

import onnx

from edge_export.model.graph_io import image_input, input_names, outputs
from edge_export.model.metadata.anomalib import read_anomalib
from edge_export.model.metadata.mmdeploy import read_mmdeploy
from edge_export.model.metadata.paddle_detection import read_paddle_detection
from edge_export.state import KnownFacts

__all__ = ["facts_beside"]

# How mmdeploy and PaddleDetection call a model's image: a file beside a model of another maker is not its own.
_MMDEPLOY, _PADDLE = "input", "image"


def facts_beside(folder: Path, model: onnx.ModelProto) -> KnownFacts | None:
    """What the files in a model's folder tell of it; None where none of them is of its kind."""
    image, names = image_input(model), input_names(model)
    return (
        read_anomalib(folder, image, outputs(model))
        or (read_paddle_detection(folder, image) if _PADDLE in names else None)
        or (read_mmdeploy(folder, image) if names == (_MMDEPLOY,) else None)
    )

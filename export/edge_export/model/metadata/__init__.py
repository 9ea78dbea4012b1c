"""Facts that a model's files carry: Ultralytics, model_api, anomalib, PaddleDetection, mmdeploy, Hugging Face, our own
key, and guesses from shapes.
"""

from edge_export.model.metadata.beside import facts_beside
from edge_export.model.metadata.guess import (
    GRAPH,
    GUESS,
    GUESSED_INPUT,
    GUESSED_OUTPUTS,
    GUESSED_REST,
    RAW,
    input_note,
    look,
)
from edge_export.model.metadata.hugging_face import facts_of_folder
from edge_export.model.metadata.read import facts_of_onnx

__all__ = [
    "GRAPH",
    "GUESS",
    "GUESSED_INPUT",
    "GUESSED_OUTPUTS",
    "GUESSED_REST",
    "RAW",
    "facts_beside",
    "facts_of_folder",
    "facts_of_onnx",
    "input_note",
    "look",
]

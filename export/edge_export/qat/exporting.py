"""Write a trained QatModel as the QDQ graph that it is: the same nodes, the trained numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from edge_export.model.metadata import GUESS
from edge_export.model.metadata.own import KEY
from edge_export.qat.model import QatModel
from edge_export.state import KnownFacts
from edge_runtime.files.atomic import write_bytes
from edge_runtime.files.schema import to_json

__all__ = ["TRAINED_KEY", "export", "to_onnx"]

TRAINED_KEY = "edgeline_qat"  # metadata: this graph was trained quantized, its float original is no better start

_FACTS = ("name", "preprocess", "postprocess", "labels", "thresholds", "verdict")


def export(qat: QatModel, path: str | Path) -> None:
    """Write `qat` to an .onnx file (whole or not at all). Raises OutputError.

    edge-export finds int8 in it, keeps its scales and needs no --calibrate; what is known of the model's input and
    output is in the file's metadata, so its flags need not be said again.
    """
    write_bytes(Path(path), to_onnx(qat).SerializeToString())


def to_onnx(qat: QatModel) -> onnx.ModelProto:
    """Return the QDQ graph with the trained initializers."""
    model = onnx.ModelProto()
    model.CopyFrom(qat.plan.qdq)
    trained = qat.initializers()
    for weight in model.graph.initializer:
        if weight.name in trained:
            values = trained[weight.name]
            shape = tuple(weight.dims)
            weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values).reshape(shape), weight.name))
    properties = {entry.key: entry.value for entry in model.metadata_props}
    properties[TRAINED_KEY] = "trained with its int8 scales by edge_export.qat"
    if facts := _known(qat.plan.facts):
        properties[KEY] = json.dumps(facts, sort_keys=True)
    onnx.helper.set_model_props(model, properties)
    return model


def _known(facts: KnownFacts) -> dict[str, object]:
    """Return what was said or found of the model; guesses are left to be made again."""
    known = {name: getattr(facts, name) for name in _FACTS if facts.origin.get(name) != GUESS}
    return {name: to_json(value) for name, value in known.items() if value is not None}

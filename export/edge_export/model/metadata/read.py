"""All facts of one ONNX file: its metadata, the most specific kind first, then guesses from its shapes."""

from __future__ import annotations

import onnx

from edge_export.model.facts import merge
from edge_export.model.graph_io import image_input, outputs
from edge_export.model.metadata.guess import look
from edge_export.model.metadata.model_api import read_model_api
from edge_export.model.metadata.own import read_own
from edge_export.model.metadata.ultralytics import read_ultralytics
from edge_export.state import KnownFacts

__all__ = ["facts_of_onnx"]


def facts_of_onnx(model: onnx.ModelProto, name: str = "", known: KnownFacts | None = None) -> KnownFacts:
    """Read the properties of an ONNX file; `known` (a folder's config) goes before them, `name` after them.

    Malformed metadata of others becomes a note, malformed metadata of our own a DataError.
    """
    properties = {entry.key: entry.value for entry in model.metadata_props}
    image, results = image_input(model), outputs(model)
    facts = known or KnownFacts()
    for found in (
        read_own(properties),
        read_model_api(properties, image, results),
        read_ultralytics(properties, image),
    ):
        facts = merge(facts, found) if found else facts
    facts = look(model, facts).facts
    return merge(facts, KnownFacts(name=name).found_in("file name")) if name else facts

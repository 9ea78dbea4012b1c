"""The shapes of all values for one sample: inferred from the graph, seen in a run where inference gives up."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx

from edge_export.run import expose, open_session, run
from edge_export.state import Feeds

__all__ = ["value_shapes"]


def value_shapes(
    model: onnx.ModelProto, slim: onnx.ModelProto, sample: Feeds, names: Collection[str]
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of `names` when the model runs `sample`. `slim` is the model without its big weights."""
    inferred = onnx.ModelProto()
    inferred.CopyFrom(slim)
    del inferred.graph.value_info[:]
    for value in inferred.graph.input:
        if value.name in sample:
            _fix(value, sample)
    for output in inferred.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(inferred, data_prop=True)
    except (RuntimeError, ValueError):  # a graph that inference cannot follow is run instead
        inferred = onnx.ModelProto()
    known = {name: values.shape for name, values in sample.items()}
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.dim_value > 0 for dim in dims):
            known[value.name] = tuple(dim.dim_value for dim in dims)
    missing = [name for name in names if name not in known]
    if missing:
        found = run(open_session(expose(model, missing), optimize=False), sample)
        known |= {name: values.shape for name, values in found.items() if isinstance(values, np.ndarray)}
    return {name: known[name] for name in names if name in known}


def _fix(value: onnx.ValueInfoProto, sample: Feeds) -> None:
    shape = value.type.tensor_type.shape
    shape.ClearField("dim")
    for size in sample[value.name].shape:
        shape.dim.add().dim_value = size

"""What goes into a graph and comes out of it, and whether what is known of the model fits that."""

from __future__ import annotations

import numpy as np
import onnx

from edge_export.state import KnownFacts
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Segment
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["UNKNOWN", "check_fit", "check_interface", "input_specs", "output_specs", "outputs_read"]


UNKNOWN = "?"  # what paddle2onnx calls each dimension that it does not know


def input_specs(model: onnx.ModelProto) -> tuple[TensorSpec, ...]:
    """Return the inputs of a graph in order; a free dimension without a name is called NAME_AXIS."""
    weights = {weight.name for weight in model.graph.initializer}
    return tuple(_spec(value) for value in model.graph.input if value.name not in weights)


def output_specs(model: onnx.ModelProto) -> tuple[TensorSpec, ...]:
    """Return the outputs of a graph in order, as `input_specs` does the inputs."""
    return tuple(_spec(value) for value in model.graph.output)


def check_interface(facts: KnownFacts, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
    """Raise UsageError where facts contradict the clean graph's inputs and outputs: before anything takes long.

    ModelError where the graph has none of either: its answer is a constant, which needs no runtime.
    """
    if not inputs or not outputs:
        missing = "outputs" if inputs else "inputs"
        raise ModelError(
            f"the graph has no {missing}: nothing to run on a device; check that the file is a whole model"
        )
    if facts.preprocess is not None and len(inputs) == 1:
        check_fit(inputs[0], Preprocessor(facts.preprocess))
    present = [spec.name for spec in outputs]
    if unknown := [name for name in outputs_read(facts.postprocess) if name not in present]:
        raise UsageError(
            f"the post-processing reads the output {unknown[0]!r}, the model's outputs are {', '.join(present)}; "
            "set --outputs, or --map-output and --score-output"
        )


def outputs_read(post: Postprocess | None) -> tuple[str, ...]:
    """Return the outputs that a post-processing names; () where it reads what the model has."""
    if isinstance(post, Detect):
        parts = (post.points.output if post.points else "", post.masks.output if post.masks else "")
        return (*post.outputs, *(name for name in parts if name))
    if isinstance(post, Anomaly):
        return tuple(name for name in (post.map_output, post.score_output) if name)
    return (post.output,) if isinstance(post, (Classify, Segment)) and post.output else ()


def check_fit(spec: TensorSpec, preprocessor: Preprocessor) -> None:
    """Raise UsageError unless the pre-processing makes what the model's input takes."""
    fits = len(spec.shape) == 4 and all(
        not isinstance(wanted, int) or wanted == made
        for wanted, made in zip(spec.shape[1:], preprocessor.shape, strict=True)
    )
    if not fits or np.dtype(spec.dtype) != preprocessor.dtype:
        raise UsageError(
            f"input {spec.name!r} takes {spec.dtype} [{', '.join(map(str, spec.shape))}], but the "
            f"pre-processing makes "
            f"{preprocessor.dtype} [N, {', '.join(map(str, preprocessor.shape))}]; set --size, --colour, --layout "
            f"and --dtype to fit"
        )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError):
        dtype = "object"
    shape = tuple(
        int(dim.dim_value)
        if dim.dim_value > 0
        else (dim.dim_param if dim.dim_param not in ("", UNKNOWN) else f"{value.name}_{axis}")
        for axis, dim in enumerate(tensor.shape.dim)
    )
    return TensorSpec(value.name, dtype, shape)

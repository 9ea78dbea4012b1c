"""The first pass: from any ONNX file that plain onnxruntime runs to a graph that the other passes can rely
on.

    repair (imports, IR version, weights as inputs, order) -> load once -> shapes -> probe -> inline functions
    -> opset -> simplify -> node names -> shape inference -> check

Each rewrite is run against the original on seeded inputs and is dropped, with a note, where the answers
differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import onnx
import onnx.inliner
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from edge_export.cleanups import repair
from edge_export.cleanups.fold_pads import fold_pads
from edge_export.cleanups.opset import MINIMUM_OPSET, STANDARD_OPERATORS, upgrade_opset
from edge_export.cleanups.shapes import BATCH, Shapes, declared_shape, fill_shapes, set_shape, write_shapes
from edge_export.cleanups.simplify import simplify
from edge_export.graph import default_opset
from edge_export.graph.outside import WeightFolder, loadable
from edge_export.probe import (
    INTEGERS,
    PROTO_LIMIT,
    Probe,
    ProbeError,
    open_session,
    seeded_feed,
)
from edge_export.run import one_line
from edge_runtime.errors import ModelError

__all__ = ["Cleaned", "clean"]

_NUMPY_TYPES = {
    onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name))
    for name in (
        *("bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    )
}

_KNOWN_DOMAINS = {
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview.training",
    "com.microsoft",
} | {
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
}


@dataclass(frozen=True)
class Cleaned:
    """A clean graph, what was done to it, and the test run that proved each step (None: it could not be run).

    `opset_ok`: the graph may hold per-channel QuantizeLinear (default opset 13 or more).
    """

    model: onnx.ModelProto
    notes: tuple[str, ...]
    probe: Probe | None
    opset_ok: bool


def clean(
    model: onnx.ModelProto,
    input_shapes: Mapping[str, tuple[Union[int, str], ...]],
    example: Mapping[str, NDArray[Any]] | None = None,
    weights: WeightFolder | None = None,
) -> Cleaned:
    """Return a clean copy of `model`. `input_shapes` fills free dimensions, by input name.

    Weights stay where they are, inside the graph or outside; with `weights`, new big ones come to lie there.

    `example`, one real array per input, is what the test runs use instead of made-up values: some models
    accept few values (a sampling rate, a length).

    Raises ModelError when plain onnxruntime cannot load the model, when its inputs or outputs are not
    tensors, or when a free dimension has no number; UsageError when `input_shapes` contradicts the file.
    """
    try:
        return _clean(model, input_shapes, example, weights)
    except UnicodeDecodeError as error:  # protobuf decodes text only when it is looked at
        raise ModelError(f"the ONNX file holds text that is not UTF-8 ({error.reason}): it is damaged") from error


def _clean(
    model: onnx.ModelProto,
    input_shapes: Mapping[str, tuple[Union[int, str], ...]],
    example: Mapping[str, NDArray[Any]] | None,
    weights: WeightFolder | None,
) -> Cleaned:
    if not model.graph.node:
        raise ModelError("the ONNX graph has no nodes: nothing to export; check that the file is a whole model")
    if model.ByteSize() > PROTO_LIMIT:
        raise ModelError(
            f"the model has {model.ByteSize() / 1e9:.1f} GB; at most 2 GB can be exported, use a smaller variant"
        )
    work = onnx.ModelProto()
    work.CopyFrom(model)
    notes = _repair(work)
    _check_interface(work)
    _check_loads(work)
    shapes = fill_shapes(work, input_shapes)
    notes += shapes.notes
    declared = {value.name: declared_shape(value) for value in work.graph.output}
    work = write_shapes(work, shapes.inputs)
    probe, why_not = _record(work, shapes, example)
    if probe is None:
        notes.append(f"the graph is as it was, because no test run can prove a rewrite right: {why_not}")
    else:
        work, more = _inline(work, probe)
        work, raised = upgrade_opset(work, probe)
        work, slimmed = simplify(work, probe, weights)
        work, folded = fold_pads(work, probe)
        notes += [*more, *raised, *slimmed, *folded]
    work, more = _infer(work, probe)
    notes += more
    _declare_outputs(work, declared, shapes, probe)
    notes += _check(work)
    return Cleaned(work, tuple(notes), probe, default_opset(work) >= MINIMUM_OPSET)


def _repair(model: onnx.ModelProto) -> list[str]:
    del model.training_info[:]
    repair.sort_nodes(model.graph)
    notes = repair.fill_sparse(model)
    notes += repair.drop_overridable_inputs(model)
    notes += repair.fix_ir_version(model)
    notes += repair.unwrap_outputs(model)
    repair.fix_imports(model)
    # onnxruntime refuses two nodes of one name, though the format allows them
    repair.name_nodes(model)
    return notes


def _check_interface(model: onnx.ModelProto) -> None:
    if not model.graph.output:
        raise ModelError("the ONNX graph has no outputs: nothing to export; check that the file is a whole model")
    for word, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            kind = value.type.WhichOneof("value")
            # an output may be declared without a type; onnxruntime then infers it
            if kind not in ("tensor_type", None) or (kind is None and word == "input"):
                found = "has no type" if kind is None else f"is of type {kind.removesuffix('_type').replace('_', ' ')}"
                raise ModelError(
                    f"{word} {value.name!r} {found}; only models with tensors as inputs and outputs export"
                )
            element = value.type.tensor_type.elem_type
            if kind and element not in _NUMPY_TYPES and (word == "input" or element != 0):
                name = TensorProto.DataType.Name(element) if element in TensorProto.DataType.values() else str(element)
                raise ModelError(
                    f"{word} {value.name!r} has element type {name}; a bundle holds numbers that numpy "
                    f"knows, export the model with float or integer tensors there"
                )


def _check_loads(model: onnx.ModelProto) -> None:
    try:
        open_session(model)
    except ProbeError as error:
        raise ModelError(
            f"plain onnxruntime {onnxruntime.__version__} cannot load the model: {_why(model, str(error))}; "
            f"export it again with standard ONNX operators, opset 13 to 22"
        ) from error


def _why(model: onnx.ModelProto, reason: str) -> str:
    """onnxruntime's reason, in plainer words for the two common ones."""
    own = {(function.domain, function.name) for function in model.functions}
    for graph in repair.all_graphs(model.graph):
        for node in graph.node:
            if node.domain not in _KNOWN_DOMAINS and (node.domain, node.op_type) not in own:
                return f"operator {node.op_type} of {node.domain!r} is a custom one"
    newest, version = onnx.defs.onnx_opset_version(), default_opset(model)
    if "under development" in reason and version > newest:
        return f"its opset {version} is newer than {newest}, the newest there is"
    return reason


def _record(
    model: onnx.ModelProto, shapes: Shapes, example: Mapping[str, NDArray[Any]] | None
) -> tuple[Probe | None, str]:
    """The reference answers to the example, else to the first made-up inputs that the model accepts."""
    reason = ""
    inputs = list(model.graph.input)
    for integers in INTEGERS:
        try:
            one, two = (seeded_feed(inputs, shapes.numbers(), seed, integers) for seed in (0, 1))
            for feed in (one, two):
                feed.update({name: array for name, array in (example or {}).items() if name in feed})
            feeds = [one]
            if shapes.free:
                feeds.append({k: np.concatenate([one[k], two[k]]) if k in shapes.free else one[k] for k in one})
            return Probe.record(model, feeds), ""
        except ProbeError as error:
            reason = str(error)
    return None, reason


def _inline(model: onnx.ModelProto, probe: Probe) -> tuple[onnx.ModelProto, list[str]]:
    """Replace calls of the file's own functions by their bodies, so that later passes see the operators."""
    if not model.functions:
        return model, []
    try:
        result = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # noqa: BLE001 - onnx raises bindings' own exception types
        return model, [f"functions were left as they are: {one_line(error, 160)}"]
    if problem := probe.compare(result):
        return model, [f"functions were left as they are: {problem}"]
    return result, [f"{len(model.functions)} functions were inlined"]


def _declare_outputs(
    model: onnx.ModelProto,
    declared: Mapping[str, tuple[int | str | None, ...] | None],
    shapes: Shapes,
    probe: Probe | None,
) -> None:
    """Say each output's shape: a number where it was inferred or declared, "batch" where it was proved, else
    a name.

    A number is never taken from the test run alone: the count of boxes after NMS would be wrong on the next
    image.
    """
    for index, value in enumerate(model.graph.output):
        inferred, written = declared_shape(value), declared.get(value.name)
        ran: tuple[int, ...] | None = None
        if probe is not None:
            array = probe.expected[0][index]
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
                raise ModelError(f"output {value.name!r} is no tensor of numbers; only such outputs export")
            ran = array.shape
            value.type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        known = next((shape for shape in (ran, inferred, written) if shape is not None), None)
        if known is None:
            continue
        rank = len(known)
        dims: list[int | str] = []
        for axis in range(rank):
            options = [s[axis] for s in (inferred, written) if s is not None and len(s) == rank]
            number = next((d for d in options if isinstance(d, int) and (ran is None or d == ran[axis])), None)
            dims.append(BATCH if shapes.free and axis == 0 else number or f"{value.name}_{axis}")
        set_shape(value, dims)


def _infer(model: onnx.ModelProto, probe: Probe | None) -> tuple[onnx.ModelProto, list[str]]:
    """Name every node and write the shapes inside the graph, as far as onnx can infer them."""
    named = onnx.ModelProto()
    named.CopyFrom(model)
    repair.name_nodes(named)
    named.graph.name = named.graph.name or "graph"
    try:
        inferred = onnx.shape_inference.infer_shapes(named, data_prop=True)
    except Exception as error:  # noqa: BLE001 - onnx's InferenceError and its bindings' types
        return named, [f"shapes inside the graph are not known: {one_line(error, 160)}"]
    if probe is not None and (problem := probe.compare(inferred)):
        return named, [f"shapes inside the graph are not known: {problem}"]
    return inferred, []


def _check(model: onnx.ModelProto) -> list[str]:
    """What onnx's checker says of a graph that onnxruntime is known to accept; it does not decide."""
    notes = []
    custom = _custom_domains(model)
    nodes = (node for graph in repair.all_graphs(model.graph) for node in graph.node)
    old = sorted({node.op_type for node in nodes if not node.domain and node.op_type not in STANDARD_OPERATORS})
    if old:
        return [f"onnx's checker does not know the experimental operators {', '.join(old)}"]
    if custom:
        notes.append(f"onnx's checker does not know the operators of {', '.join(custom)}")
    try:
        with loadable(model) as payload:
            onnx.checker.check_model(payload)
    except Exception as error:  # noqa: BLE001 - ValidationError and bindings' types
        notes.append(f"onnx's checker objects, onnxruntime does not: {one_line(error, 160)}")
    return notes


def _custom_domains(model: onnx.ModelProto) -> list[str]:
    return sorted({e.domain for e in model.opset_import if e.domain and not e.domain.startswith("ai.onnx")})

"""Measure one unit as floats and as integers: a graph of its own with the same shapes, timed by onnxruntime's profiler.

Only the unit's own kernel is counted. What turns tensors to integers and back, or to the memory layout that a kernel
wants, is counted apart (`measure_edges`): in the whole graph it is paid where the precision changes, not at every node.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_devices import usable_cores
from edge_export.graph import Graph
from edge_export.quant.select import compute_nodes
from edge_export.search.latency.table import LatencyTable, Times
from edge_export.search.latency.units import Unit
from edge_runtime.ort.process import exact_products, openable

__all__ = ["Shapes", "measure_edges", "measure_units", "signature"]

Shapes = Mapping[str, tuple[int, ...]]
ROUNDS = 15
# Layout and type changes around a kernel: never part of it.
_EDGES = frozenset({"QuantizeLinear", "DequantizeLinear", "Transpose", "ReorderInput", "ReorderOutput"})
# A cheap node is measured between convolutions, whose memory layout it then works in and into which it may be fused.
_NEIGHBOURS = frozenset({"Conv", "FusedConv", "QLinearConv"})
_FLOAT = onnx.TensorProto.FLOAT
_COPIED = 64  # constants up to so many elements are taken as they are: bounds, sizes, axes


def signature(graph: Graph, unit: Unit, shapes: Shapes) -> str:
    """Return 16 hex digits that are equal for units which cost the same: operators, attributes and shapes."""
    parts: list[object] = []
    inside = {name for node in unit.nodes for name in node.output}
    for node in unit.nodes:
        operands: list[object] = []
        for name in node.input:
            if name in graph.weights:
                small = int(np.prod(graph.weights[name].dims)) <= _COPIED and graph.weights[name].data_type != _FLOAT
                operands.append(graph.array(name).tolist() if small else list(graph.weights[name].dims))
            else:
                operands.append("inside" if name in inside else list(shapes.get(name, ())))
        attributes = sorted((item.name, str(helper.get_attribute_value(item))) for item in node.attribute)
        parts.append((node.op_type, operands, attributes))
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def measure_units(graph: Graph, units: Sequence[Unit], shapes: Shapes, opset: int, table: LatencyTable) -> int:
    """Fill `table.kernels` for every unit whose shape it lacks; returns how many were measured."""
    count = 0
    for unit in units:
        key = signature(graph, unit, shapes)
        if key in table.kernels or not table.measurable or any(name not in shapes for name in unit.inputs):
            continue
        table.kernels[key] = Times(
            _kernel_us(_model(graph, unit, shapes, opset, int8=False), unit, int8=False),
            _kernel_us(_model(graph, unit, shapes, opset, int8=True), unit, int8=True),
        )
        count += 1
    return count


def measure_edges(table: LatencyTable, opset: int = 13) -> None:
    """Fill `table.edges`: "in" is what a float tensor costs before an integer kernel, "out" behind one, for tensors
    with image axes; "flat-in" and "flat-out" for others, which have no layout.
    """
    if "in" in table.edges or not table.measurable:
        return
    sizes = [(1, 64, side, side) for side in (8, 24, 64)]
    seen = {kind: [] for kind in ("in", "out", "flat-in", "flat-out")}  # type: dict[str, list[tuple[int, float]]]
    for shape in sizes:
        count = int(np.prod(shape))
        weight = np.random.default_rng(0).standard_normal((64, 64, 1, 1)).astype(np.float32)
        events = _profile(_conv(shape, weight, opset, int8=True), {"x": np.ones(shape, np.float32)})
        floats = _profile(_conv(shape, weight, opset, int8=False), {"x": np.ones(shape, np.float32)})
        quantize, dequantize = _of(events, "QuantizeLinear"), _of(events, "DequantizeLinear")
        transpose = _of(events, "Transpose") / 2
        seen["in"].append((count, quantize + transpose + _of(floats, "ReorderOutput")))
        seen["out"].append((count, dequantize + transpose + _of(floats, "ReorderInput")))
        seen["flat-in"].append((count, quantize))
        seen["flat-out"].append((count, dequantize))
    for kind, points in seen.items():
        slope, start = np.polyfit([count for count, _ in points], [us for _, us in points], 1)
        table.edges[kind] = (round(max(0.0, float(start)), 3), round(max(0.0, float(slope)), 9))


def _of(events: Sequence[tuple[str, bool, float]], op: str) -> float:
    return sum(us for name, _, us in events if name == op)


def _kernel_us(model: onnx.ModelProto, unit: Unit, int8: bool) -> float:
    generator = np.random.default_rng(0)
    feeds = {
        value.name: generator.uniform(-2, 2, [dim.dim_value for dim in value.type.tensor_type.shape.dim]).astype(
            np.float32
        )
        for value in model.graph.input
    }
    try:
        events = _profile(model, feeds)
    except Exception:  # noqa: BLE001  onnxruntime's exceptions share no base; a kernel that is not there is never chosen
        return float("inf")
    others = _EDGES - {node.op_type for node in unit.nodes}
    if unit.compute is None:
        others |= _NEIGHBOURS
    inner = [event for event in events if event[0] not in others]
    total = sum(us for _, _, us in inner)
    if int8 and not any(integers for _, integers, _ in inner):
        total += sum(us for name, _, us in events if name in ("QuantizeLinear", "DequantizeLinear"))  # it was not fused
    return round(total, 2)


def _profile(model: onnx.ModelProto, feeds: Mapping[str, NDArray[np.generic]]) -> list[tuple[str, bool, float]]:
    """Run and return (operator, does it read 8-bit integers, microseconds) of each node: its lower quartile."""
    with tempfile.TemporaryDirectory(prefix="edgeline-micro-") as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = usable_cores()
        for key, value in {"session.intra_op.allow_spinning": "0", **exact_products()}.items():
            options.add_session_config_entry(key, value)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "p")
        session = onnxruntime.InferenceSession(
            openable(model.SerializeToString(), options), options, providers=["CPUExecutionProvider"]
        )
        for _ in range(ROUNDS):
            session.run(None, dict(feeds))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[str, list[float]] = {}
    about: dict[str, tuple[str, bool]] = {}
    for event in events:
        if event.get("cat") == "Node" and str(event["name"]).endswith("_kernel_time"):
            types = {kind for item in event["args"].get("input_type_shape", []) for kind in item}
            times.setdefault(event["name"], []).append(float(event["dur"]))
            about[event["name"]] = (str(event["args"]["op_name"]), bool(types & {"uint8", "int8"}))
    return [(*about[name], float(np.percentile(values, 25))) for name, values in times.items()]


def _model(graph: Graph, unit: Unit, shapes: Shapes, opset: int, int8: bool) -> onnx.ModelProto:
    """Return the unit as a graph: inputs -> [Q -> DQ] -> nodes [weights behind DQ] -> [Q -> DQ] -> y, and a cheap one
    with a 1x1 convolution before and behind it where its tensors are images.
    """
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in unit.nodes]
    made = _Body(int8)
    inside = {name for node in nodes for name in node.output}
    outside = dict.fromkeys(
        name for node in nodes for name in node.input if name and name not in inside and name not in graph.weights
    )
    between = unit.compute is None
    values = [helper.make_tensor_value_info(name, _FLOAT, shapes[name]) for name in outside]
    renamed = {name: made.quantized(name) for name in outside}
    for name in outside:
        if between and len(shapes[name]) == 4:
            renamed[name] = made.convolved(renamed[name], shapes[name][1])
    for name in dict.fromkeys(name for node in nodes for name in node.input if name in graph.weights):
        renamed[name] = _constant(graph, unit, name, made)
    for place, node in enumerate(nodes):
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        made.nodes.append(node)
        fused = place + 1 < len(nodes) and nodes[place + 1].op_type in ("Relu", "Clip")
        if not fused:
            zero = 0 if node.op_type in ("Relu", "Clip", "Sigmoid") else 128
            renamed[node.output[0]] = made.quantized(node.output[0], zero)
    output = renamed[unit.output]
    if between and len(shapes.get(unit.output, ())) == 4:
        output = made.convolved(output, shapes[unit.output][1])
    body = helper.make_graph(
        made.nodes, "unit", values, [onnx.ValueInfoProto(name=output)], list(made.weights.values())
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


class _Body:
    """Nodes and weights of a graph in the making; `int8` False leaves every Q and DQ out."""

    def __init__(self, int8: bool) -> None:
        self.int8 = int8
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.weights[name] = numpy_helper.from_array(values, name)
        return name

    def quantized(self, source: str, zero: int = 128) -> str:
        """Put Q -> DQ behind a value and return what the DQ makes."""
        if not self.int8:
            return source
        names = [
            self.constant("__scale", np.array(4.0 / 255, np.float32)),
            self.constant(f"__zero{zero}", np.array(zero, np.uint8)),
        ]
        self.nodes.append(helper.make_node("QuantizeLinear", [source, *names], [f"{source}__q"]))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{source}__q", *names], [f"{source}__d"]))
        return f"{source}__d"

    def weight(self, name: str, real: NDArray[np.float32], axis: int, step: float, zero: bool = False) -> str:
        """Add a constant, as integers of `step` behind a DQ where this graph has those; int32 for a bias.

        `zero`: with zero points, as the export writes them for some operators.
        """
        if not self.int8:
            return self.constant(name, real)
        kind = np.int32 if real.ndim == 1 else np.int8
        values = self.constant(f"{name}__q", np.clip(np.rint(real / step), -127, 127).astype(kind))
        scale = self.constant(f"{name}__s", np.full(real.shape[axis], step, np.float32))
        inputs = [values, scale]
        if zero:
            inputs.append(self.constant(f"{name}__z", np.zeros(real.shape[axis], kind)))
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}__d"], axis=axis))
        return f"{name}__d"

    def convolved(self, source: str, channels: int) -> str:
        weight = self.weight(
            f"__w{channels}" if not self.int8 else f"{source}__w", _noise((channels, channels, 1, 1)), 0, 1 / 40
        )
        self.nodes.append(helper.make_node("Conv", [source, weight], [f"{source}__c"]))
        return self.quantized(f"{source}__c")


def _constant(graph: Graph, unit: Unit, name: str, made: _Body) -> str:
    """Add one of the unit's constants with other values but for small ones; returns the name to read."""
    proto, compute = graph.weights[name], unit.compute
    size = int(np.prod(proto.dims)) if proto.dims else 1
    if compute is not None and name == compute.weight:
        return made.weight(name, _noise(tuple(proto.dims)), compute.axis, 1 / 40, zero=True)
    if compute is not None and name == compute.bias:
        return made.weight(name, _noise((size,)), 0, 4.0 / 255 / 40)
    if proto.data_type == _FLOAT and size > _COPIED:
        return made.constant(name, _noise(tuple(proto.dims)))
    return made.constant(name, graph.array(name))


def _noise(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def _conv(shape: tuple[int, ...], weight: NDArray[np.float32], opset: int, int8: bool) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    body = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info("x", _FLOAT, shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(weight, "w")],
    )
    graph = Graph(helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8))
    (item,) = compute_nodes(graph)
    return _model(graph, Unit((node,), ("x",), "y", item), {"x": shape}, opset, int8)

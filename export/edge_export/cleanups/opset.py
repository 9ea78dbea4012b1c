"""Raise the default operator set: per-channel QuantizeLinear exists from 13 on, and 17 is what exporters
write today.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, version_converter

from edge_export.cleanups.proof import Proof
from edge_export.graph import default_opset
from edge_export.run import one_line

__all__ = ["MINIMUM_OPSET", "STANDARD_OPERATORS", "upgrade_opset"]

MINIMUM_OPSET = 13
_TARGETS = (17, 16, 15, 14, 13)
STANDARD_OPERATORS = frozenset(schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == "")


def upgrade_opset(model: onnx.ModelProto, proof: Proof) -> tuple[onnx.ModelProto, list[str]]:
    """Convert a model below opset 13 to the highest of 17..13 that computes the same, or keep it and say why.

    onnx's converter has bugs, so each result is run against the original.
    """
    before = default_opset(model)
    if proof.probe is None or before >= MINIMUM_OPSET:
        return model, []
    reason = ""
    standard = _replace_image_scaler(model)
    unknown = sorted(
        {node.op_type for node in standard.graph.node if node.domain in ("", "ai.onnx")} - STANDARD_OPERATORS
    )
    if unknown:
        return model, [
            f"opset {before} was kept (int8 per channel needs {MINIMUM_OPSET}): {unknown[0]} is not standard"
        ]
    for target in _TARGETS:
        try:
            converted = version_converter.convert_version(standard, target)
        except Exception as error:  # noqa: BLE001 - the converter raises RuntimeError, ValueError and its own ConvertError
            reason = one_line(error, 160)
            continue
        _restore(model, converted)
        problem = proof.probe.compare(converted)
        if problem is None:
            return converted, [f"opset {before} became {target}"]
        reason = problem
    for target in _TARGETS:
        # com.microsoft operators confuse the converter; often nothing needs converting
        declared = onnx.ModelProto()
        declared.CopyFrom(standard)
        declared.opset_import[0].version = target
        if proof.probe.compare(declared) is None:
            return declared, [f"opset {before} is declared as {target} now, with the same results"]
    return model, [
        f"opset {before} was kept (int8 per channel needs {MINIMUM_OPSET}): onnx's converter fails, {reason}"
    ]


def _replace_image_scaler(model: onnx.ModelProto) -> onnx.ModelProto:
    """ImageScaler, an experimental operator that Core ML converters wrote, as Mul and Add: x * scale +
    bias[channel].
    """
    if not any(node.op_type == "ImageScaler" for node in model.graph.node):
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    types = {value.name: value.type.tensor_type.elem_type for value in result.graph.input}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "ImageScaler":
            nodes.append(node)
            continue
        source, made = node.input[0], node.output[0]
        values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        kind = onnx.helper.tensor_dtype_to_np_dtype(types.get(source, TensorProto.FLOAT))
        scale = np.asarray([values.get("scale", 1.0)], dtype=kind)
        bias = np.asarray(values.get("bias", [0.0]), dtype=kind).reshape(-1, 1, 1)
        for name, array in ((f"{made}.scale", scale), (f"{made}.bias", bias)):
            result.graph.initializer.append(numpy_helper.from_array(array, name))
        nodes.append(onnx.helper.make_node("Mul", [source, f"{made}.scale"], [f"{made}.scaled"]))
        nodes.append(onnx.helper.make_node("Add", [f"{made}.scaled", f"{made}.bias"], [made], name=node.name))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _restore(original: onnx.ModelProto, converted: onnx.ModelProto) -> None:
    """Put back what onnx's converter forgets: metadata and the other domains."""
    if not converted.metadata_props:
        converted.metadata_props.extend(original.metadata_props)
    present = {entry.domain for entry in converted.opset_import}
    converted.opset_import.extend(e for e in original.opset_import if e.domain not in present | {"ai.onnx"})
    converted.ir_version = max(converted.ir_version, original.ir_version)

"""Blocks as ONNX models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from edge_export.graph import Graph
from edge_export.state import Cut, ValueFact

__all__ = ["block_model", "block_models"]


def block_models(model: onnx.ModelProto, cuts: Sequence[Cut], facts: Mapping[str, ValueFact]) -> list[onnx.ModelProto]:
    """Return one ONNX model for each block; initializers are copied as they are (inline or external)."""
    return [block_model(model, cut, facts, index) for index, cut in enumerate(cuts)]


def block_model(model: onnx.ModelProto, cut: Cut, facts: Mapping[str, ValueFact], index: int) -> onnx.ModelProto:
    """Return the model of one block. Its inputs and outputs carry the types that onnxruntime gave the values."""
    declared = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    read = {name for node in cut.nodes for name in Graph.reads(node)} | set(cut.outputs)
    block = onnx.ModelProto()
    block.ir_version = model.ir_version
    block.opset_import.extend(model.opset_import)
    block.functions.extend(model.functions)
    block.graph.name = f"block-{index:02d}"
    block.graph.node.extend(cut.nodes)
    block.graph.input.extend(_value(name, declared, facts) for name in cut.inputs)
    block.graph.output.extend(_value(name, declared, facts) for name in cut.outputs)
    block.graph.initializer.extend(weight for weight in model.graph.initializer if weight.name in read)
    return block


def _value(
    name: str, declared: Mapping[str, onnx.ValueInfoProto], facts: Mapping[str, ValueFact]
) -> onnx.ValueInfoProto:
    if name in declared:
        return declared[name]
    fact = facts[name]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(fact.dtype)), fact.shape)

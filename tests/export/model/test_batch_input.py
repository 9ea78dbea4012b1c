"""Models of one picture without a batch dimension get one."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edge_export.model.batch_input import give_batch


def model(shape: list[int | str], opset: int = 17, more: bool = False) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    inputs += [helper.make_tensor_value_info("other", TensorProto.FLOAT, [1])] if more else []
    outputs = [helper.make_tensor_value_info("double", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "image"], ["double"], name="add")], "g", inputs, outputs
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("shape", [[3, 32, 48], [3, "height", "width"]])
def test_a_picture_without_a_batch_gets_one(shape: list[int | str], opset: int) -> None:
    changed, notes = give_batch(model(shape, opset))
    assert len(notes) == 1
    onnx.checker.check_model(changed, full_check=True)
    session = onnxruntime.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, *shape]
    picture = np.random.default_rng(0).random((3, 32, 48)).astype(np.float32)
    np.testing.assert_array_equal(session.run(None, {"image": picture[None]})[0], 2 * picture)


@pytest.mark.parametrize(
    "other", [model([1, 3, 32, 32]), model([4, 32, 32]), model([3, 8, 8]), model([3, 32, 32], more=True)]
)
def test_other_models_stay(other: onnx.ModelProto) -> None:
    assert give_batch(other) == (other, ())

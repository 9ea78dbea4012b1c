"""Careless files are brought into a form that the later passes know."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_export.cleanups.repair import fill_sparse
from edge_export.run import open_session, run


def test_sparse_weights_are_filled_and_the_answer_stays():
    places = numpy_helper.from_array(np.array([[0, 1], [2, 3]], np.int64), "places")
    values = numpy_helper.from_array(np.array([2.0, 5.0], np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 4])],
    )
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3, 4]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert fill_sparse(model) == ["1 sparse weights were filled"]
    found = run(open_session(model), {"x": np.array([[1, 1, 10]], np.float32)})["y"]
    assert found.tolist() == [[0, 2, 0, 50]]
    assert fill_sparse(model) == []

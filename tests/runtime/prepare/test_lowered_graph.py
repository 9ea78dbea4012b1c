"""Reading a lowered graph: nothing is lost, and what a block cannot carry over is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from runner_cases import FLOAT, graph_model

from edge_runtime.prepare.lower import lower
from edge_runtime.prepare.lowered_graph import read_lowered


def lowered(tmp_path, nodes, weights, inputs, outputs):
    source = tmp_path / "model.onnx"
    source.write_bytes(graph_model(nodes, weights, inputs, outputs).SerializeToString())
    lower(source, tmp_path / "lowered.onnx", 1, packed=True)
    return (tmp_path / "lowered.onnx").read_bytes()


def test_all_of_a_graph_is_the_graph_again_with_weights_and_their_packed_forms_where_they_are(tmp_path):
    w = np.ones((64, 64), np.float32)
    model = lowered(
        tmp_path,
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])],
        {"w": w, "b": np.ones(3, np.float32).repeat(64)[:64]},
        {"x": (FLOAT, ["n", 64])},
        {"y": (FLOAT, ["n", 64])},
    )
    graph = read_lowered(model)
    packed = [spans for weight in graph.weights.values() for spans in weight.packed.values()]
    assert packed
    assert all(span.length > 0 for spans in packed for span, _ in spans)
    unmoved = {
        span: span.offset
        for weight in graph.weights.values()
        for span in [weight.place, *(s for spans in weight.packed.values() for s, _ in spans)]
        if span is not None
    }
    weights = [weight.stored("lowered.bin", unmoved) for weight in graph.weights.values()]
    again = onnx.load_from_string(graph.part(range(len(graph.nodes)), graph.inputs, graph.outputs, weights))
    before = onnx.load_from_string(model)
    assert list(again.graph.node) == list(before.graph.node)
    assert list(again.graph.input) == list(before.graph.input)
    assert list(again.graph.output) == list(before.graph.output)

    def told(tensor):
        rest = onnx.TensorProto()
        rest.CopyFrom(tensor)
        rest.ClearField("external_data")
        return rest, {(entry.key, entry.value) for entry in tensor.external_data}

    assert [told(tensor) for tensor in again.graph.initializer] == [told(tensor) for tensor in before.graph.initializer]


def test_what_a_graph_within_takes_from_outside_is_read_by_its_node():
    inner = helper.make_graph(
        [helper.make_node("Add", ["outer", "one"], ["sum"])],
        "then",
        [],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    node = helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    found = read_lowered(helper.make_model(graph).SerializeToString())
    assert {b"condition", b"outer"} <= found.nodes[0].reads
    assert found.nodes[0].makes == (b"y",)


def external(name):
    tensor = numpy_helper.from_array(np.ones(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "w.bin", "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_weights_of_a_graph_within_in_the_external_file_are_refused():
    inner = helper.make_graph([], "then", [], [], [external("w")])
    node = helper.make_node("If", ["condition"], [], then_branch=inner)
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    with pytest.raises(ValueError, match="within the graph has weights in the external file"):
        read_lowered(model.SerializeToString())


def test_sparse_weights_are_refused():
    model = helper.make_model(helper.make_graph([], "g", [], []))
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "s"))
    with pytest.raises(ValueError, match="sparse"):
        read_lowered(model.SerializeToString())

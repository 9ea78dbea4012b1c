import numpy as np
import onnx
from onnx import helper, numpy_helper
from tiny_models import convnet, samples

from edge_export.cleanups.promote import promote_half
from edge_export.run import open_session, run


def as_half(model):
    """The model with FP16 weights, inputs and outputs."""
    half = onnx.ModelProto()
    half.CopyFrom(model)
    for weight in half.graph.initializer:
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), weight.name))
    for value in (*half.graph.input, *half.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return half


def test_an_fp16_graph_becomes_an_fp32_one_with_the_same_answer():
    half = as_half(convnet())
    model, notes = promote_half(half)
    assert "FP16" in notes[0]
    feed = samples(2)
    expected = run(open_session(half), {"images": feed.astype(np.float16)})["logits"]
    found = run(open_session(model), {"images": feed})["logits"]
    assert found.dtype == np.float32
    assert np.abs(expected - found).max() < 0.02


def test_casts_to_fp16_inside_the_graph_become_casts_to_fp32():
    half = as_half(convnet())
    first = half.graph.node[0]
    half.graph.node.insert(0, helper.make_node("Cast", ["images"], ["seen"], name="cast", to=onnx.TensorProto.FLOAT16))
    half.graph.node[1].input[0] = "seen"
    assert first.op_type == "Conv"
    model, _ = promote_half(half)
    assert model.graph.node[0].attribute[0].i == onnx.TensorProto.FLOAT


def test_an_fp32_graph_stays_as_it_is():
    model = convnet()
    assert promote_half(model) == (model, ())

"""The table of precisions: every word that a manifest may hold has a row, and a row is all that a new one needs."""

from typing import get_args

import numpy as np
import onnx
from onnx import helper
from quantize_tiny import quantized
from tiny_models import convnet, make, samples

from edge_export.graph import Graph
from edge_export.quant import qdq, schemes
from edge_export.quant.cache import WeightCache
from edge_export.quant.schemes import SCHEMES, Scheme, integer_nodes, is_narrow, scheme_of
from edge_export.quant.select import compute_nodes
from edge_export.run import open_session, run
from edge_export.state import Mix
from edge_runtime.bundle.manifest import Precision


def test_every_word_of_a_manifest_has_one_row():
    assert sorted(scheme.name for scheme in SCHEMES) == sorted(get_args(Precision))


def test_rows_say_what_computes_in_integers_and_what_is_rounded():
    mix = Mix.of("int8", ["a"]).given("int8-weights", ["b"]).given("int4-weights", ["c"]).given("fp16", ["d"])
    assert integer_nodes(mix) == {"a"}
    assert [is_narrow(mix.precision(name)) for name in "abcde"] == [True, True, True, False, False]


def test_a_mix_of_nothing_leaves_the_graph_as_it_is():
    model = convnet()
    found, _ = quantized(model, [{"images": samples()[:1]}], names=set())
    assert [node.op_type for node in found.graph.node] == [node.op_type for node in model.graph.node]


def test_a_new_precision_is_one_row_and_its_quantizer(monkeypatch):
    def write_bf16(writer, item):
        values = writer.cache.floats(item)
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        name = writer.fresh(f"{item.weight}_bf16")
        half = helper.make_tensor(name, onnx.TensorProto.BFLOAT16, values.shape, bits.tobytes(), raw=True)
        writer.constants[name] = half
        target = writer.fresh(f"{name}_c")
        writer.front.append(helper.make_node("Cast", [name], [target], to=onnx.TensorProto.FLOAT))
        writer.nodes[item.name].input[1] = target

    row = Scheme("bf16", "bfloat16 weights", 16, ("#000", "#fff"), lambda graph, item: True, write_bf16)
    for module in (qdq, schemes):
        monkeypatch.setattr(module, "SCHEMES", (*SCHEMES, row))
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((16, 8)).astype(np.float32)}
    model = make(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")], weights, {"x": ["batch", 16]}, {"y": ["batch", 8]}
    )
    graph, mix = Graph(model), Mix.of("bf16", ["mm"])
    candidates = compute_nodes(graph)
    plan = qdq.plan_of(graph, mix, candidates)
    found = qdq.to_qdq(model, mix, plan, candidates, {}, WeightCache(weights))
    assert [weight.data_type for weight in found.graph.initializer] == [onnx.TensorProto.BFLOAT16]
    assert scheme_of("bf16").meaning == "bfloat16 weights"
    assert not is_narrow("bf16")
    x = {"x": rng.standard_normal((2, 16)).astype(np.float32)}
    largest = np.abs(run(open_session(model), x)["y"] - run(open_session(found), x)["y"]).max()
    assert 0 < largest < 0.1, f"the largest difference is {largest}"

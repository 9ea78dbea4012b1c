import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from tiny_models import convnet, make, samples

from edge_export.graph import Graph
from edge_export.quant import stream as stream_module
from edge_export.quant.stream import Stream
from edge_export.run import expose, open_session, run

MODEL = convnet((3, 8, 16, 16, 16))
INNER = sorted(Graph(MODEL).producer)


def seen(model, wanted, feeds, budget):
    found = {}
    with Stream(model, wanted, budget) as stream:
        outputs = stream.run(feeds, lambda name, values: found.__setitem__(name, values.copy()))
        return found, outputs, len(stream.segments)


@settings(max_examples=30)
@given(st.integers(1, 1 << 17), st.sets(st.sampled_from(INNER), min_size=1))
def test_the_values_are_those_of_one_whole_session_whatever_the_budget(budget, wanted):
    feeds = {"images": samples(1)}
    whole = run(open_session(expose(MODEL, sorted(wanted))), feeds)
    found, outputs, _ = seen(MODEL, wanted, feeds, budget)
    assert set(found) == wanted
    assert list(outputs) == ["logits"]
    for name in wanted:
        # what is exposed decides what is fused: the last bits may differ
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-4, atol=1e-5)


def test_a_small_budget_cuts_and_a_big_one_does_not():
    feeds = {"images": samples(1)}
    assert seen(MODEL, INNER, feeds, 1 << 30)[2] == 1
    assert seen(MODEL, INNER, feeds, 8 << 10)[2] > 3


def test_two_runs_give_the_same_bits():
    feeds = {"images": samples(1)}
    first, second = (seen(MODEL, INNER, feeds, 8 << 10)[0] for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in INNER)


def test_graph_inputs_can_be_wanted_and_come_first():
    order = []
    with Stream(MODEL, ["images", "r0"]) as stream:
        stream.run({"images": samples(1)}, lambda name, _: order.append(name))
    assert order == ["images", "r0"]


def test_weights_are_cut_too_and_sessions_beyond_the_limit_are_opened_anew(monkeypatch):
    monkeypatch.setattr(stream_module, "SEGMENT_WEIGHTS", 5000)
    monkeypatch.setattr(stream_module, "OPEN_BYTES", 4000)
    feeds = {"images": samples(1)}
    whole = run(open_session(MODEL), feeds)
    with Stream(MODEL, ["r0"]) as stream:
        assert len(stream.segments) > 2
        for _ in range(2):
            outputs = stream.run(feeds, lambda name, values: None)
        assert len(stream._open) == 1
    np.testing.assert_allclose(outputs["logits"], whole["logits"], rtol=1e-4, atol=1e-5)


def test_values_that_a_body_captures_stay_alive_until_its_node_ran():
    body = {
        kind: helper.make_graph(
            [helper.make_node(kind, ["early", "x"], [f"out_{kind}"])],
            kind,
            [],
            [helper.make_tensor_value_info(f"out_{kind}", onnx.TensorProto.FLOAT, [4])],
        )
        for kind in ("Add", "Mul")
    }
    nodes = [
        helper.make_node("Relu", ["x"], ["early"], name="relu"),
        helper.make_node("Neg", ["early"], ["late"], name="neg"),
        helper.make_node("ReduceSum", ["late"], ["sum"], name="sum", keepdims=0),
        helper.make_node("Less", ["sum", "zero"], ["flag"], name="less"),
        helper.make_node("If", ["flag"], ["y"], name="if", then_branch=body["Add"], else_branch=body["Mul"]),
    ]
    model = make(nodes, {"zero": np.zeros((), np.float32)}, {"x": [4]}, {"y": [4]})
    feeds = {"x": np.array([1, -2, 3, 4], np.float32)}
    found, outputs, segments = seen(model, ["early", "late", "y"], feeds, 1)
    assert segments > 1
    assert outputs["y"].tolist() == [2, -2, 6, 8]
    assert found["late"].tolist() == [-1, 0, -3, -4]


def test_what_the_visitor_raises_comes_through_and_the_folder_goes():
    def refuse(name, values):
        raise ValueError(name)

    with Stream(MODEL, ["r1"]) as stream, pytest.raises(ValueError, match="r1"):
        stream.run({"images": samples(1)}, refuse)
    assert not (stream._files[0]).exists()


def test_the_model_is_left_as_it_was():
    before = MODEL.SerializeToString(deterministic=True)
    seen(MODEL, ["r1"], {"images": samples(1)}, 1)
    assert MODEL.SerializeToString(deterministic=True) == before

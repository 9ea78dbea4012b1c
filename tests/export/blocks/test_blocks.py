"""Blocks: whatever the cut, the chain of blocks is the whole model."""

import itertools

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from quantize_tiny import quantized
from tiny_models import convnet, make, samples

from edge_export.blocks.chain import run_sessions
from edge_export.blocks.cut_points import choose_cut_points, target_bytes, weight_sizes
from edge_export.blocks.layout import lay_out
from edge_export.blocks.models import block_models
from edge_export.blocks.sequence import make_sequence
from edge_export.run import open_session, run, value_facts

FEED = {"images": samples(1)}
FLOAT = convnet((3, 8, 16, 16, 24, 24, 32))
INT8 = quantized(FLOAT, [{"images": sample[None]} for sample in samples()])[0]


def run_chain(blocks, feed, optimize):
    return run_sessions([open_session(block, optimize) for block in blocks], feed)


def facts_of(model):
    sequence = make_sequence(model)
    names = [name for node in sequence.main for name in node.output if name]
    return sequence, value_facts(model, FEED, names)


SEQUENCES = {name: (model, *facts_of(model)) for name, model in {"float": FLOAT, "int8": INT8}.items()}


@settings(max_examples=20)
@given(st.sampled_from(["float", "int8"]), st.data())
def test_any_partition_gives_the_whole_models_answer_exactly(kind, data):
    model, sequence, facts = SEQUENCES[kind]
    places = sorted(data.draw(st.sets(st.integers(1, len(sequence.main) - 1), max_size=6)))
    edges = [0, *places, len(sequence.main)]
    cuts = [sequence.block(a, b) for a, b in itertools.pairwise(edges)]
    whole = run(open_session(model, optimize=False), FEED)
    chained = run_chain(block_models(model, cuts, facts), FEED, optimize=False)
    assert np.array_equal(whole["logits"], chained["logits"])


@settings(max_examples=30)
@given(st.sampled_from(["float", "int8"]), st.data())
def test_every_weight_has_one_place_aligned_and_inside_its_block(kind, data):
    model, sequence, _ = SEQUENCES[kind]
    places = sorted(data.draw(st.sets(st.integers(1, len(sequence.main) - 1), max_size=6)))
    edges = [0, *places, len(sequence.main)]
    cuts = [sequence.block(a, b) for a, b in itertools.pairwise(edges)]
    layout = lay_out(model, cuts)
    end = 0
    names = []
    for block in layout.blocks:
        assert block.offset % 4096 == 0
        assert block.offset >= end
        inside = block.offset
        for tensor in block.tensors:
            assert tensor.offset % 64 == 0
            assert tensor.offset >= inside
            inside = tensor.offset + tensor.size
            names.append(tensor.name)
        assert inside <= block.offset + block.size <= layout.size
        end = block.offset + block.size
    assert len(names) == len(set(names))
    big = {name for name, size in weight_sizes(model).items() if size >= 256}
    assert big - set(names) == set(), "a large weight without a place"


@settings(max_examples=25)
@given(st.sampled_from(["float", "int8"]), st.integers(500, 60_000), st.sets(st.integers(0, 20), max_size=8))
def test_chosen_places_are_ascending_inside_and_not_banned(kind, target, banned):
    model, sequence, facts = SEQUENCES[kind]
    places = choose_cut_points(sequence, weight_sizes(model), facts, target, banned)
    assert list(places) == sorted(set(places))
    assert all(0 < place < len(sequence.main) for place in places)
    assert not set(places) & banned


def crossing(sequence, position):
    """What a cut before `position` makes cross, by its definition."""
    made = {name for node in sequence.main[:position] for name in node.output if name}
    return made & {name for need in sequence.needs[position:] for name in need}


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_the_sweep_finds_what_crosses_every_place(kind):
    sequence = SEQUENCES[kind][1]
    found = list(sequence.crossings())
    assert found == [crossing(sequence, position) for position in range(len(sequence.main))]


def test_many_small_layers_are_cut_too():
    model = convnet((3, *[12] * 60), residual=False)
    sequence, facts = facts_of(model)
    places = choose_cut_points(sequence, weight_sizes(model), facts, 60_000)
    assert 4 <= len(places) <= 8


def test_int8_blocks_hand_int8_values_to_each_other():
    model, sequence, facts = SEQUENCES["int8"]
    places = choose_cut_points(sequence, weight_sizes(model), facts, 4000)
    assert len(places) >= 2
    for place in places:
        assert {facts[name].dtype for name in crossing(sequence, place)} == {"uint8"}


def test_a_bigger_model_gets_bigger_blocks_within_bounds():
    assert target_bytes(1000) == 1 << 20
    assert target_bytes(100 << 20) == (100 << 20) // 24
    assert target_bytes(10 << 30) == 16 << 20


def test_a_branch_of_control_flow_takes_what_it_captures_with_it():
    def branch(name, op):
        node = helper.make_node(op, ["hidden", "bias"], [f"{name}_out"])
        return helper.make_graph([node], name, [], [onnx.ValueInfoProto(name=f"{name}_out")])

    nodes = [
        helper.make_node("Relu", ["images"], ["hidden"], name="relu"),
        helper.make_node("ReduceSum", ["images"], ["total"], name="sum", keepdims=0),
        helper.make_node("Cast", ["total"], ["flag"], name="cast", to=onnx.TensorProto.BOOL),
        helper.make_node(
            "If", ["flag"], ["y"], name="if", then_branch=branch("t", "Add"), else_branch=branch("e", "Sub")
        ),
    ]
    weights = {"bias": np.arange(16, dtype=np.float32)}
    model = make(nodes, weights, {"images": [1, 3, 16, 16]}, {"y": [1, 3, 16, 16]})
    sequence, facts = facts_of(model)
    cuts = [sequence.block(0, 1), sequence.block(1, 3), sequence.block(3, 4)]
    assert set(cuts[2].inputs) == {"hidden", "flag"}
    whole = run(open_session(model), FEED)
    assert np.array_equal(whole["y"], run_chain(block_models(model, cuts, facts), FEED, True)["y"])


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_one_block_is_the_whole_graph(kind):
    model, sequence, _ = SEQUENCES[kind]
    cut = sequence.block(0, len(sequence.main))
    assert cut.inputs == ("images",)
    assert cut.outputs == ("logits",)
    assert len(cut.nodes) == len(model.graph.node)


def test_a_constant_that_a_copy_reads_twice_is_made_once_in_a_block():
    weights = {"h": np.arange(6, dtype=np.float16), **{n: np.array([v], np.int64) for n, v in [("a", 0), ("b", 3)]}}
    weights["c"] = np.array([6], np.int64)
    nodes = [
        helper.make_node("Cast", ["h"], ["f"], name="cast", to=onnx.TensorProto.FLOAT),
        helper.make_node("Slice", ["f", "a", "b"], ["low"], name="low"),
        helper.make_node("Slice", ["f", "b", "c"], ["high"], name="high"),
        helper.make_node("Concat", ["high", "low"], ["turned"], name="concat", axis=0),
        helper.make_node("Add", ["x", "turned"], ["y"], name="add"),
    ]
    model = make(nodes, weights, {"x": [1, 6]}, {"y": [1, 6]})
    sequence = make_sequence(model)
    cut = sequence.block(0, len(sequence.main))
    assert [node.name for node in cut.nodes] == ["cast", "high", "low", "concat", "add"]
    feed = {"x": np.zeros((1, 6), np.float32)}
    found = run_chain(block_models(model, [cut], {}), feed, optimize=False)
    assert found["y"].tolist() == [[3, 4, 5, 0, 1, 2]]


def test_an_output_that_no_node_makes_comes_from_the_last_block():
    weights = {"w": np.ones(6, np.float32)}
    model = make([helper.make_node("Add", ["x", "w"], ["y"], name="add")], weights, {"x": [6]}, {"y": [6], "w": [6]})
    sequence = make_sequence(model)
    cut = sequence.block(0, len(sequence.main))
    assert cut.outputs == ("y", "w")
    found = run_chain(block_models(model, [cut], {}), {"x": np.zeros(6, np.float32)}, optimize=False)
    assert found["w"].tolist() == [1] * 6

"""The chain of portable blocks: how each value grows with the batch, and which sizes depend on the data."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from runner_cases import counting, graph_model, hand_made, two_inputs
from tiny_bundle import make_bundle

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import BundleError, EngineError, ModelError
from edge_runtime.prepare.chain import Chain

FLOAT, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8


def run_all(bundle, batches=True):
    chain = Chain(bundle, 1, batches)
    for index, block in enumerate(bundle.manifest.blocks):
        chain.run(block)
        chain.drop(index)
    return chain


def axes(chain):
    return {name: value.axis for name, value in chain.values.items()}


def planned(chain):
    return {name for name, value in chain.values.items() if value.planned}


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return read_bundle(make_bundle(tmp_path_factory.mktemp("bundle")))


def test_every_value_of_a_network_grows_along_its_first_axis(network):
    chain = run_all(network)
    assert chain.batchable
    assert set(axes(chain).values()) == {0}
    assert chain.values["logits"].shape == (1, 5)
    assert planned(chain) == set(chain.values)


def test_values_are_held_until_their_last_reader_ran(network):
    chain = Chain(network, 1)
    first, second, _third = network.manifest.blocks
    chain.run(first)
    assert set(chain.feeds(second)) == set(second.inputs)
    chain.drop(0)
    with pytest.raises(KeyError):
        chain.feeds(first)
    assert set(chain.feeds(second)) == set(second.inputs)


def test_the_whole_graph_gives_what_the_blocks_give(network):
    feeds, expected = Chain(network, 1).whole()
    assert set(feeds) == {"images"}
    chain = Chain(network, 1)
    for block in network.manifest.blocks:
        found = chain.run(block)
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-4)


def test_without_batches_only_the_input_has_an_axis(network):
    chain = run_all(network, batches=False)
    assert axes(chain)["images"] == 0
    assert set(axes(chain).values()) == {0, -1}
    assert planned(chain) == set(chain.values)


def test_several_inputs_come_from_the_golden_file(tmp_path):
    chain = run_all(two_inputs(tmp_path))
    assert axes(chain) == {"a": 0, "b": 0, "h": 0, "y": 0}


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize("batch", ["n", 2])
def test_a_size_that_depends_on_the_data_is_seen_and_so_is_what_is_made_of_it(tmp_path, batches, batch):
    chain = run_all(counting(tmp_path, batch), batches)
    assert planned(chain) == {"x", "h"}
    assert axes(chain)["where"] == axes(chain)["some"] == -1


@pytest.mark.parametrize("batches", [True, False])
def test_a_count_that_does_not_change_when_an_image_is_turned_round_is_seen(tmp_path, batches):
    """Of the input itself as many numbers are positive, in whichever order they come."""
    model = graph_model(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("NonZero", ["r"], ["where"])],
        {},
        {"x": (FLOAT, ["n", 32])},
        {"where": (INT64, [2, "m"])},
    )
    sample = {"x": np.random.default_rng(0).standard_normal((1, 32)).astype(np.float32)}
    outputs = [("where", "int64", (2, "m"))]
    chain = run_all(hand_made(tmp_path, [model], [("x", "float32", ("n", 32))], outputs, sample), batches)
    assert planned(chain) == {"x"}


def reshaping(folder):
    """The shape of the input is handed to the second block, which uses it."""
    first = graph_model(
        [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Shape", ["x"], ["size"])],
        {},
        {"x": (FLOAT, ["n", 4, 8])},
        {"h": (FLOAT, ["n", 4, 8]), "size": (INT64, [3])},
    )
    second = graph_model(
        [
            helper.make_node("Slice", ["size", "zero", "one"], ["images"]),
            helper.make_node("Concat", ["images", "rest"], ["wanted"], axis=0),
            helper.make_node("Reshape", ["h", "wanted"], ["y"]),
        ],
        {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([-1])},
        {"h": (FLOAT, ["n", 4, 8]), "size": (INT64, [3])},
        {"y": (FLOAT, ["n", "m"])},
    )
    sample = {"x": np.random.default_rng(0).standard_normal((1, 4, 8)).astype(np.float32)}
    inputs, outputs = [("x", "float32", ("n", 4, 8))], [("y", "float32", ("n", 32))]
    return hand_made(folder, [first, second], inputs, outputs, sample)


def test_a_shape_with_the_number_of_images_ends_batches_instead_of_planning_wrong_ones(tmp_path):
    chain = run_all(reshaping(tmp_path))
    assert not chain.batchable
    assert planned(chain) == {"x", "h", "size", "y"}
    assert axes(chain)["y"] == -1


def test_a_shape_is_not_changed_to_see_what_another_image_gives(tmp_path):
    chain = run_all(reshaping(tmp_path), batches=False)
    assert planned(chain) == {"x", "h", "size", "y"}


def test_a_block_that_cannot_take_two_images_ends_batches(tmp_path):
    model = graph_model(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        {"shape": np.array([1, 32])},
        {"x": (FLOAT, ["n", 4, 8])},
        {"y": (FLOAT, [1, 32])},
    )
    sample = {"x": np.ones((1, 4, 8), np.float32)}
    inputs, outputs = [("x", "float32", ("n", 4, 8))], [("y", "float32", (1, 32))]
    chain = run_all(hand_made(tmp_path, [model], inputs, outputs, sample))
    assert not chain.batchable
    assert axes(chain) == {"x": 0, "y": -1}


def test_an_axis_other_than_the_first_may_be_the_batch_s(tmp_path):
    model = graph_model(
        [helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])],
        {},
        {"x": (FLOAT, ["n", 4])},
        {"y": (FLOAT, [4, "n"])},
    )
    sample = {"x": np.ones((1, 4), np.float32)}
    bundle = hand_made(tmp_path, [model], [("x", "float32", ("n", 4))], [("y", "float32", (4, "n"))], sample)
    assert axes(run_all(bundle)) == {"x": 0, "y": 1}


@pytest.mark.parametrize(("kind", "dtype"), [(UINT8, "uint8"), (FLOAT, "float32"), (INT64, "int64")])
def test_without_golden_samples_inputs_are_noise_of_the_right_type(tmp_path, kind, dtype):
    model = graph_model(
        [helper.make_node("Identity", ["x"], ["y"])], {}, {"x": (kind, ["n", 4])}, {"y": (kind, ["n", 4])}
    )
    bundle = hand_made(tmp_path, [model], [("x", dtype, ("n", 4))], [("y", dtype, ("n", 4))], {})
    np.savez(tmp_path / "golden.npz", nothing=np.zeros(1))
    chain = run_all(bundle)
    assert (chain.values["x"].dtype, chain.values["x"].shape) == (dtype, (1, 4))
    assert planned(chain) == {"x", "y"}


def test_numbers_without_end_do_not_stop_the_chain(tmp_path):
    model = graph_model(
        [helper.make_node("Relu", ["x"], ["y"])], {}, {"x": (FLOAT, ["n", 4])}, {"y": (FLOAT, ["n", 4])}
    )
    sample = {"x": np.array([[np.inf, np.nan, -np.inf, 1]], np.float32)}
    bundle = hand_made(tmp_path, [model], [("x", "float32", ("n", 4))], [("y", "float32", ("n", 4))], sample)
    assert axes(run_all(bundle)) == {"x": 0, "y": 0}


def test_a_block_that_does_not_load_or_run_is_one_line_that_names_it(tmp_path):
    bundle = two_inputs(tmp_path)
    np.savez(
        tmp_path / "golden.npz",
        input_a=np.ones((1, 1, 3), np.float32),
        input_b=np.ones((1, 1, 64), np.float32),
        output_y=np.zeros((1, 1)),
    )
    with pytest.raises(EngineError, match=r"block-00\.onnx does not run") as raised:
        run_all(bundle)
    assert "\n" not in str(raised.value)
    (tmp_path / "block-00.onnx").write_bytes(b"garbage")
    with pytest.raises(ModelError, match=r"cannot load block-00\.onnx") as raised:
        run_all(bundle)
    assert "\n" not in str(raised.value)
    (tmp_path / "golden.npz").write_bytes(b"garbage")
    with pytest.raises(BundleError, match=r"golden\.npz"):
        run_all(bundle)

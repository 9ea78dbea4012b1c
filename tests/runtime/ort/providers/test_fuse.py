"""Blocks put together again, checked by the onnx package and against the whole model."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_bundle import make_bundle
from tiny_models import samples

from edge_runtime.bundle.boundaries import crossings
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import ModelError
from edge_runtime.ort.providers.fuse import fuse


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return read_bundle(make_bundle(tmp_path_factory.mktemp("fuse")))


def fused(bundle, first, stop):
    blocks = bundle.manifest.blocks[first:stop]
    models = [bundle.file(block.file).read_bytes() for block in blocks]
    return fuse(models, *crossings(bundle.manifest, first, stop))


def answer(model, folder, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, feeds), strict=True))


def test_all_blocks_together_are_a_valid_model_with_the_whole_models_answer(bundle):
    count = len(bundle.manifest.blocks)
    assert count > 2
    model = fused(bundle, 0, count)
    (bundle.path.parent / "joined.onnx").write_bytes(model)
    parsed = onnx.load_model_from_string(model)
    onnx.load_external_data_for_model(parsed, str(bundle.path))
    onnx.checker.check_model(parsed, full_check=True)
    feeds = {"images": samples(2)}
    whole = bundle.file("model.onnx").read_bytes()
    expected, found = answer(whole, bundle.path, feeds), answer(model, bundle.path, feeds)
    assert list(found) == list(expected)
    largest = max(float(np.abs(expected[name] - found[name]).max()) for name in expected)
    assert largest == 0


def test_any_neighbouring_blocks_pass_on_what_the_others_need(bundle):
    feeds = {"images": samples(1)}
    expected = answer(bundle.file("model.onnx").read_bytes(), bundle.path, feeds)
    count = len(bundle.manifest.blocks)
    for cut in range(1, count):
        values = dict(feeds)
        for first, stop in ((0, cut), (cut, count)):
            names, _ = crossings(bundle.manifest, first, stop)
            values |= answer(fused(bundle, first, stop), bundle.path, {name: values[name] for name in names})
        assert all(np.array_equal(expected[name], values[name]) for name in expected)


def test_one_block_stays_what_it_is(bundle):
    block = bundle.manifest.blocks[1]
    model = onnx.load_model_from_string(fused(bundle, 1, 2))
    before = onnx.load_model(bundle.file(block.file), load_external_data=False)
    assert model.graph.node == before.graph.node
    assert [value.name for value in model.graph.input] == [value.name for value in before.graph.input]
    assert model.opset_import == before.opset_import


def block_model(entering, leaving, weight, opset=17, name="w"):
    tensors = [numpy_helper.from_array(np.array([weight], np.float32), name)]
    values = [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1]) for value in (entering, leaving)]
    graph = helper.make_graph(
        [helper.make_node("Mul", [entering, name], [leaving])], "b", values[:1], values[1:], tensors
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def test_a_tensor_that_two_blocks_have_is_there_once():
    model = fuse([block_model("a", "b", 3.0), block_model("b", "c", 3.0)], ["a"], ["c"])
    assert [tensor.name for tensor in onnx.load_model_from_string(model).graph.initializer] == ["w"]
    assert answer(model, ".", {"a": np.ones(1, np.float32)})["c"] == 9


def test_tensors_of_one_name_that_differ_are_refused():
    with pytest.raises(ModelError, match="two blocks have different tensors 'w'; export the bundle again"):
        fuse([block_model("a", "b", 3.0), block_model("b", "c", 4.0)], ["a"], ["c"])


def test_blocks_of_different_operator_sets_are_refused():
    with pytest.raises(ModelError, match="they use different operator sets"):
        fuse([block_model("a", "b", 3.0), block_model("b", "c", 3.0, opset=18)], ["a"], ["c"])


def test_a_value_that_no_block_has_is_refused():
    with pytest.raises(ModelError, match="no block has the value 'z'"):
        fuse([block_model("a", "b", 3.0)], ["a"], ["z"])


@pytest.mark.parametrize("damage", [lambda model: model[:-3], lambda model: b"\xff" * 40])
def test_bytes_that_are_no_model_are_refused(damage):
    with pytest.raises(ModelError, match="the graph is damaged"):
        fuse([block_model("a", "b", 3.0), damage(block_model("b", "c", 3.0))], ["a"], ["c"])

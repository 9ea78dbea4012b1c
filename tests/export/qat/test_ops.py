"""Operators in torch against onnxruntime on the same graph."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

torch = pytest.importorskip("torch", reason="torch is not installed")

from edge_export.qat.graph import TorchGraph  # noqa: E402
from edge_export.run import open_session, run  # noqa: E402
from edge_runtime.errors import ModelError  # noqa: E402

RNG = np.random.default_rng(3)
IMAGE = RNG.standard_normal((2, 4, 9, 7)).astype(np.float32)
ROWS = RNG.standard_normal((3, 6)).astype(np.float32)
W = RNG.standard_normal((8, 4, 3, 3)).astype(np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


def one_node(op, x, constants=(), outputs=1, opset=18, **attributes):
    """A graph of one node: input x, further inputs constant (None: left out)."""
    names = [f"c{i}" if value is not None else "" for i, value in enumerate(constants)]
    node = helper.make_node(op, ["x", *names], [f"y{i}" for i in range(outputs)], name="node", **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [onnx.ValueInfoProto(name=name) for name in node.output],
        [numpy_helper.from_array(value, f"c{i}") for i, value in enumerate(constants) if value is not None],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


CASES = {
    "conv with uneven pads, stride and groups": (
        "Conv", IMAGE, [W[:, :2], ROWS.reshape(-1)[:8]], {"pads": [0, 1, 2, 1], "strides": [2, 1], "group": 2}
    ),
    "conv, smaller pad first": ("Conv", IMAGE, [W], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "conv, larger pad first": ("Conv", IMAGE, [W], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "dilated conv": ("Conv", IMAGE, [W], {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    "transposed conv": (
        "ConvTranspose", IMAGE, [W[:4], ROWS[0, :4]],
        {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]},
    ),
    "max pool with a ceiling": ("MaxPool", IMAGE, [], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
    "average pool, border not counted": (
        "AveragePool", IMAGE, [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 0, 0]}
    ),
    "average pool, border counted": (
        "AveragePool", IMAGE, [], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    ),
    "global average": ("GlobalAveragePool", IMAGE, [], {}),
    "gemm with factors": ("Gemm", ROWS, [ROWS[:2], ROWS[0, :2]], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    "layer norm": ("LayerNormalization", ROWS, [ROWS[0], ROWS[1]], {"axis": -1}),
    "batch norm": ("BatchNormalization", IMAGE, [*np.abs(W[:4, :4, 0, 0])], {"epsilon": 1e-3}),
    "prelu": ("PRelu", IMAGE, [W[0, :, :1, :1]], {}),
    "clip on one side": ("Clip", ROWS, [np.array(-0.5, np.float32)], {}),
    "hard swish": ("HardSwish", ROWS, [], {}),
    "hard sigmoid": ("HardSigmoid", ROWS, [], {"alpha": 1 / 6, "beta": 0.5}),
    "softmax": ("Softmax", IMAGE, [], {"axis": 1}),
    "nearest resize": (
        "Resize", IMAGE, [None, np.array([1, 1, 2, 1.5], np.float32)],
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    ),
    "linear resize to a size": (
        "Resize", IMAGE, [None, None, whole(2, 4, 5, 14)],
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    ),
    "linear resize, corners aligned": (
        "Resize", IMAGE, [None, None, whole(2, 4, 18, 14)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    ),
    "reflected border": ("Pad", IMAGE, [whole(0, 0, 2, 1, 0, 0, 1, 2)], {"mode": "reflect"}),
    "constant border": ("Pad", IMAGE, [whole(0, 1, 0, 0, 0, 0, 0, 3), np.array(0.5, np.float32)], {}),
    "slice backwards": ("Slice", IMAGE, [whole(-1, 1), whole(-100, 6), whole(2, 3), whole(-2, 2)], {}),
    "gather by a matrix": ("Gather", IMAGE, [np.array([[0, -1], [2, 1]])], {"axis": 1}),
    "mean over two axes": ("ReduceMean", IMAGE, [whole(1, 3)], {"keepdims": 0}),
    "depth to space": ("DepthToSpace", IMAGE, [], {"blocksize": 2, "mode": "CRD"}),
    "reshape that copies and infers": ("Reshape", IMAGE, [whole(0, -1, 7)], {}),
    "expand": ("Expand", ROWS, [whole(2, 1, 6)], {}),
    "cast to integers": ("Cast", ROWS * 3, [], {"to": onnx.TensorProto.INT64}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_onnxruntime_does(name):
    op, x, constants, attributes = CASES[name]
    check(one_node(op, x, constants, **attributes), x)


def test_split_by_sizes_gives_every_part():
    check(one_node("Split", IMAGE, [whole(1, 3)], outputs=2, axis=1), IMAGE)


def test_the_old_softmax_joins_all_dimensions_behind_its_axis():
    check(one_node("Softmax", IMAGE, opset=11, axis=1), IMAGE)


def check(model, x):
    expected = run(open_session(model, optimize=False), {"x": x})
    with torch.no_grad():
        found = TorchGraph(model).run({"x": torch.from_numpy(x)})
    for key, value in expected.items():
        assert found[key].shape == value.shape
        gap = np.abs(found[key].numpy().astype(np.float64) - value).max()
        assert gap <= 1e-5 * max(1.0, np.abs(value).max()), f"largest difference {gap}"


def test_an_operator_that_cannot_be_trained_is_named():
    with pytest.raises(ModelError, match=r"cannot train: NonZero \(first: node 'node'\)"):
        TorchGraph(one_node("NonZero", ROWS))


def test_a_form_of_an_operator_that_is_not_known_is_named():
    graph = TorchGraph(one_node("Resize", IMAGE, [None, np.array([1, 1, 2, 2], np.float32)], mode="cubic"))
    with pytest.raises(ModelError, match=r"Resize 'node' cannot be run in torch: Resize with mode cubic"):
        graph(torch.from_numpy(IMAGE))


def test_a_second_output_that_is_not_computed_is_refused():
    with pytest.raises(ModelError, match="a second output"):
        TorchGraph(one_node("MaxPool", IMAGE, outputs=2, kernel_shape=[2, 2]))

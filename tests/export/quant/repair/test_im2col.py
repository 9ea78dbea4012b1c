import numpy as np
import pytest
from onnx import helper
from tiny_models import make

from edge_export.quant.repair.im2col import im2col, window_of
from edge_export.run import open_session, run


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1, 1, 1]},
        {"strides": [2, 2], "pads": [0, 1, 1, 0]},
        {"dilations": [2, 1], "pads": [2, 0, 1, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
    ],
)
def test_patches_times_weights_are_what_the_convolution_gives(attributes):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 3, 3, 2)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 2], **attributes)
    x = rng.standard_normal((2, 3, 9, 8)).astype(np.float32)
    expected = run(
        open_session(make([node], {"w": weight}, {"x": list(x.shape)}, {"y": ["n", "c", "h", "w"]})), {"x": x}
    )["y"]
    window = window_of(node, (3, 2), x.shape[2:])
    found = im2col(x, window, 10_000, rng).reshape(-1, 18) @ weight.reshape(4, -1).T
    np.testing.assert_allclose(found, np.moveaxis(expected, 1, -1).reshape(-1, 4), rtol=1e-4, atol=1e-5)


def test_a_part_of_the_patches_is_the_same_for_the_same_seed():
    x = np.random.default_rng(0).standard_normal((1, 2, 12, 12)).astype(np.float32)
    window = ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1))
    first, second = (im2col(x, window, 20, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (20, 2, 9)
    assert (first == second).all()

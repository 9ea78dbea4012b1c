"""Noise is fitted to the integers that a model takes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_export.evaluate.data.calibration import RandomCalibration
from edge_export.evaluate.data.noise_fit import fit_noise
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import DataError


def table(rows: int, shape: tuple[int, ...] = (1, 4)) -> onnx.ModelProto:
    """A look-up of integers in a table of so many rows."""
    weights = numpy_helper.from_array(np.ones((rows, 3), np.float32), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


IDS = RandomCalibration((TensorSpec("ids", "int64", (1, 4)),))


@pytest.mark.parametrize(("rows", "high"), [(300, 256), (128, 100), (2, 2), (1, 1)])
def test_integers_stay_within_the_table_that_they_are_looked_up_in(rows: int, high: int) -> None:
    assert fit_noise(IDS, table(rows)).integer_high == high


def test_noise_of_floats_and_pixels_is_left_as_it_is() -> None:
    noise = RandomCalibration((TensorSpec("x", "float32", (1, 4)), TensorSpec("p", "uint8", (1, 4))))
    assert fit_noise(noise, table(1)) is noise


def test_a_model_that_runs_on_no_noise_asks_for_real_tensors() -> None:
    with pytest.raises(DataError, match="runs on no random input"):
        fit_noise(IDS, table(0))

"""Key points of the whole picture in lines across and down, read as they were laid out."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Detect, Points
from edge_runtime.errors import EngineError
from edge_runtime.results import Box, Result
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.settings import Settings

Activation = Literal["none", "sigmoid", "softmax"]
WIDTH, HEIGHT = 48, 64
# 160x80 in 48x64: a fifth of the picture's size would be 32x16, here it is 48x24 with 20 rows above.
PLACE = Placement(160, 80, WIDTH, HEIGHT, 0.3, 0.3, 0.0, 20.0)
# x and y in input pixels, and how high the lines are there.
POINTS = ((6.0, 22.5, 0.9), (40.5, 30.0, 0.5), (24.0, 41.0, 0.7))


def lines(steps: int = 2) -> tuple[NDArray[Any], NDArray[Any]]:
    """[1, P, steps * W] and [1, P, steps * H]; the lower of a point's two is its height."""
    across, down = np.zeros((1, 3, steps * WIDTH)), np.zeros((1, 3, steps * HEIGHT))
    for number, (x, y, height) in enumerate(POINTS):
        across[0, number, round(steps * x)] = height + 0.05
        down[0, number, round(steps * y)] = height
    return across, down


def look(
    across: NDArray[Any],
    down: NDArray[Any],
    activation: Activation = "none",
    confidence: float = 0.3,
    place: Placement = PLACE,
) -> Result:
    spec = Detect(format="simcc", nms=False, points=Points(3, activation=activation))
    outputs = {"simcc_x": across.astype(np.float32), "simcc_y": down.astype(np.float32)}
    facts = ModelFacts(
        (), tuple(TensorSpec(name, "float32", ("N",)) for name in outputs), None, spec, ("object",),
        Thresholds(confidence), VerdictRule("any"),
    )  # fmt: skip
    return interpret(facts, outputs, [place], Settings.of(facts))[0]


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_points_lie_where_both_lines_are_highest(steps: int) -> None:
    (found,) = look(*lines(steps)).predictions
    assert found.box == Box(0, 0, 160, 80)
    assert found.confidence == pytest.approx(0.7)
    places = [(round(steps * x) / steps / 0.3, (round(steps * y) / steps - 20) / 0.3) for x, y, _ in POINTS]
    np.testing.assert_allclose([(point.x, point.y) for point in found.points], places, atol=1e-4)
    np.testing.assert_allclose([point.confidence for point in found.points], [0.9, 0.5, 0.7], atol=1e-6)


def test_an_object_is_reported_where_its_points_are_sure_enough() -> None:
    assert look(*lines(), confidence=0.71).predictions == ()
    assert look(*lines(), confidence=0.71).verdict == "OK"
    assert look(*lines(), confidence=0.69).verdict == "NG"


def test_a_softmax_tells_peaks_from_flat_lines() -> None:
    across, down = lines()
    down[0, 1] = 0.5  # anywhere
    (found,) = look(across, down, "softmax").predictions
    sure = [point.confidence for point in found.points]
    assert sure == pytest.approx([1, 1 / (2 * HEIGHT), 1], abs=1e-4)


def test_a_point_whose_lines_are_nowhere_above_zero_is_not_seen() -> None:
    across, down = lines()
    across[0, 2] = -1
    (found,) = look(across, down).predictions
    assert (found.points[2].x, found.points[2].y, found.points[2].confidence) == (0, 0, 0)


def test_a_crop_leaves_the_object_what_is_left_of_the_picture() -> None:
    place = Placement(100, 80, WIDTH, HEIGHT, 0.8, 0.8, -16.0, 0.0)
    (found,) = look(*lines(), place=place).predictions
    assert found.box == Box(20, 0, 80, 80)


@pytest.mark.parametrize(
    ("across", "down"), [((1, 3, 97), (1, 3, 128)), ((1, 2, 96), (1, 2, 128)), ((1, 3, 96), (1, 3, 2, 64))]
)
def test_lines_of_another_form_are_no_answer(across: tuple[int, ...], down: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match="a multiple of"):
        look(np.zeros(across), np.zeros(down))


def test_lines_have_points_and_nothing_else_has_their_softmax() -> None:
    with pytest.raises(ValueError, match="key points"):
        Detect(format="simcc")
    with pytest.raises(ValueError, match="only in format simcc"):
        Detect(points=Points(3, activation="softmax"))

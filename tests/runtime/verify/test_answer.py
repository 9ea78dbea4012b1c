"""What answers mean, and when two of them are plainly not the same."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Postprocess, Raw, Segment
from edge_runtime.errors import BundleError, EngineError
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_runtime.verify.answer import compare_answers, read_answer

BOXES = np.array([[5, 5, 25, 25, 0.9, 0], [40, 40, 60, 60, 0.5, 1]], np.float32)


def manifest_of(post: Postprocess, threshold: float = 0.4) -> Manifest:
    return dataclasses.replace(fake_manifest(), postprocess=post, thresholds=Thresholds(threshold))


DETECT = dataclasses.replace(fake_manifest(), thresholds=Thresholds(0.4))
CLASSIFY, SEGMENT, ANOMALY = manifest_of(Classify()), manifest_of(Segment(activation="softmax")), manifest_of(Anomaly())


def rows(*values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_a_detectors_answer_is_its_boxes_from_below_the_threshold_on() -> None:
    output = np.zeros((1, 6, 84), np.float32)
    output[0, :, 3] = [15, 15, 20, 20, 0.9, 0.0]
    output[0, :, 9] = [50, 50, 20, 20, 0.0, 0.35]
    answer = read_answer(DETECT, {"output": output})
    assert answer is not None
    np.testing.assert_allclose(answer, rows((5, 5, 25, 25, 0.9, 0), (40, 40, 60, 60, 0.35, 1)))
    with pytest.raises(EngineError, match="NaN"):
        read_answer(DETECT, {"output": output * np.nan})


def test_a_classifiers_answer_is_its_best_classes() -> None:
    scores = np.log(rows((0.1, 0.6, 0.3)))
    answer = read_answer(manifest_of(Classify(top_k=1)), {"output": scores})
    assert answer is not None
    np.testing.assert_allclose(answer, rows((0.6, 1), (0.3, 2), (0.1, 0)), rtol=1e-5)


def test_a_mask_is_thinned_and_an_anomaly_is_its_score() -> None:
    planes = np.zeros((1, 2, 8, 8), np.float32)
    planes[0, 1, :4] = 5
    mask = read_answer(SEGMENT, {"output": planes})
    assert mask is not None
    assert mask.dtype == np.uint8
    assert mask.shape == (64, 64)
    assert mask.mean() == 0.5
    score = read_answer(ANOMALY, {"output": np.full((1, 1, 4, 4), 0.25, np.float32)})
    assert score is not None
    assert score.tolist() == [0.25]


def test_mere_tensors_mean_nothing() -> None:
    assert read_answer(manifest_of(Raw()), {"output": np.zeros((1, 6, 84), np.float32)}) is None
    assert read_answer(dataclasses.replace(DETECT, preprocess=None), {}) is None


def test_a_batch_of_a_fixed_size_holds_the_image_in_every_place() -> None:
    spec = dataclasses.replace(CLASSIFY.inputs[0], shape=(3, 3, 64, 64))
    fixed = dataclasses.replace(CLASSIFY, inputs=(spec,))
    answer = read_answer(fixed, {"output": np.log(np.repeat(rows((0.2, 0.8)), 3, axis=0))})
    assert answer is not None
    assert answer.shape == (2, 2)


@pytest.mark.parametrize(
    ("manifest", "recorded", "found", "share", "change"),
    [
        (DETECT, BOXES, BOXES + rows((1, 1, 1, 1, -0.02, 0)), 1.0, ""),
        (DETECT, BOXES, BOXES[:0], 0.0, "open 0.90 at 5,5 is not found here"),
        (DETECT, BOXES[1:], BOXES, 2 / 3, "open 0.90 at 5,5 is found here only"),
        (DETECT, BOXES[:0], BOXES[:0], 1.0, ""),
        # 0.5 became 0.32: near the threshold of 0.4, rounding does that
        (DETECT, BOXES, BOXES - rows((0, 0, 0, 0, 0.0, 0), (0, 0, 0, 0, 0.18, 0)), 2 / 3, ""),
        (CLASSIFY, rows((0.5, 3), (0.45, 1)), rows((0.5, 1), (0.4, 3)), 0.0, ""),
        (CLASSIFY, rows((0.8, 3), (0.1, 1)), rows((0.5, 1), (0.4, 3)), 0.0, "class_3 0.80 is short 0.50 here"),
        (CLASSIFY, rows((0.8, 3), (0.1, 1)), rows((0.6, 3), (0.4, 1)), 1.0, ""),
        (SEGMENT, np.zeros((4, 5), np.uint8), np.eye(4, 5, dtype=np.uint8), 0.8, ""),
        (SEGMENT, np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8), 0.0, "100% of the pixels"),
        (ANOMALY, rows((0.5,))[0], rows((0.35,))[0], 0.0, ""),
        (ANOMALY, rows((0.7,))[0], rows((0.2,))[0], 0.0, "the anomaly score 0.70 is 0.20 here"),
        (ANOMALY, rows((0.9,))[0], rows((0.5,))[0], 1.0, ""),
        (SEGMENT, np.zeros((4, 5), np.uint8), np.zeros((4, 4), np.uint8), 0.0, "the answer was uint8 [4, 5]"),
        (ANOMALY, BOXES, rows((0.5,))[0], 0.0, "the answer was float32 [2, 6]"),
    ],
)
def test_a_change_is_what_rounding_does_not_explain(
    manifest: Manifest, recorded: NDArray[Any], found: NDArray[Any], share: float, change: str
) -> None:
    likeness = compare_answers(manifest, recorded, found)
    assert likeness.share == pytest.approx(share)
    assert likeness.change.startswith(change)
    assert bool(likeness.change) == bool(change)


@given(st.lists(st.tuples(*[st.floats(0, 64, width=32)] * 4, st.floats(0, 1, width=32), st.integers(0, 3)), max_size=8))
def test_an_answer_is_the_same_as_itself(values: list[tuple[float, ...]]) -> None:
    boxes = np.array(values, np.float32).reshape(-1, 6)
    boxes[:, 2:4] = boxes[:, :2] + boxes[:, 2:4] + 1
    likeness = compare_answers(DETECT, boxes, boxes)
    assert likeness.change == ""
    assert likeness.share == 1.0


def test_a_recorded_answer_that_is_no_number_is_a_damaged_bundle() -> None:
    with pytest.raises(BundleError, match="no number"):
        compare_answers(DETECT, BOXES * np.nan, BOXES)

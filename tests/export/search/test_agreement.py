"""A few images prove little: one that changes is no loss, several are."""

import cv2
import numpy as np
import pytest
from onnx import helper, numpy_helper
from tiny_models import make

from edge_export.evaluate.data.calibration import ImageCalibration
from edge_export.search.agreement import Agreement, agreement_of
from edge_export.state import Draft, ExportOptions, KnownFacts
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.postprocess_spec import Detect, Masks
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.vision.preprocess import Preprocessor


@pytest.mark.parametrize(
    ("lost", "images", "fine"), [(0, 8, True), (1, 8, True), (2, 8, False), (1, 32, True), (3, 32, False)]
)
def test_classes_that_change_are_judged_by_how_likely_bad_luck_is(lost, images, fine):
    assert Agreement("classify", "agreement", 1 - lost / images, images, 1.0).meets(0.01) is fine


def test_no_loss_may_be_allowed():
    assert Agreement("classify", "agreement", 1.0, 8, 1.0).meets(0.0)
    assert not Agreement("classify", "agreement", 0.5, 8, 0.6).meets(0.0)


def test_boxes_and_masks_may_change_a_little_more_and_are_judged_by_their_interval():
    assert Agreement("detect", "box_f1", 0.94, 8, 0.96).meets(0.01)
    assert not Agreement("detect", "box_f1", 0.90, 8, 0.94).meets(0.01)
    assert Agreement("segment", "mask_miou", 0.88, 8, 0.91).meets(0.01)


def answering(prototypes):
    """A model that answers every image with one object, 4..28 of 32 pixels, and a mask of these prototypes."""
    rows = np.array([[[16.0], [16.0], [24.0], [24.0], [0.9], [1.0], [-1.0]]], np.float32)
    nodes = [helper.make_node("Identity", [name], [name[1:]]) for name in ("_predictions", "_prototypes")]
    weights = {"_predictions": rows, "_prototypes": prototypes.astype(np.float32)}
    outputs = {"predictions": [1, 7, 1], "prototypes": [1, 2, 8, 8]}
    return make(nodes, weights, {"images": [1, 3, 32, 32]}, outputs)


def draft_of(folder, reference):
    paths = tuple(folder / f"{index}.png" for index in range(4))
    for path in paths:
        cv2.imwrite(str(path), np.full((32, 32, 3), 128, np.uint8))
    spec, preprocess = TensorSpec("images", "float32", (1, 3, 32, 32)), Preprocess(32, 32)
    post = Detect(outputs=("predictions",), masks=Masks("prototypes", count=2))
    return Draft(
        ExportOptions("model.onnx", folder / "model.edge"),
        facts=KnownFacts(preprocess=preprocess, postprocess=post, labels=("a",)),
        reference=reference,
        holdout=ImageCalibration(paths, spec, Preprocessor(preprocess), "4 images", ()),
        inputs=(spec,),
        outputs=(
            TensorSpec("predictions", "float32", (1, 7, 1)),
            TensorSpec("prototypes", "float32", (1, 2, 8, 8)),
        ),
    )


def test_a_mix_that_keeps_boxes_and_spoils_masks_is_seen(tmp_path):
    good, spoilt = np.full((1, 2, 8, 8), [[[4.0]], [[-4.0]]]), np.full((1, 2, 8, 8), [[[4.0]], [[-4.0]]])
    spoilt[:, :, :, 4:] *= -1
    draft = draft_of(tmp_path, answering(good))
    same, other = agreement_of(draft, answering(good)), agreement_of(draft, answering(spoilt))
    assert (same.value, same.meets(0.01)) == (1.0, True)
    assert (other.measure, other.value, other.meets(0.01)) == ("mask_f1", 0.0, False)


def test_a_graph_whose_answers_cannot_be_read_agrees_in_none(tmp_path):
    """Rounded by int8, scores or ids may be none any more: such a mix is not good enough, and no reason to give up."""
    good = np.full((1, 2, 8, 8), 4.0)
    broken = answering(good)
    rows = numpy_helper.to_array(broken.graph.initializer[0]).copy()
    rows[0, 4] = 7.0  # no score
    broken.graph.initializer[0].CopyFrom(numpy_helper.from_array(rows, "_predictions"))
    found = agreement_of(draft_of(tmp_path, answering(good)), broken)
    assert (found.value, found.meets(0.01)) == (0.0, False)
    assert agreement_of(draft_of(tmp_path, broken), broken) is None  # FP32 itself: rehearse says what is wrong

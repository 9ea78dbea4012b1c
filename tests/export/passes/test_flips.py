"""The certificate states how far the bundle answers held-back pictures as FP32 does, and what that is worth."""

import dataclasses

import cv2
import numpy as np
import pytest
from onnx import helper, numpy_helper
from tiny_models import make, save

from edge_export.certificate.findings import findings_of
from edge_export.certificate.headline import headline
from edge_export.passes.flips import collect_flips
from edge_export.pipeline import QuietProgress, export_bundle
from edge_export.state import ExportOptions, FactFlags

CELLS = 8


def detector(tmp_path):
    """YOLO-like, one class: [1, 5, cells], each cell a box of its own whose score is 0.9."""
    rng = np.random.default_rng(0)
    weights = {
        "w": (rng.standard_normal((5, 3, 4, 8)) * 1e-4).astype(np.float32),
        "b": np.array([4.0, 2.0, 8.0, 4.0, 0.9], np.float32),
        "places": np.stack([np.arange(CELLS) % 2 * 8, np.arange(CELLS) // 2 * 4, *np.zeros((3, CELLS))])[None],
        "shape": np.array([0, 5, CELLS], np.int64),
    }
    weights["places"] = weights["places"].astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["c"], name="conv", kernel_shape=[4, 8], strides=[4, 8]),
        helper.make_node("Reshape", ["c", "shape"], ["r"], name="reshape"),
        helper.make_node("Add", ["r", "places"], ["output"], name="add"),
    ]
    return save(make(nodes, weights, {"images": [1, 3, 16, 16]}, {"output": [1, 5, CELLS]}), tmp_path / "d.onnx")


def export(tmp_path, pictures):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(pictures):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (16, 16, 3), np.uint8))
    flags = FactFlags(
        task="detect",
        preprocess={"scale": 1 / 255, "colour": "rgb"},
        postprocess={"format": "yolo", "axis": "channels-first"},
        ng_classes=("class_0",),
    )
    return export_bundle(
        ExportOptions(
            str(detector(tmp_path)),
            tmp_path / "m.edge",
            flags,
            calibrate=folder,
            quantize="int8",
            effort="fast",
            target="none",
        )
    )


@pytest.fixture
def few(tmp_path):
    return export(tmp_path, 4)


def test_a_fast_export_states_the_agreement_and_what_one_held_back_picture_is_worth(few):
    manifest, draft = few
    (row,) = [row for row in manifest.accuracy if row.metric == "box_f1"]
    assert (row.bundle, row.low, row.high) == (1.0, pytest.approx(0.05), None)
    said = headline(findings_of(draft, manifest, 0))
    assert (said.tone, said.word) == (
        "check",
        "Too few answers of held-back images to tell: up to 95.0 % of all may be others",
    )
    assert "box agreement (F1) 100 % on 1 held-back images" in said.sentence


def test_enough_held_back_pictures_are_within_what_was_allowed(tmp_path):
    manifest, draft = export(tmp_path, 32)
    assert headline(findings_of(draft, manifest, 0)).word == "Within what was allowed"


def test_a_bundle_whose_answers_are_mostly_other_ones_is_said_to_lose_too_much(few):
    manifest, draft = few
    rows = tuple(row for row in draft.accuracy if row.metric != "box_f1")
    moved = type(draft.model)()
    moved.CopyFrom(draft.model)
    for tensor in moved.graph.initializer:
        if list(tensor.dims) == [1, 5, CELLS]:
            places = numpy_helper.to_array(tensor).copy()
            places[0, 0] -= 5  # every box five pixels to the left: less than half of it lies on one of FP32's
            tensor.CopyFrom(numpy_helper.from_array(places, tensor.name))
    draft = dataclasses.replace(draft, model=moved, accuracy=rows, flips=None)
    found = collect_flips(draft, QuietProgress())
    assert (
        "most answers are not FP32's: box agreement (F1) 0.0 % on 1 held-back images; give --effort good"
        in (found.warnings[-1])
    )
    told = dataclasses.replace(manifest, accuracy=found.accuracy)
    said = headline(findings_of(found, told, 0))
    assert (said.tone, said.word) == ("bad", "More was lost than was allowed: most answers are not FP32's")

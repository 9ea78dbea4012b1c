"""Small models with the published layouts of families: exported without a flag about layouts, they find what is there.

The models lie beside the repository where there are any; each has the known objects that its folder's README tells.
"""

from __future__ import annotations

import math

import cv2
import pytest
from places import ROOT

from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime import open_bundle

SHARED = ROOT.parent / "shared"
CASES = SHARED / "cases" / "export"
PHOTOS = sorted((SHARED / "data" / "coco128").rglob("*.jpg"))[:6]
if not (CASES.is_dir() and PHOTOS):
    pytest.skip("no cases of exported models beside the repository", allow_module_level=True)

LETTERBOXED = ((160, 100, 480, 380), (20, 40, 140, 160))
STRETCHED = ((160, 135, 480, 345), (20, 90, 140, 180))
COCO = ("person", "bicycle", "car", *(f"class {number}" for number in range(3, 80)))
# boxes, names of the two objects, the verdict rule that is had without flags
DETECTORS = {
    "yolov10_nc1": (LETTERBOXED, ("scratch", "scratch"), "any"),
    "yolov10_nc2": (LETTERBOXED, ("dent", "scratch"), "any"),
    "rtdetr_ultra_6": (STRETCHED, ("car", "person"), "any"),
    "yolov8_obb": (None, ("car", "person"), "any"),
    "yolov8_pose": (LETTERBOXED, ("person", "person"), "any"),
    "mmdeploy": (STRETCHED, ("class_2", "class_0"), "none"),  # whether RGB or BGR is in no file
    "ppyoloe": (STRETCHED, ("class_2", "class_0"), "none"),  # nor PP-YOLOE's mean
    "yolov7_end2end": (LETTERBOXED, ("class_2", "class_0"), "any"),
    "yolov6": (LETTERBOXED, ("class_2", "class_0"), "any"),
    "hf_rtdetr_bare": (STRETCHED, ("class_2", "class_0"), "any"),
    "ssd_tf": (STRETCHED, ("car", "person"), "any"),
    "rfdetr": (STRETCHED, ("class_3", "class_1"), "any"),
    "torchvision_det": (STRETCHED, ("class_2", "class_0"), "any"),
}


def export_and_run(tmp_path, name, effort, labels=(), **flags):
    if labels:
        (tmp_path / "labels.txt").write_text("\n".join(labels))
        flags["labels"] = tmp_path / "labels.txt"
    (tmp_path / "photos").mkdir()
    for photo in PHOTOS:
        (tmp_path / "photos" / photo.name).write_bytes(photo.read_bytes())
    options = ExportOptions(
        str(CASES / f"{name}.onnx"), tmp_path / "m.edge", FactFlags(**flags), calibrate=tmp_path / "photos",
        effort=effort, target="none",
    )  # fmt: skip
    manifest, draft = export_bundle(options)
    with open_bundle(options.output, use_cache=False) as engine:
        (result,) = engine.run([cv2.imread(str(next(path for path in PHOTOS if path.stem.endswith("009"))))])
    return manifest, draft, result


@pytest.mark.parametrize("effort", ["fast", "good"])
@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_finds_its_objects(tmp_path, name, effort):
    boxes, names, rule = DETECTORS[name]
    manifest, _, result = export_and_run(tmp_path, name, effort, COCO if name == "ssd_tf" else ())
    assert tuple(found.name for found in result.predictions) == names
    for found, confidence in zip(result.predictions, (0.9, 0.6), strict=True):
        assert found.confidence == pytest.approx(confidence, abs=0.02)
    for found, box in zip(result.predictions, boxes or (), strict=False):
        assert (found.box.x1, found.box.y1, found.box.x2, found.box.y2) == pytest.approx(box, abs=4)
    assert manifest.verdict.rule == rule
    assert result.verdict == ("NG" if rule == "any" else "NO_READ")
    if name == "yolov8_obb":
        for found, (x1, y1, x2, y2) in zip(result.predictions, LETTERBOXED, strict=True):
            turned = found.oriented
            assert math.isclose(turned.angle, 0.5, abs_tol=0.01)
            assert (turned.x, turned.y) == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=4)
            assert (turned.width, turned.height) == pytest.approx((x2 - x1, y2 - y1), abs=6)
    if name == "yolov8_pose":  # 100,100 of the letterboxed input
        for found in result.predictions:
            assert len(found.points) == 17
            assert {(round(point.x), round(point.y)) for point in found.points} == {(200, 120)}


@pytest.mark.parametrize("effort", ["fast", "good"])
def test_one_sigmoid_tells_two_labels(tmp_path, effort):
    _, _, result = export_and_run(tmp_path, "keras_binary", effort, ("good", "bad"))
    assert [found.name for found in result.predictions] == ["bad", "good"]
    assert sum(found.confidence for found in result.predictions) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("effort", ["fast", "good"])
def test_an_anomaly_model_judges_at_its_own_limit(tmp_path, effort):
    manifest, _, result = export_and_run(tmp_path, "patchcore", effort)
    assert (manifest.thresholds.confidence, manifest.verdict.rule) == (0.5, "score")
    assert result.verdict == ("NG" if result.score >= 0.5 else "OK")


def test_paddles_unknown_dimensions_are_filled_apart(tmp_path):
    flags = {"width": 192, "height": 48}
    manifest, _, result = export_and_run(tmp_path, "ch_ppocr_mobile_v2.0_cls_infer", "fast", preprocess=flags)
    assert manifest.inputs[0].shape[1:] == (3, 48, 192)
    assert len(result.predictions) == 2


def test_a_box_order_that_contradicts_the_row_is_heeded_and_warned_of(tmp_path):
    layout = {"format": "final", "box": "xyxy"}
    scale = {"scale": 1 / 255, "colour": "rgb", "fit": "stretch"}
    manifest, draft, _ = export_and_run(
        tmp_path, "rtdetr_ultra_6", "fast", task="detect", postprocess=layout, preprocess=scale
    )
    assert manifest.postprocess.box == "xyxy"
    assert any("do not lie in the picture" in warning for warning in draft.warnings)

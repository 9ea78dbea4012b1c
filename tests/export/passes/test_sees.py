"""A model that finds nothing in any picture judges nothing, and that its bundle agrees is no figure."""

import cv2
import numpy as np
import pytest
from onnx import helper
from tiny_models import make, save

from edge_export.certificate.findings import findings_of
from edge_export.certificate.headline import headline
from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime import open_bundle
from edge_runtime.bundle.facts import VerdictRule

CELLS = 8


def detector(tmp_path, score):
    """YOLO-like, two classes: [1, 6, cells], boxes over the whole input, every score about `score`."""
    rng = np.random.default_rng(0)
    bias = np.array([8.0, 8.0, 12.0, 12.0, score, score / 2], np.float32)
    weights = {
        "w": (rng.standard_normal((6, 3, 4, 8)) * 1e-4).astype(np.float32),
        "b": bias,
        "shape": np.array([0, 6, CELLS], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["c"], name="conv", kernel_shape=[4, 8], strides=[4, 8]),
        helper.make_node("Reshape", ["c", "shape"], ["output"], name="reshape"),
    ]
    return save(make(nodes, weights, {"images": [1, 3, 16, 16]}, {"output": [1, 6, CELLS]}), tmp_path / "d.onnx")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    return filled(folder)


def filled(folder):
    folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 255, (16, 16, 3), np.uint8))
    return folder


def export(tmp_path, pictures, score, **more):
    flags = FactFlags(
        task="detect",
        preprocess={"scale": 1 / 255, "colour": "rgb"},
        postprocess={"format": "yolo", "axis": "channels-first"},
        ng_classes=("class_0",),
    )
    options = ExportOptions(
        str(detector(tmp_path, score)), tmp_path / "m.edge", flags, calibrate=pictures, quantize="int8",
        effort="fast", target="none", **more,
    )  # fmt: skip
    return export_bundle(options)


def test_a_model_that_finds_nothing_has_no_verdict_rule_and_says_so_in_red(tmp_path, pictures):
    manifest, draft = export(tmp_path, pictures, score=0.01, evaluate=filled(tmp_path / "others"))
    assert manifest.verdict == VerdictRule()
    assert "FP32 itself finds nothing in any of the " in draft.warnings[0]
    assert not [row for row in manifest.accuracy if row.metric in ("agreement", "box_f1", "mask_miou", "same_verdict")]
    said = headline(findings_of(draft, manifest, 0))
    assert said.tone == "bad"
    assert "FP32 itself finds nothing" in said.word
    assert "agreement" not in said.sentence
    page = (tmp_path / "m.edge" / "report.html").read_text()
    assert "FP32 itself finds nothing" in page
    with open_bundle(tmp_path / "m.edge", use_cache=False) as engine:
        (result,) = engine.run([np.zeros((16, 16, 3), np.uint8)])
    assert result.verdict == "NO_READ"
    assert "no verdict rule" in result.reasons[0]


def test_a_model_that_finds_something_judges_as_asked(tmp_path, pictures):
    manifest, draft = export(tmp_path, pictures, score=0.9)
    assert manifest.verdict == VerdictRule("any", classes=("class_0",))
    assert not any("finds nothing" in warning for warning in draft.warnings)


def test_without_pictures_nothing_is_known(tmp_path, pictures):
    options = ExportOptions(
        str(detector(tmp_path, 0.01)),
        tmp_path / "m.edge",
        FactFlags(
            task="detect",
            preprocess={"scale": 1 / 255, "colour": "rgb"},
            postprocess={"format": "yolo", "axis": "channels-first"},
        ),
        quantize="fp32",
    )
    manifest, draft = export_bundle(options)
    assert manifest.verdict == VerdictRule("any")
    assert not any("finds nothing" in warning for warning in draft.warnings)


def classifier(tmp_path):
    """Two classes: more red than blue, or less."""
    weights = {"w": np.array([[40, -40], [0, 0], [-40, 40]], np.float32)}
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("MatMul", ["f", "w"], ["logits"], name="fc"),
    ]
    return save(make(nodes, weights, {"images": [1, 3, 16, 16]}, {"logits": [1, 2]}), tmp_path / "c.onnx")


@pytest.mark.parametrize(("red", "confirmed"), [("good", True), ("bad", False)])
def test_labelled_images_confirm_a_guess_where_fp32_is_right_on_them(tmp_path, red, confirmed):
    rng = np.random.default_rng(2)
    for name in ("good", "bad"):
        (tmp_path / "labelled" / name).mkdir(parents=True)
        for number in range(6):
            picture = rng.integers(0, 60, (16, 16, 3), np.uint8)
            picture[:, :, 2 if name == red else 0] += 150
            cv2.imwrite(str(tmp_path / "labelled" / name / f"{number}.png"), picture)
    (tmp_path / "labels.txt").write_text("good\nbad\n")
    flags = FactFlags(labels=tmp_path / "labels.txt", ok_classes=("good",))
    options = ExportOptions(
        str(classifier(tmp_path)), tmp_path / "m.edge", flags, quantize="fp32", evaluate=tmp_path / "labelled"
    )
    manifest, draft = export_bundle(options)
    assert manifest.verdict.rule == ("class" if confirmed else "none")
    assert any(note.startswith("no verdict:") for note in draft.notes) is not confirmed
    assert any(note.startswith("what was guessed of the model is right: ") for note in draft.notes) is confirmed

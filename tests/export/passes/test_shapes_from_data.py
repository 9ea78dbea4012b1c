"""Free dimensions filled by what the user gives anyway: tensors, or an image size; and data where none is given."""

import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from onnx import helper
from tiny_models import convnet, make, save

from edge_export.cli.command import edge_export_command
from edge_export.model.sources import LoadOptions
from edge_export.model.sources.hugging_face import _size
from edge_export.pipeline import export_bundle
from edge_export.state import ExportOptions, FactFlags, KnownFacts
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.engine import open_bundle
from edge_runtime.errors import ModelError
from edge_runtime.verify.golden import compare, read_golden


def sequence():
    weights = {"w": np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32)}
    nodes = [
        helper.make_node("MatMul", ["t", "w"], ["h"], name="matmul"),
        helper.make_node("Relu", ["h"], ["y"], name="relu"),
    ]
    return make(nodes, weights, {"t": ["N", "T", 16]}, {"y": ["N", "T", 32]})


def test_tensors_fill_a_free_length_and_leave_the_batch_free(tmp_path):
    source = save(sequence(), tmp_path / "seq.onnx")
    np.savez(tmp_path / "d.npz", t=np.random.default_rng(1).standard_normal((5, 7, 16)).astype(np.float32))
    manifest, _ = export_bundle(ExportOptions(str(source), tmp_path / "s.edge", calibrate=tmp_path / "d.npz"))
    assert manifest.inputs[0].shape == ("batch", 7, 16)


def test_the_hint_for_a_free_length_is_no_image_size(tmp_path):
    source = save(sequence(), tmp_path / "seq.onnx")
    with pytest.raises(ModelError, match=r"--input-shape t:1,T,16 .*\.npz"):
        export_bundle(ExportOptions(str(source), tmp_path / "s.edge", quantize="fp32"))


def free_size():
    model = convnet()
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    return model


def test_the_size_flag_fills_a_free_height_and_width(tmp_path):
    arguments = [str(save(free_size(), tmp_path / "m.onnx")), "-o", str(tmp_path / "m.edge"), "--quantize", "fp32"]
    result = CliRunner().invoke(edge_export_command, [*arguments, "--size", "24x20", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout)["task"] == "classify"
    assert read_bundle(tmp_path / "m.edge").manifest.inputs[0].shape == ("batch", 3, 20, 24)


def test_the_size_flag_is_the_size_that_a_hugging_face_model_is_exported_at(tmp_path):
    known = KnownFacts(preprocess=Preprocess(800, 600))
    assert _size(tmp_path, known, LoadOptions(size=(320, 256))) == (256, 320)
    assert _size(tmp_path, known, LoadOptions()) == (600, 800)


IMAGES = FactFlags(task="classify", preprocess={"width": 16, "height": 16, "scale": 1.0})


def test_without_data_an_image_model_is_tried_on_images_and_not_on_noise(tmp_path):
    source = save(convnet(), tmp_path / "m.onnx")
    manifest, draft = export_bundle(ExportOptions(str(source), tmp_path / "m.edge", IMAGES, quantize="fp16"))
    assert "smooth images" in manifest.provenance.calibration
    feed = next(draft.samples(1))["images"]
    assert feed.min() >= 0
    assert feed.max() > 50
    with np.load(tmp_path / "m.edge" / "golden.npz", allow_pickle=False) as arrays:
        assert {"image_00", "image_01"} <= set(arrays.files)
        assert not any(name.startswith("input_") for name in arrays.files)
        golden = list(read_golden(dict(arrays), manifest.inputs[0], manifest.preprocess))
    with open_bundle(tmp_path / "m.edge") as engine:
        assert all(max(compare(sample, engine.infer(sample.feeds))) == 0.0 for sample in golden)


def test_the_made_up_images_are_the_same_every_time(tmp_path):
    source = save(convnet(), tmp_path / "m.onnx")
    one, two = (
        export_bundle(ExportOptions(str(source), tmp_path / name, IMAGES, quantize="fp16"))[0].files
        for name in ("a.edge", "b.edge")
    )
    assert one == two


def test_labelled_images_are_taken_for_the_proof_and_all_of_them_are_measured(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("class_0", "class_1"):
        (tmp_path / "labelled" / name).mkdir(parents=True)
        for index in range(3):
            path = tmp_path / "labelled" / name / f"{index}.png"
            cv2.imwrite(str(path), rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    (tmp_path / "labels.txt").write_text("\n".join(f"class_{index}" for index in range(5)))
    flags = FactFlags(task="classify", preprocess=IMAGES.preprocess, labels=tmp_path / "labels.txt")
    source = save(convnet(), tmp_path / "m.onnx")
    options = ExportOptions(str(source), tmp_path / "m.edge", flags, quantize="fp16", evaluate=tmp_path / "labelled")
    manifest, draft = export_bundle(options)
    assert "of 6 images" in manifest.provenance.calibration
    assert {score.images for score in draft.comparison.fp32} == {6}

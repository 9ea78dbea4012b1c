"""The manifest's own pre- and post-processing is tried before a bundle is written."""

import numpy as np
import pytest
from onnx import helper
from tiny_models import convnet, make, save

from edge_export.pipeline import PASSES, export_bundle
from edge_export.state import ExportOptions, FactFlags
from edge_runtime.bundle.postprocess_spec import Raw
from edge_runtime.errors import ModelError, UsageError

SIZE = {"width": 16, "height": 16, "scale": 1 / 255}


def detector(tmp_path, classes=3, cells=8):
    """YOLO-like: [1, 4+C, cells] made of the image by one convolution; scores lie in 0..1."""
    rng = np.random.default_rng(0)
    channels = 4 + classes
    weights = {
        "w": (rng.standard_normal((channels, 3, 4, 8)) * 0.01).astype(np.float32),
        "shape": np.array([0, channels, cells], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], name="conv", kernel_shape=[4, 8], strides=[4, 8]),
        helper.make_node("Sigmoid", ["c"], ["s"], name="sigmoid"),
        helper.make_node("Reshape", ["s", "shape"], ["output"], name="reshape"),
    ]
    return save(make(nodes, weights, {"images": [1, 3, 16, 16]}, {"output": [1, channels, cells]}), tmp_path / "d.onnx")


def export(source, tmp_path, labels=(), **flags):
    if labels:
        (tmp_path / "labels.txt").write_text("\n".join(labels))
        flags["labels"] = tmp_path / "labels.txt"
    options = ExportOptions(str(source), tmp_path / "m.edge", FactFlags(**flags), quantize="fp32")
    return export_bundle(options)


@pytest.fixture
def source(tmp_path):
    return save(convnet(), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "wrong", [{"width": 32, "height": 32}, {"colour": "gray", "mean": [0], "std": [1]}, {"layout": "nhwc"}]
)
def test_an_image_that_does_not_fit_the_input_is_found_before_calibration(source, tmp_path, wrong, monkeypatch):
    monkeypatch.setattr("edge_export.pipeline.PASSES", PASSES[:2])
    with pytest.raises(UsageError, match=r"clean: input 'images' takes float32.*--size, --colour"):
        export(source, tmp_path, preprocess={**SIZE, **wrong})


@pytest.mark.parametrize("task", ["segment", "detect", "anomaly"])
def test_a_task_that_the_answer_does_not_fit_names_the_flags(source, tmp_path, task):
    with pytest.raises(UsageError, match=f"rehearse: .*cannot be read as {task}.*look at --task"):
        export(source, tmp_path, preprocess=SIZE, task=task)
    assert not (tmp_path / "m.edge").exists()


def test_an_output_that_is_not_there_is_refused_by_name(source, tmp_path):
    with pytest.raises(UsageError, match=r"reads the output 'heat'.*logits"):
        export(source, tmp_path, preprocess=SIZE, task="anomaly", postprocess={"map_output": "heat"})


@pytest.mark.parametrize("count", [2, 4, 6])
def test_labels_must_be_as_many_as_a_classifiers_classes(source, tmp_path, count):
    with pytest.raises(UsageError, match=f"{count} labels for 5 classes"):
        export(source, tmp_path, "abcdefg"[:count], preprocess=SIZE, task="classify")


def test_the_first_class_counts_for_the_labels(source, tmp_path):
    manifest, _ = export(source, tmp_path, "abcd", preprocess=SIZE, task="classify", postprocess={"first_class": 1})
    assert manifest.labels == ("a", "b", "c", "d")


def test_a_first_class_behind_the_last_is_refused(source, tmp_path):
    with pytest.raises(UsageError, match=r"look at .*--first-class"):
        export(source, tmp_path, preprocess=SIZE, task="classify", postprocess={"first_class": 5})


def test_labels_must_be_as_many_as_a_detectors_classes(tmp_path):
    source = detector(tmp_path)
    manifest, _ = export(source, tmp_path, "abc", preprocess=SIZE, task="detect")
    assert manifest.verdict.rule == "any"
    with pytest.raises(UsageError, match="2 labels for 3 classes"):
        export(source, tmp_path, "ab", preprocess=SIZE, task="detect")


def heads(tmp_path, classes=3):
    """NanoDet-like in four outputs: class scores [1, cells, C] and distances [1, cells, 4] of strides 8 and 16."""
    rng = np.random.default_rng(0)
    weights, nodes, outputs = {}, [], {}
    for stride in (8, 16):
        cells = (16 // stride) ** 2
        for name, width in ((f"cls_{stride}", classes), (f"dis_{stride}", 4)):
            weights |= {
                f"w_{name}": (rng.standard_normal((width, 3, stride, stride)) * 0.01).astype(np.float32),
                f"shape_{name}": np.array([0, width, cells], np.int64),
            }
            nodes += [
                helper.make_node("Conv", ["images", f"w_{name}"], [f"c_{name}"], strides=[stride, stride]),
                helper.make_node("Sigmoid", [f"c_{name}"], [f"s_{name}"]),
                helper.make_node("Reshape", [f"s_{name}", f"shape_{name}"], [f"r_{name}"]),
                helper.make_node("Transpose", [f"r_{name}"], [name], perm=[0, 2, 1]),
            ]
            outputs[name] = [1, cells, width]
    return save(make(nodes, weights, {"images": [1, 3, 16, 16]}, outputs), tmp_path / "h.onnx")


def test_labels_must_be_as_many_as_the_classes_of_heads(tmp_path):
    source = heads(tmp_path)
    said = {"format": "distances", "strides": [8, 16], "axis": "channels-last"}
    manifest, _ = export(source, tmp_path, "abc", preprocess=SIZE, task="detect", postprocess=said)
    assert manifest.requires == ("heads by stride",)
    with pytest.raises(UsageError, match="2 labels for 3 classes"):
        export(source, tmp_path, "ab", preprocess=SIZE, task="detect", postprocess=said)


def test_a_verdict_on_a_class_beyond_the_scores_is_refused(tmp_path):
    source = detector(tmp_path)
    layout = {"format": "yolo", "axis": "channels-first"}
    with pytest.raises(UsageError, match="names class_7, but the model scores the classes 0 to"):
        export(source, tmp_path, preprocess=SIZE, task="detect", postprocess=layout, ng_classes=("class_7",))


def test_a_grid_needs_strides_that_give_its_anchor_points(tmp_path):
    source = detector(tmp_path)
    with pytest.raises(UsageError, match="--strides"):
        export(source, tmp_path, preprocess=SIZE, task="detect", postprocess={"format": "grid", "strides": [8]})
    with pytest.raises(UsageError, match="strides"):
        export(source, tmp_path, preprocess=SIZE, task="detect", postprocess={"format": "grid", "strides": [0]})


def test_a_guess_that_fails_is_dropped_and_the_export_goes_on(tmp_path):
    weights = {"w": np.full((6, 3, 16, 16), 0.01, np.float32), "b": np.full(6, 50, np.float32)}
    weights["shape"] = np.array([0, 1, 6], np.int64)
    nodes = [
        helper.make_node("Conv", ["images", "w", "b"], ["c"], name="conv", kernel_shape=[16, 16]),
        helper.make_node("Reshape", ["c", "shape"], ["boxes"], name="reshape"),
    ]
    model = make(nodes, weights, {"images": [1, 3, 16, 16]}, {"boxes": [1, 1, 6]})
    manifest, draft = export(save(model, tmp_path / "f.onnx"), tmp_path)
    assert manifest.postprocess == Raw()
    assert manifest.verdict.rule == "none"
    assert any("no guess of what they mean fits" in note for note in draft.notes)
    assert not any(note.startswith("guess: the outputs") for note in draft.notes)


def test_a_graph_that_takes_nothing_is_refused_before_it_is_written(tmp_path):
    weights = {"w": np.ones((2, 3), np.float32)}
    nodes = [helper.make_node("Sigmoid", ["w"], ["y"], name="s")]
    source = save(make(nodes, weights, {}, {"y": [2, 3]}), tmp_path / "c.onnx")
    with pytest.raises(ModelError, match="the graph has no inputs"):
        export(source, tmp_path)

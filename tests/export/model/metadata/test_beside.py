"""Facts in files that exporters write beside a model: PaddleDetection's infer_cfg.yml, mmdeploy's pipeline.json."""

from __future__ import annotations

import json

import pytest
from onnx import TensorProto, helper

from edge_export.model.metadata import facts_beside
from edge_export.model.yaml_text import read_yaml
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.preprocess_spec import Preprocess

CONFIG = """mode: paddle
draw_threshold: 0.5
use_dynamic_shape: false
arch: YOLO
Preprocess:
- interp: 2
  keep_ratio: false
  target_size:
  - 320
  - 640
  type: Resize
{normalize}- type: Permute
label_list:
- scratch
- 'traffic light'
NMS:
  keep_top_k: 300
  name: MultiClassNMS
"""
PLUS = """- mean:
  - 0.0
  - 0.0
  - 0.0
  norm_type: none
  std:
  - 1.0
  - 1.0
  - 1.0
  type: NormalizeImage
"""
PLAIN = """- is_scale: true
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
  type: NormalizeImage
"""
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def model(inputs, size=(320, 640), out=("dets", [1, 100, 5])):
    """A graph that is never run."""
    known = {name: [1, 3, *size] if name in ("image", "input") else [1, 2] for name in inputs}
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in known.items()]
    made = helper.make_tensor_value_info(out[0], TensorProto.FLOAT, out[1])
    nodes = [helper.make_node("Identity", [inputs[0]], [out[0]])]
    return helper.make_model(helper.make_graph(nodes, "g", infos, [made]))


def pipeline(*steps, after=()):
    transforms = [{"type": "LoadImageFromFile"}, *steps, *after, {"type": "ImageToTensor", "keys": ["img"]}]
    tasks = [{"type": "Task", "module": "Transform", "transforms": transforms}, {"module": "Net", "name": "rtmdet"}]
    return json.dumps({"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": tasks}})


def test_the_pixels_of_paddle_detection_are_those_of_its_file(tmp_path):
    """PP-YOLOE+ and PP-YOLOE have the same graph and other pixels."""
    (tmp_path / "infer_cfg.yml").write_text(CONFIG.format(normalize=PLUS))
    facts = facts_beside(tmp_path, model(["image", "scale_factor"]))
    assert facts.preprocess == Preprocess(640, 320, interpolation="cubic")
    assert facts.labels == ("scratch", "traffic light")
    assert facts.thresholds == Thresholds(confidence=0.5, iou=0.7)
    assert set(facts.origin.values()) == {"file infer_cfg.yml"}
    (tmp_path / "infer_cfg.yml").write_text(CONFIG.format(normalize=PLAIN))
    facts = facts_beside(tmp_path, model(["image", "scale_factor"]))
    assert facts.preprocess == Preprocess(640, 320, interpolation="cubic", **IMAGENET)


def test_the_size_of_a_free_input_is_the_files_height_and_width(tmp_path):
    (tmp_path / "infer_cfg.yml").write_text(CONFIG.format(normalize=PLAIN))
    facts = facts_beside(tmp_path, model(["im_shape", "image", "scale_factor"], ["h", "w"]))
    assert (facts.preprocess.width, facts.preprocess.height) == (640, 320)


def test_pixels_without_normalization_stay_what_they_are(tmp_path):
    (tmp_path / "infer_cfg.yml").write_text(CONFIG.format(normalize=""))
    assert facts_beside(tmp_path, model(["image"])).preprocess.scale == 1


def test_a_kept_ratio_fills_up_at_the_right_and_below_with_the_mean(tmp_path):
    text = CONFIG.format(normalize=PLAIN).replace("keep_ratio: false", "keep_ratio: true")
    (tmp_path / "infer_cfg.yml").write_text(
        text.replace("- type: Permute", "- type: Permute\n- stride: 32\n  type: PadStride")
    )
    pre = facts_beside(tmp_path, model(["image", "scale_factor"])).preprocess
    assert (pre.fit, pre.anchor, pre.pad_value) == ("letterbox", "top-left", 114)


@pytest.mark.parametrize("text", ["Preprocess: |\n  x\n", "Preprocess:\n- type: WarpAffine\n", "a: 1\n"])
def test_steps_that_are_not_known_are_said_and_not_guessed(tmp_path, text):
    (tmp_path / "infer_cfg.yml").write_text(text)
    facts = facts_beside(tmp_path, model(["image", "scale_factor"]))
    assert facts.preprocess is None
    assert "infer_cfg.yml beside the model" in facts.notes[0]


def test_a_file_beside_the_model_of_another_maker_is_not_its_own(tmp_path):
    (tmp_path / "infer_cfg.yml").write_text(CONFIG.format(normalize=PLAIN))
    (tmp_path / "pipeline.json").write_text(pipeline({"type": "Resize", "size": [320, 640]}))
    assert facts_beside(tmp_path, model(["images"])) is None


def test_the_pixels_of_mmdeploy_are_those_of_its_pipeline(tmp_path):
    normalize = {"type": "Normalize", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "to_rgb": True}
    resize = {"type": "Resize", "keep_ratio": False, "size": [640, 320]}
    (tmp_path / "pipeline.json").write_text(pipeline(resize, normalize, after=[{"type": "Pad", "size_divisor": 32}]))
    facts = facts_beside(tmp_path, model(["input"]))
    assert facts.preprocess == Preprocess(
        640, 320, colour="rgb", scale=1.0, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
    )
    assert set(facts.origin.values()) == {"file pipeline.json"}


def test_rtmdet_takes_bgr_and_a_grey_border(tmp_path):
    resize = {"type": "Resize", "keep_ratio": True, "size": [640, 640]}
    pad = {"type": "Pad", "size": [640, 640], "pad_val": {"img": [114, 114, 114]}}
    normalize = {
        "type": "Normalize",
        "mean": [103.53, 116.28, 123.675],
        "std": [57.375, 57.12, 58.395],
        "to_rgb": False,
    }
    (tmp_path / "pipeline.json").write_text(pipeline(resize, pad, normalize))
    pre = facts_beside(tmp_path, model(["input"], (640, 640))).preprocess
    assert (pre.colour, pre.fit, pre.anchor, pre.pad_value) == ("bgr", "letterbox", "top-left", 114)
    assert pre.mean == (103.53, 116.28, 123.675)


def test_mmdeploy_says_the_width_before_the_height_where_the_graph_leaves_both_free(tmp_path):
    resize = {"type": "Resize", "keep_ratio": True, "size": [1333, 800]}
    (tmp_path / "pipeline.json").write_text(pipeline(resize))
    pre = facts_beside(tmp_path, model(["input"], ("height", "width"))).preprocess
    assert (pre.width, pre.height, pre.fit) == (1333, 800, "letterbox")


def test_mmyolos_pictures_lie_in_the_middle_of_their_border(tmp_path):
    resize = {"type": "LetterResize", "scale": [640, 320], "allow_scale_up": False, "pad_val": {"img": 114}}
    normalize = {"type": "Normalize", "mean": [0.0] * 3, "std": [255.0] * 3, "to_rgb": True}
    (tmp_path / "pipeline.json").write_text(pipeline(resize, normalize, after=[{"type": "Pad", "size_divisor": 1}]))
    pre = facts_beside(tmp_path, model(["input"], ("height", "width"))).preprocess
    assert pre == Preprocess(
        640, 320, fit="letterbox", anchor="center", interpolation="area", scale=1.0, std=(255.0,) * 3
    )


def test_a_letterbox_of_no_size_is_said(tmp_path):
    (tmp_path / "pipeline.json").write_text(pipeline({"type": "LetterResize"}))
    assert "LetterResize has no scale" in facts_beside(tmp_path, model(["input"])).notes[0]


def test_a_classifiers_picture_is_cut(tmp_path):
    resize = {"type": "Resize", "size": [256, -1]}
    cut = {"type": "CenterCrop", "crop_size": 224}
    (tmp_path / "pipeline.json").write_text(pipeline(resize, cut))
    pre = facts_beside(tmp_path, model(["input"], (224, 224))).preprocess
    assert (pre.fit, pre.resize_short, pre.width) == ("crop", 256, 224)


def test_a_step_that_mmdeploy_added_is_named(tmp_path):
    (tmp_path / "pipeline.json").write_text(pipeline({"type": "TopDownAffine", "image_size": [192, 256]}))
    facts = facts_beside(tmp_path, model(["input"]))
    assert facts.preprocess is None
    assert facts.notes == ("pipeline.json beside the model: the step 'TopDownAffine' is not known; its pixels were not "
                           "read there",)  # fmt: skip


def test_the_overlap_that_paddle_detection_suppresses_from_is_its_files_or_pp_yoloes(tmp_path):
    (tmp_path / "infer_cfg.yml").write_text(f"{CONFIG.format(normalize=PLUS)}  nms_threshold: 0.6\n")
    assert facts_beside(tmp_path, model(["image"])).thresholds == Thresholds(confidence=0.5, iou=0.6)


@pytest.mark.parametrize("transform", [{}, {"transform": None}])
def test_without_a_transform_in_its_file_anomalib_has_it_in_the_graph(tmp_path, transform):
    scores = {"image_threshold": 32.0, "pixel_threshold": 30.0, "min": 9.0, "max": 52.0}
    (tmp_path / "metadata.json").write_text(json.dumps({"task": "segmentation", **scores, **transform}))
    facts = facts_beside(tmp_path, model(["input"], out=("output", [1, 1, 320, 640])))
    assert facts.preprocess == Preprocess(640, 320)
    assert facts.origin["preprocess"] == "anomalib metadata.json"


def test_yaml_is_read_as_a_mapping_and_what_is_none_is_not(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("a: 1\nb:\n- x: 'it''s'\n  y:\n  - 1.5e-3\n  - true\n- - 1\n  - 2\nc: {d: &x [1], e: *x}\n")
    assert read_yaml(path) == {
        "a": 1, "b": [{"x": "it's", "y": [0.0015, True]}, [1, 2]], "c": {"d": [1], "e": [1]},
    }  # fmt: skip
    path.write_text("a: no\nb: 1:30\nc: '1'\nd: |\n  x\ne: !!python/object/apply:os.system [exit]\n")
    assert read_yaml(path) == {"a": "no", "b": "1:30", "c": "1", "d": "x\n", "e": ["exit"]}
    for text in ("- 1\n", "a\n", "a: 'b\n", "\x00", "", "{[1]: 2}", "a: 1\n--- \nb: 2\n"):
        path.write_text(text)
        assert read_yaml(path) is None


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 19)),
        "a: &a {b: 1}\n" + "".join(f"a{i}: &a{i} {{x: *a{i - 1 or ''}, y: *a{i - 1 or ''}}}\n" for i in range(1, 18)),
        "a: &a\n  <<: *a\n",
        "a: " + "[" * 500,
        "[" * 100_000,
        "a: [" + "x," * 60_000 + "]",
        "a: " + "x" * (1 << 20),
    ],
    ids=["aliases of aliases", "mappings of them", "an alias of itself", "deep", "very deep", "many", "long"],
)
def test_yaml_of_strangers_takes_neither_memory_nor_time(tmp_path, text):
    (tmp_path / "a.yml").write_text(text)
    assert read_yaml(tmp_path / "a.yml") is None

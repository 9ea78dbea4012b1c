"""Facts from config.json and preprocessor_config.json."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_export.model.metadata import facts_of_folder
from edge_export.state import KnownFacts
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import ModelError

VIT = {
    "architectures": ["ViTForImageClassification"],
    "model_type": "vit",
    "id2label": {"0": "ok", "1": "scratch", "2": "dent"},
}


def read(folder, config, processor=None):
    (folder / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return facts_of_folder(folder)


def preprocess(folder, processor, config=VIT):
    facts = read(folder, config, processor)
    assert facts.preprocess is not None
    return facts.preprocess


def test_a_vit_is_read(tmp_path):
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": 224, "width": 192},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 0.00392156862745098,
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
    }
    facts = read(tmp_path, VIT, processor)
    assert facts.preprocess == Preprocess(
        192, 224, interpolation="pil-bicubic", scale=0.00392156862745098, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)
    )
    assert facts.postprocess == Classify(output="logits", activation="softmax")
    assert facts.labels == ("ok", "scratch", "dent")
    assert facts.notes == ()


def test_several_labels_per_image_are_sigmoids(tmp_path):
    facts = read(tmp_path, {**VIT, "problem_type": "multi_label_classification"})
    assert facts.postprocess == Classify(output="logits", activation="sigmoid")


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"size": 224}, (224, 224, "stretch", 0)),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, (224, 224, "crop", 256)),
        ({"size": {"shortest_edge": 256}, "crop_size": 224, "do_center_crop": True}, (224, 224, "crop", 256)),
        ({"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}}, (224, 224, "crop", 256)),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.95},
            (224, 224, "crop", 235),
        ),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "crop_pct": 0.9},
            (384, 384, "stretch", 0),
        ),
        (
            {"image_processor_type": "LevitImageProcessor", "size": {"shortest_edge": 224}, "crop_size": 224},
            (224, 224, "crop", 256),
        ),
        ({"size": {"height": 256, "width": 256}, "crop_size": 224}, (224, 224, "crop", 256)),
        ({"size": {"shortest_edge": 800, "longest_edge": 1333}}, (800, 800, "stretch", 0)),
        ({"size": {"shortest_edge": 300}}, (300, 300, "crop", 300)),
    ],
)
def test_the_many_spellings_of_a_size(tmp_path, processor, expected):
    pre = preprocess(tmp_path, processor)
    assert (pre.width, pre.height, pre.fit, pre.resize_short) == expected


def test_a_detr_says_that_its_fixed_size_was_chosen(tmp_path):
    config = {
        "architectures": ["DetrForObjectDetection"],
        "model_type": "detr",
        "id2label": {"0": "N/A", "1": "person"},
    }
    facts = read(tmp_path, config, {"size": {"shortest_edge": 800, "longest_edge": 1333}})
    assert any("a fixed 800x800 was chosen" in note for note in facts.notes)
    assert facts.postprocess == Detect(
        format="boxes-scores",
        outputs=("pred_boxes", "logits"),
        box="cxcywh",
        normalized=True,
        activation="softmax",
        background="last",
        nms=False,
    )


def test_an_rt_detr_scores_with_sigmoids(tmp_path):
    config = {"architectures": ["RTDetrForObjectDetection"], "model_type": "rt_detr", "id2label": {"0": "a"}}
    post = read(tmp_path, config).postprocess
    assert isinstance(post, Detect)
    assert (post.activation, post.background) == ("sigmoid", "none")


@pytest.mark.parametrize(("first", "background"), [("background", 0), ("wall", -1)])
def test_a_segmenter_hides_only_a_class_that_is_called_background(tmp_path, first, background):
    config = {"architectures": ["SegformerForSemanticSegmentation"], "id2label": {"0": first, "1": "b"}}
    assert read(tmp_path, config).postprocess == Segment(output="logits", activation="softmax", background=background)


def test_steps_that_are_switched_off_do_nothing(tmp_path):
    processor = {"size": 8, "do_rescale": False, "do_normalize": False, "image_mean": [1, 2, 3], "image_std": [1, 1, 1]}
    pre = preprocess(tmp_path, processor)
    assert (pre.scale, pre.mean, pre.std) == (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_a_model_without_a_processor_has_no_pre_processing_and_says_so(tmp_path):
    facts = read(tmp_path, VIT)
    assert facts.preprocess is None
    assert any("preprocessor_config.json is missing" in note for note in facts.notes)


def test_the_two_labels_that_transformers_leaves_out_are_filled_in(tmp_path):
    assert read(tmp_path, {"architectures": ["ResNetForImageClassification"]}).labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_config_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"readable config\.json"):
        facts_of_folder(tmp_path)


odd = st.none() | st.booleans() | st.integers(-5, 99999) | st.floats() | st.text(max_size=5)
values = st.recursive(odd, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=3))
sizes = st.dictionaries(st.sampled_from(["height", "width", "shortest_edge", "longest_edge"]), odd) | values


@settings(max_examples=120)
@given(
    st.fixed_dictionaries({}, optional={"id2label": values, "architectures": values, "image_size": values}),
    st.fixed_dictionaries(
        {},
        optional={
            "size": sizes,
            "crop_size": sizes,
            "crop_pct": odd,
            "resample": values,
            "rescale_factor": odd,
            "image_mean": values,
            "image_std": values,
            "image_processor_type": st.sampled_from(["ConvNextImageProcessor", "LevitImageProcessor", "X"]),
            "do_center_crop": odd,
            "do_resize": odd,
        },
    ),
)
def test_odd_values_never_raise(tmp_path_factory, config, processor):
    folder = tmp_path_factory.getbasetemp()
    assert isinstance(read(folder, {**VIT, **config}, processor), KnownFacts)

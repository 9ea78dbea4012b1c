"""Rows of the table laid over models that differ a little from what is published, and judged by pictures."""

from __future__ import annotations

import pytest

from edge_export.model.families import FAMILIES, Shown, recognise
from edge_export.model.families.choose import named
from edge_export.model.families.loose import OTHER_NAMES
from edge_export.model.graph_io import ImageInput, Output
from edge_runtime.errors import UsageError

IMAGE = ImageInput("images", 320, 320, 3, "nchw", "float32")
FEATURES = Output("features", (1, 64, 20, 20))
NAMES = {"names": "...", "task": "detect", "end2end": "True"}


def shown(*outputs, labels=0, **properties):
    return Shown(IMAGE, outputs, properties, tuple(map(str, range(labels))) or None)


def readings(model):
    return {reading.family.name: reading for reading in recognise(model, FAMILIES).readings}


def test_an_output_more_is_left_alone_and_those_that_are_read_are_named():
    reading = readings(shown(FEATURES, Output("out", (1, 300, 6)), labels=3, **NAMES))["yolov10"]
    assert (reading.told, reading.postprocess.outputs) == ("ultralytics metadata", ("out",))


def test_an_output_more_that_could_be_the_one_that_is_read_leaves_it_open():
    two = shown(Output("a", (1, 300, 6)), Output("b", (1, 300, 6)), labels=3, **NAMES)
    assert "yolov10" not in readings(two)


def test_scores_of_the_picture_beside_scores_of_its_pixels_tell_nothing():
    assert not readings(shown(Output("a", (1, 5)), Output("b", (1, 4))))
    both = shown(Output("a", (1, 5), "Softmax"), Output("b", (1, 4, 320, 320), "Softmax"))
    assert not readings(both)


def test_outputs_of_other_names_are_told_by_their_shapes_and_nothing_tells_their_pixels():
    renamed = shown(Output("tensor_0", (1, 100, 5)), Output("tensor_1", (1, 100), kind="i"))
    reading = readings(renamed)["mmdeploy"]
    assert reading.match.names == ("tensor_0", "tensor_1")
    assert reading.unsure
    queries = readings(shown(Output("tensor_0", (1, 300, 80)), Output("tensor_1", (1, 300, 4))))
    assert queries["rtdetr-hf"].postprocess.outputs == ("tensor_1", "tensor_0")
    assert queries["rtdetr-hf"].unsure.startswith(OTHER_NAMES)


def test_outputs_that_could_change_places_are_not_told_by_shapes():
    assert "rtdetr-hf" not in readings(shown(Output("tensor_0", (1, 300, 4)), Output("tensor_1", (1, 300, 4))))


def test_finished_boxes_may_lack_the_batch_dimension():
    assert readings(shown(Output("out", (300, 6)), labels=3, **NAMES))["yolov10"].told
    assert "yolov8" not in readings(shown(Output("out", (7, 2100)), labels=3, names="...", task="detect"))


def test_a_published_layout_is_not_read_loosely():
    names = set(readings(shown(Output("logits", (1, 300, 80)), Output("pred_boxes", (1, 300, 4)))))
    assert names == {"detr", "rtdetr-hf"}


def test_a_family_that_is_named_may_have_other_names_of_outputs():
    renamed = shown(Output("tensor_0", (1, 300, 80)), Output("tensor_1", (1, 300, 4)))
    assert named("rtdetr-hf", renamed, FAMILIES).unsure == ""
    with pytest.raises(UsageError, match="--family mmdeploy"):
        named("mmdeploy", renamed, FAMILIES)

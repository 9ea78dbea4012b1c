"""Classes of a picture and of its pixels, and anomalies, in the forms that exporters write."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Segment
from edge_runtime.errors import EngineError
from edge_runtime.files.schema import needs_of, to_json
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.settings import Settings

SIDE = 32
PLACE = Placement(SIDE, SIDE, SIDE, SIDE, 1.0, 1.0, 0.0, 0.0)
ANY = VerdictRule("any")


def read(spec, outputs, labels=(), rule=ANY, **asked):
    arrays = {name: np.asarray(array) for name, array in outputs.items()}
    facts = ModelFacts(
        (TensorSpec("x", "float32", (1, 3, SIDE, SIDE)),),
        tuple(
            TensorSpec(name, str(np.asarray(array).dtype), np.asarray(array).shape) for name, array in outputs.items()
        ),
        None,
        spec,
        labels,
        Thresholds(0.5),
        rule,
    )
    return interpret(facts, arrays, [PLACE], Settings.of(facts, **asked))[0]


def planes(*values, low=0.1):
    """[1, C, H, W]: channel k has values[k] in a square of its own, `low` elsewhere."""
    maps = np.full((1, len(values), SIDE, SIDE), low, np.float32)
    for channel, value in enumerate(values):
        maps[0, channel, 4 : 4 + 8, 4 * channel : 4 * channel + 8] = value
    return maps


def regions(result):
    return sorted(
        (one.name, round(one.confidence, 3), (one.box.x1, one.box.y1, one.box.x2, one.box.y2))
        for one in result.predictions
    )


@pytest.mark.parametrize(
    ("scores", "verdict", "reasons"),
    [((0.9, 0.1), "OK", ()), ((0.9, 0.8), "NG", ("dent",)), ((0.2, 0.8), "NG", ("dent",))],
)
def test_of_several_labels_each_counts_and_not_the_best_alone(scores, verdict, reasons):
    rule = VerdictRule("class", ok_classes=("good",))
    result = read(Classify(activation="none", multilabel=True), {"y": np.float32([scores])}, ("good", "dent"), rule)
    assert (result.verdict, result.reasons) == (verdict, reasons)


def test_an_image_that_has_none_of_several_properties_is_good():
    spec = Classify(activation="none", multilabel=True)
    rule = VerdictRule("any", classes=("dent",))
    assert read(spec, {"y": np.float32([[0.1, 0.2]])}, ("scratch", "dent"), rule).verdict == "OK"
    one_of_them = Classify(activation="none")
    assert read(one_of_them, {"y": np.float32([[0.3, 0.2]])}, ("scratch", "dent"), rule).verdict == "NO_READ"


def test_a_single_channel_is_split_at_its_threshold():
    maps = planes(0.4)
    assert read(Segment(), {"y": maps}).verdict == "OK"
    result = read(Segment(threshold=0.3), {"y": maps}, ("text",), VerdictRule("none"))
    assert np.array_equal(result.mask, (maps[0, 0] > 0.3).astype(np.uint8))
    logits = np.log(maps / (1 - maps))
    again = read(Segment(threshold=0.3, activation="sigmoid"), {"y": logits}, ("text",), VerdictRule("none"))
    assert np.array_equal(again.mask, result.mask)


def test_masks_of_classes_that_overlap_are_each_found_the_first_too():
    spec = Segment(activation="none", multilabel=True, background=-1)
    result = read(spec, {"y": planes(0.9, 0.8, 0.3)}, ("scratch", "dent", "hole"))
    assert regions(result) == [("dent", 0.8, (4, 4, 12, 12)), ("scratch", 0.9, (0, 4, 8, 12))]
    assert result.verdict == "NG"
    assert np.count_nonzero(result.mask == 0) == 64  # the better of both where they overlap
    assert np.count_nonzero(result.mask == 1) == 32  # and the other half of the second
    assert read(spec, {"y": planes(0.2, 0.2, 0.2)}, ("scratch", "dent", "hole")).verdict == "OK"


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.int32])
@pytest.mark.parametrize("axis", ["channels-first", "channels-last", "none"])
def test_class_indices_are_read_of_whatever_type_and_shape(dtype, axis):
    cells = np.zeros((1, SIDE, SIDE), dtype)
    cells[0, 4:12, 8:20] = 2
    if axis != "none":
        cells = np.expand_dims(cells, 1 if axis == "channels-first" else 3)
    spec = Segment(indices=axis != "none", axis="channels-first" if axis == "none" else axis)
    result = read(spec, {"y": cells}, ("background", "scratch", "dent"))
    assert regions(result) == [("dent", 1.0, (8, 4, 20, 12))]


def test_scores_are_no_indices():
    with pytest.raises(EngineError, match="class indices"):
        read(Segment(indices=True), {"y": planes(0.4)})


def test_a_score_without_a_map_is_judged():
    spec = Anomaly(map_output="pred_score", score_output="pred_score")
    rule = VerdictRule("score")
    for score, verdict in ((0.7, "NG"), (0.5, "NG"), (0.49, "OK")):
        result = read(spec, {"pred_score": np.float32([[score]])}, (), rule)
        assert (result.verdict, result.mask) == (verdict, None)
        assert result.score == pytest.approx(score)


def test_a_map_may_have_a_threshold_of_its_own():
    spec = Anomaly("anomaly", "map", "score", True, 0.0, 40.0, 20.0, map_threshold=30.0, map_span=20.0)
    maps = planes(31.0, low=10.0)
    result = read(spec, {"map": maps, "score": np.float32([31.0])}, (), VerdictRule("score"))
    assert result.score == pytest.approx(11 / 40 + 0.5)
    assert regions(result) == [("anomaly", 0.55, (0, 4, 8, 12))]


def test_a_map_with_a_threshold_of_its_own_gives_the_score_by_that_of_scores():
    spec = Anomaly("anomaly", "map", "", True, 0.0, 40.0, 20.0, map_threshold=30.0, map_span=20.0)
    result = read(spec, {"map": planes(31.0, low=10.0)}, (), VerdictRule("score"))
    assert result.score == pytest.approx(11 / 40 + 0.5)
    assert regions(result) == [("anomaly", 0.55, (0, 4, 8, 12))]


@pytest.mark.parametrize(
    ("spec", "need"),
    [
        (Classify(activation="none", multilabel=True), "multi-label classifiers"),
        (Segment(threshold=0.3), "mask thresholds"),
        (Segment(multilabel=True, background=-1), "overlapping classes"),
        (Segment(indices=True), "class indices"),
        (Anomaly(normalize=True, map_threshold=3.0), "map normalization"),
    ],
)
def test_what_older_devices_would_misread_is_said(spec, need):
    assert needs_of(spec) == (need,)
    assert needs_of(type(spec)()) == ()
    assert not {"threshold", "multilabel", "indices", "map_threshold", "map_span"} & set(to_json(type(spec)()))


def test_everything_is_reported_where_that_is_asked_for():
    scores = {"y": np.float32([[0.1, 0.6, 0.3]])}
    spec = Classify(activation="none", top_k=1)
    assert [one.confidence for one in read(spec, scores).predictions] == pytest.approx([0.6])
    all_of_them = read(spec, scores, everything=True)
    assert [one.confidence for one in all_of_them.predictions] == pytest.approx([0.6, 0.3, 0.1])
    assert Settings(max_det=3).max_det < read_settings(everything=True).max_det


def test_smaller_regions_are_seen_where_that_is_asked_for():
    maps = np.full((1, 1, SIDE, SIDE), 0.1, np.float32)
    maps[0, 0, 3, 5] = 0.9
    for spec in (Segment(min_area=0.01), Anomaly(min_area=0.01)):
        assert read(spec, {"y": maps}).predictions == ()
        (speck,) = read(spec, {"y": maps}, min_area=0.0).predictions
        assert (speck.box.x1, speck.box.y1) == (5, 3)
        assert read(spec, {"y": maps}, confidence=0.95, min_area=0.0).predictions == ()


def read_settings(**asked):
    facts = ModelFacts((), (), None, Classify(), (), Thresholds(0.5), ANY)
    return Settings.of(facts, **asked)

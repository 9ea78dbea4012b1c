"""Tasks that speak of the whole image or of each pixel: classify, segment, anomaly, raw; and the settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.bundle.facts import ModelFacts, TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Raw, Segment
from edge_runtime.errors import BundleError, EngineError, UsageError
from edge_runtime.results import Box, Result
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess import interpret
from edge_runtime.vision.postprocess.window import MOST_REGIONS, Window
from edge_runtime.vision.settings import Settings

WHOLE = Placement(40, 20, 40, 20, 1.0, 1.0, 0.0, 0.0)
# 40x20 pixels in the middle of a 40x40 input: 10 rows of padding above and below
LETTERBOX = Placement(40, 20, 40, 40, 1.0, 1.0, 0.0, 10.0)
# the middle 20x20 of 40x20 pixels
CROP = Placement(40, 20, 20, 20, 1.0, 1.0, -10.0, 0.0)


def facts_of(
    spec: Postprocess,
    outputs: int = 1,
    labels: tuple[str, ...] = (),
    verdict: VerdictRule | None = None,
    confidence: float = 0.5,
) -> ModelFacts:
    return ModelFacts(
        inputs=(),
        outputs=tuple(TensorSpec(f"out{i}", "float32", ("N",)) for i in range(outputs)),
        preprocess=None,
        postprocess=spec,
        labels=labels,
        thresholds=Thresholds(confidence),
        verdict=verdict or VerdictRule(),
    )


def look(facts: ModelFacts, *outputs: Any, place: Placement = WHOLE, **overrides: Any) -> Result:
    named = {f"out{i}": np.asarray(array) for i, array in enumerate(outputs)}
    return interpret(facts, named, [place], Settings.of(facts, **overrides))[0]


def f32(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


GOOD_BAD = facts_of(Classify(), labels=("bad", "good"), verdict=VerdictRule("class", ok_classes=("good",)))


def test_classes_are_ranked_by_softmax() -> None:
    result = look(GOOD_BAD, f32([[0.0, np.log(4.0)]]))
    assert [p.name for p in result.predictions] == ["good", "bad"]
    assert [p.confidence for p in result.predictions] == pytest.approx([0.8, 0.2])
    assert result.verdict == "OK"
    assert look(GOOD_BAD, f32([[np.log(4.0), 0.0]])).reasons == ("bad",)


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 1, 1), (1, 1, 1, 2), (2,)])
def test_dimensions_of_one_are_squeezed(shape: tuple[int, ...]) -> None:
    assert look(GOOD_BAD, f32([0.0, 5.0]).reshape(shape)).predictions[0].name == "good"


def test_top_k_classes_are_reported_however_unlikely() -> None:
    facts = facts_of(Classify(activation="none", top_k=3))
    result = look(facts, f32([[0.1, 0.3, 0.1, 0.2, 0.3]]))
    assert [p.class_id for p in result.predictions] == [1, 4, 3]
    assert result.verdict == "NO_READ"


def test_leading_scores_that_mean_nothing_shift_the_classes() -> None:
    facts = facts_of(Classify(activation="none", first_class=1, top_k=2), labels=("cat", "dog"))
    result = look(facts, f32([[0.7, 0.1, 0.2]]))
    assert [(p.name, p.class_id) for p in result.predictions] == [("dog", 1), ("cat", 0)]


def test_a_filter_on_classes_does_not_turn_the_verdict() -> None:
    result = look(GOOD_BAD, f32([[3.0, 0.0]]), classes=["good"])
    assert [p.name for p in result.predictions] == ["good"]
    assert (result.verdict, result.reasons) == ("NG", ("bad",))


def test_every_likely_property_counts_for_the_verdict_beyond_top_k() -> None:
    spec = Classify(activation="sigmoid", top_k=1)
    facts = facts_of(spec, labels=("a", "b", "c"), verdict=VerdictRule("any", classes=("c",)))
    assert look(facts, f32([[9.0, 8.0, 7.0]])).reasons == ("c x1",)
    assert look(facts, f32([[-9.0, -8.0, -7.0]])).verdict == "OK"


def test_byte_scores_are_probabilities_of_tensorflow_lite() -> None:
    facts = facts_of(Classify(activation="none"))
    expected = pytest.approx([192 / 256, 64 / 256])
    unsigned = look(facts, np.array([[64, 192]], np.uint8))
    signed = look(facts, np.array([[-64, 64]], np.int8))
    assert [p.confidence for p in unsigned.predictions] == expected
    assert [p.confidence for p in signed.predictions] == expected


@pytest.mark.parametrize(
    "scores",
    [f32([[np.nan, 1.0]]), f32([[np.inf, 1.0]]), f32([[[0.1, 0.2], [0.3, 0.4]]]), np.array([["a", "b"]]), f32([[]])],
)
def test_scores_that_cannot_be_read_are_an_error(scores: Any) -> None:
    with pytest.raises(EngineError):
        look(GOOD_BAD, scores)


def test_logits_without_an_activation_are_an_error() -> None:
    with pytest.raises(EngineError, match="--activation"):
        look(facts_of(Classify(activation="none")), f32([[12.0, -3.0]]))


def scores_with_square(place: Placement) -> NDArray[np.float32]:
    """[1, 3, H, W]: class 0, but class 2 at 0.8 in the square 12..18 x 14..19 of the input."""
    scores = np.zeros((1, 3, place.input_height, place.input_width), np.float32)
    scores[0, 0] = 0.9
    scores[0, :, 14:19, 12:18] = f32([0.1, 0.1, 0.8])[:, None, None]
    return scores


SEGMENT = facts_of(Segment(), labels=("board", "scratch", "hole"), verdict=VerdictRule("any"))


@pytest.mark.parametrize(
    ("place", "box"),
    [(WHOLE, Box(12, 14, 18, 19)), (LETTERBOX, Box(12, 4, 18, 9)), (CROP, Box(22, 14, 28, 19))],
)
def test_a_region_is_found_where_it_is_in_the_original(place: Placement, box: Box) -> None:
    result = look(SEGMENT, scores_with_square(place), place=place)
    (hole,) = result.predictions
    assert (hole.name, hole.class_id, hole.box) == ("hole", 2, box)
    assert hole.confidence == pytest.approx(0.8)
    assert hole.area == pytest.approx(30 / 800)
    assert result.reasons == ("hole x1",)
    expected = np.zeros((20, 40), np.uint8)
    expected[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)] = 2
    assert result.mask is not None
    np.testing.assert_array_equal(result.mask, expected)


def test_channels_may_come_last_and_logits_be_activated() -> None:
    logits = np.log(scores_with_square(WHOLE).transpose(0, 2, 3, 1) + 1e-9)
    spec = Segment(axis="channels-last", activation="softmax")
    (hole,) = look(facts_of(spec, labels=("board", "scratch", "hole")), logits).predictions
    assert hole.confidence == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32])
def test_class_indices_are_read_as_they_are(dtype: Any) -> None:
    indices = scores_with_square(WHOLE).argmax(axis=1).astype(dtype)
    (hole,) = look(SEGMENT, indices).predictions
    assert (hole.name, hole.confidence) == ("hole", 1.0)


def test_one_channel_tells_foreground_from_background() -> None:
    facts = facts_of(Segment(activation="sigmoid"), labels=("crack",))
    logits = np.where(scores_with_square(WHOLE)[:, 2:] > 0.5, 2.0, -2.0).astype(np.float32)
    (crack,) = look(facts, logits).predictions
    assert (crack.name, crack.class_id) == ("crack", 1)
    assert crack.confidence == pytest.approx(1 / (1 + np.exp(-2)))


def test_separate_regions_are_reported_apart_and_specks_not_at_all() -> None:
    indices = np.zeros((1, 20, 40), np.int64)
    indices[0, 1:5, 1:5] = indices[0, 10:18, 30:38] = 1
    indices[0, 8, 20] = 2
    facts = facts_of(Segment(min_area=0.01), labels=("board", "scratch", "hole"))
    result = look(facts, indices)
    assert [(p.name, p.area) for p in result.predictions] == [("scratch", 0.08), ("scratch", 0.02)]


def test_every_class_is_reported_without_a_background() -> None:
    result = look(facts_of(Segment(background=-1)), scores_with_square(CROP), place=CROP)
    assert {p.class_id for p in result.predictions} == {0, 2}
    assert result.mask is not None
    assert (result.mask[:, :10] == 255).all()  # cut away by the crop: no class


@pytest.mark.parametrize("value", [-1, 255, 300, 0.5])
def test_what_is_no_class_index_is_an_error(value: float) -> None:
    with pytest.raises(EngineError, match="class indices"):
        look(SEGMENT, np.full((1, 4, 4), value, np.float32))


@pytest.mark.parametrize("empty", [np.zeros((1, 3, 0, 4), np.float32), np.zeros((1, 0, 4), np.int64)])
def test_an_empty_map_is_an_error(empty: NDArray[Any]) -> None:
    with pytest.raises(EngineError, match="expected"):
        look(SEGMENT, empty)


def test_a_segmentation_with_nan_is_an_error() -> None:
    scores = scores_with_square(WHOLE)
    scores[0, 1, 3, 3] = np.nan
    with pytest.raises(EngineError, match="NaN"):
        look(SEGMENT, scores)


ANOMALY = facts_of(Anomaly(), labels=("normal", "anomalous"), verdict=VerdictRule("score"))


def heat_with_spot(place: Placement) -> NDArray[np.float32]:
    heat = np.full((1, 1, place.input_height, place.input_width), 0.1, np.float32)
    heat[0, 0, 14:19, 12:18] = 0.75
    return heat


def test_an_anomaly_is_scored_and_boxed() -> None:
    result = look(ANOMALY, heat_with_spot(LETTERBOX), place=LETTERBOX)
    (spot,) = result.predictions
    assert (spot.name, spot.box, spot.confidence) == ("anomalous", Box(12, 4, 18, 9), 0.75)
    assert spot.area == pytest.approx(30 / 800)
    assert result.score == 0.75
    assert (result.verdict, result.reasons) == ("NG", ("anomaly score 0.75 >= 0.50",))
    assert result.mask is not None
    assert result.mask.shape == (20, 40)
    assert (result.mask[6, 15], result.mask[0, 0]) == (191, 26)


def test_heat_in_the_padding_does_not_count() -> None:
    heat = heat_with_spot(LETTERBOX)
    heat[0, 0, :10] = 1.0
    assert look(ANOMALY, heat, place=LETTERBOX).score == 0.75


def test_a_crops_border_has_no_heat() -> None:
    mask = look(ANOMALY, np.ones((1, 20, 20), np.float32), place=CROP).mask
    assert mask is not None
    assert (mask[:, 10:30] == 255).all()
    assert (mask[:, :10] == 0).all()
    assert (mask[:, 30:] == 0).all()


def test_raw_scores_are_normalised_around_their_threshold() -> None:
    spec = Anomaly(score_output="out1", normalize=True, minimum=10.0, maximum=30.0, raw_threshold=20.0)
    result = look(facts_of(spec, 2), 30 * heat_with_spot(WHOLE), f32([24.0]))
    assert result.score == pytest.approx(0.7)
    assert result.predictions[0].confidence == pytest.approx((22.5 - 20) / 20 + 0.5)
    assert result.predictions[0].name == "anomaly"


def test_an_anomaly_map_that_cannot_be_read_is_an_error() -> None:
    for heat in (f32([[[np.nan]]]), f32([[[7.0]]]), f32(np.zeros((1, 3, 4, 4)))):
        with pytest.raises(EngineError):
            look(ANOMALY, heat)


def test_raw_tensors_are_copied_out_and_never_judged() -> None:
    facts = facts_of(Raw(), 2, verdict=VerdictRule("any"))
    outputs = {"out0": np.arange(6.0).reshape(2, 3), "out1": np.array([[7], [8]])}
    first, second = interpret(facts, outputs, [WHOLE, WHOLE], Settings.of(facts))
    outputs["out0"][:] = -1  # the engine reuses its buffers
    assert first.tensors["out0"].tolist() == [0, 1, 2]
    assert second.tensors["out1"].tolist() == [8]
    assert first.verdict == "NO_READ"


@settings(max_examples=60)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    shift=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    scale=st.floats(0.05, 3.0),
    cells=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_maps_of_any_size_fit_any_image(
    width: int, height: int, shift: tuple[int, int], scale: float, cells: tuple[int, int]
) -> None:
    place = Placement(width, height, 64, 64, scale, scale, float(shift[0]), float(shift[1]))
    window = Window(place, *cells)
    chosen = np.ones(cells, np.bool_)[window.cells]
    assert chosen.size
    assert window.nearest(np.ones(cells, np.uint8), 9).shape == (height, width)
    assert window.smooth(np.ones(cells, np.uint8)).shape == (height, width)
    (region,) = window.regions(chosen, 0.0)
    assert region.inside.all()
    assert 0 <= region.box.x1 <= region.box.x2 <= width
    assert 0 <= region.box.y1 <= region.box.y2 <= height
    assert 0 < region.area <= 1


def test_settings_come_from_the_manifest_unless_given() -> None:
    facts = facts_of(Detect(max_det=7), labels=("open", "short"), confidence=0.3)
    assert Settings.of(facts) == Settings(0.3, 0.45, 7, ())
    given = Settings.of(facts, confidence=0.1, iou=0.2, max_det=3, classes=["short", "0", 1])
    assert given == Settings(0.1, 0.2, 3, (0, 1))


@pytest.mark.parametrize(
    ("flag", "value"),
    [("confidence", 1.5), ("iou", -0.1), ("max_det", 0), ("classes", ["opne"]), ("classes", [2]), ("classes", [-1])],
)
def test_settings_that_cannot_be_used_are_refused(flag: str, value: Any) -> None:
    facts = facts_of(Detect(), labels=("open", "short"))
    with pytest.raises(UsageError, match="--"):
        Settings.of(facts, **{flag: value})


def test_classes_of_an_unlabelled_model_are_numbers() -> None:
    assert Settings.of(facts_of(Detect()), classes=["70"]).classes == (70,)
    with pytest.raises(UsageError, match="cat"):
        Settings.of(facts_of(Detect()), classes=["cat"])


def test_a_verdict_about_an_unknown_class_is_refused_before_the_first_frame() -> None:
    facts = facts_of(Detect(), labels=("open",), verdict=VerdictRule("any", classes=("opne",)))
    with pytest.raises(BundleError, match="opne"):
        Settings.of(facts)


def test_an_anomaly_range_without_extent_is_refused() -> None:
    with pytest.raises(ValueError, match="maximum must be above minimum"):
        Anomaly(normalize=True, minimum=3.0, maximum=3.0)
    Anomaly(minimum=3.0, maximum=3.0)  # not used


@pytest.mark.parametrize("limits", [(0.0, 1e-300), (-1e300, 1e300)])
def test_an_anomaly_range_that_float32_cannot_hold_is_an_error(limits: tuple[float, float]) -> None:
    spec = Anomaly(normalize=True, minimum=limits[0], maximum=limits[1], raw_threshold=1e300)
    with pytest.raises(EngineError, match="NaN or infinity"):
        look(facts_of(spec), heat_with_spot(WHOLE))


def test_an_anomaly_rule_names_what_the_model_reports() -> None:
    rule = VerdictRule("any", classes=("anomaly",))
    assert look(facts_of(Anomaly(), verdict=rule), heat_with_spot(WHOLE)).reasons == ("anomaly x1",)
    never = facts_of(Anomaly(), labels=("normal", "anomalous"), verdict=VerdictRule("any", classes=("normal",)))
    with pytest.raises(BundleError, match="normal"):
        Settings.of(never)


def three_holes_and_a_scratch() -> NDArray[np.int64]:
    indices = np.zeros((1, 20, 40), np.int64)
    indices[0, 0:3, 0:3] = indices[0, 5:9, 5:9] = indices[0, 10:15, 10:15] = 2
    indices[0, 16:18, 30:32] = 1
    return indices


@pytest.mark.parametrize("limits", [{"classes": ["hole"]}, {"max_det": 1}])
def test_limits_on_reported_regions_do_not_turn_the_verdict(limits: dict[str, Any]) -> None:
    rule = VerdictRule("any", classes=("scratch",))
    facts = facts_of(Segment(), labels=("board", "scratch", "hole"), verdict=rule)
    result = look(facts, three_holes_and_a_scratch(), **limits)
    assert {p.name for p in result.predictions} == {"hole"}
    assert (result.verdict, result.reasons) == ("NG", ("scratch x1",))


def test_a_limit_on_anomalous_regions_does_not_change_the_verdict() -> None:
    heat = f32(np.where(three_holes_and_a_scratch(), 0.9, 0.1))
    result = look(facts_of(Anomaly(), verdict=VerdictRule("any")), heat, max_det=1)
    assert len(result.predictions) == 1
    assert result.reasons == ("anomaly x4",)


def test_anomalous_specks_below_the_least_area_are_left_out() -> None:
    heat = f32(np.where(three_holes_and_a_scratch(), 0.9, 0.1))
    assert len(look(facts_of(Anomaly(min_area=9 / 800)), heat).predictions) == 3


def test_a_noisy_map_gives_the_largest_regions_one_at_a_time() -> None:
    chosen = np.zeros((200, 200), np.bool_)
    chosen[::2, ::2] = True  # 10,000 specks
    chosen[100:110, 100:120] = True
    window = Window(Placement(200, 200, 200, 200, 1.0, 1.0, 0.0, 0.0), 200, 200)
    regions = window.regions(chosen, 0.0)
    assert iter(regions) is regions
    found = list(regions)
    assert len(found) == MOST_REGIONS
    assert found[0].inside.sum() >= 200
    assert all(region.inside.size <= 300 for region in found)
    assert [region.area for region in found] == sorted((region.area for region in found), reverse=True)


def test_leading_scores_that_mean_nothing_leave_a_class() -> None:
    facts = facts_of(Classify(activation="sigmoid", first_class=2), verdict=VerdictRule("any"))
    with pytest.raises(EngineError, match="first_class"):
        look(facts, f32([[0.1, 0.3]]))

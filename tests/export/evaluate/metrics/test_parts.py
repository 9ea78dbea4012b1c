"""Masks, key points and turned boxes: against pycocotools' and shapely's frozen numbers, and worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from part_scenes import Scene, mask_scene, point_scene, tally_of

from edge_export.evaluate.data import BoxTruth, ClassMap
from edge_export.evaluate.data.outlines import Polygons
from edge_export.evaluate.data.truth import Part
from edge_export.evaluate.metrics import ones
from edge_export.evaluate.metrics.answers import BoxFidelity
from edge_export.evaluate.metrics.masks import mask_overlaps, unlike_pixels
from edge_export.evaluate.metrics.measure import Measure
from edge_export.evaluate.metrics.objects import BoxTally
from edge_export.evaluate.metrics.oriented import oriented_overlaps
from edge_export.evaluate.metrics.parts import alike, parts_of, seen_targets
from edge_export.evaluate.metrics.points import point_sigmas, similarities
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Masks, Points
from edge_runtime.errors import DataError
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result


def figures(measures: tuple[Measure, ...], images: int) -> dict[str, float]:
    return {measure.metric: measure.statistic(ones(images)) for measure in measures}


@pytest.mark.parametrize(
    ("part", "scene", "mean", "at_half", "classes"),
    [
        # COCOeval.stats[:2] and the AP of each class at 0.5 of pycocotools 2.0.11 on these very scenes.
        (
            "masks",
            mask_scene(),
            0.4040704070407041,
            0.5286028602860285,
            [0.6905940594059405, 0.6179867986798679, 0.2772277227722773],
        ),
        (
            "points",
            point_scene(),
            0.27373958927983894,
            0.3797740281274504,
            [0.3237280249764106, 0.356023102310231, 0.4595709570957096],
        ),
    ],
)
def test_mean_average_precision_of_parts_equals_pycocotools(
    part: Part, scene: Scene, mean: float, at_half: float, classes: list[float]
) -> None:
    measures = tally_of(part, scene).measures()
    half, all_levels = measures[:2]
    assert (half.metric, all_levels.metric) == {
        "masks": ("mask_map50", "mask_map50-95"),
        "points": ("oks_map50", "oks_map50-95"),
    }[part]
    weights = ones(len(scene))
    found = [half.statistic(weights), all_levels.statistic(weights), *half.detail.values()]
    difference = np.abs(np.array(found) - [at_half, mean, *classes]).max()
    assert difference < 1e-12, f"largest difference {difference}"


def test_turned_boxes_overlap_as_shapely_says() -> None:
    boxes = (
        OrientedBox(50, 40, 60, 20, 0.3),
        OrientedBox(45, 42, 50, 30, -0.4),
        OrientedBox(52, 40, 60, 20, 0.3 + math.pi),
        OrientedBox(50, 40, 20, 20, math.pi / 4),
        OrientedBox(120, 40, 20, 20, 0),
    )
    corners = np.array([box.corners() for box in boxes])
    expected = [
        [1.0, 0.45290599022, 0.885982015196, 0.300957658195, 0.0],
        [0.45290599022, 1.0, 0.43982042199, 0.266666666667, 0.0],
        [0.885982015196, 0.43982042199, 1.0, 0.300062826653, 0.0],
        [0.300957658195, 0.266666666667, 0.300062826653, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ]
    assert oriented_overlaps(corners, corners) == pytest.approx(np.array(expected), abs=1e-11)
    assert oriented_overlaps(corners, corners[:, ::-1]) == pytest.approx(np.array(expected), abs=1e-11)


def test_a_square_turned_by_45_degrees_is_another_one_for_fidelity() -> None:
    square, turned = OrientedBox(50, 50, 20, 20, 0), OrientedBox(50, 50, 20, 20, math.pi / 4)
    assert fidelity("oriented", [oriented(square)], [oriented(turned)]) == {"box_f1": 1.0, "oriented_f1": 0.0}
    half_turn = OrientedBox(50, 50, 20, 20, math.pi)
    assert fidelity("oriented", [oriented(square)], [oriented(half_turn)]) == {"box_f1": 1.0, "oriented_f1": 1.0}


def test_masks_that_lie_apart_or_are_empty_do_not_overlap() -> None:
    one, none = Mask(2, 3, np.ones((4, 5), np.bool_)), Mask(0, 0, np.zeros((0, 0), np.bool_))
    shifted, far = Mask(4, 3, np.ones((4, 5), np.bool_)), Mask(20, 3, np.ones((4, 5), np.bool_))
    found = mask_overlaps([one, none], [one, shifted, far, none], np.zeros(4, np.bool_))
    assert found.tolist() == [[1.0, 12 / 28, 0.0, 0.0], [0.0] * 4]
    assert mask_overlaps([one], [shifted], np.ones(1, np.bool_)).tolist() == [[12 / 20]]
    unlike = unlike_pixels(one, shifted, 10, 10)
    assert unlike.sum() == 16
    assert not unlike[3:7, 4:7].any()


def test_sigmas_are_cocos_for_a_person_and_even_for_anything_else() -> None:
    assert point_sigmas(17)[[0, 11]] == pytest.approx([0.026, 0.107])
    assert point_sigmas(4).tolist() == [0.25] * 4


def test_points_of_a_known_error_have_the_similarity_of_the_formula() -> None:
    points = np.array([[[10.0, 10, 2], [20, 20, 1], [0, 0, 0]]])
    found = np.array([[[13.0, 14], [20, 20], [500, 500]]])
    area = 400.0
    expected = (math.exp(-25 / (2 * area * (2 / 3) ** 2)) + 1) / 2
    measured = similarities(found, points, np.array([[0.0, 0, 30, 30]]), np.array([area]))
    assert measured.tolist() == [[pytest.approx(expected)]]


def oriented(box: OrientedBox, score: float = 0.9) -> Prediction:
    xs, ys = zip(*box.corners(), strict=True)
    return Prediction("a", 0, score, Box(min(xs), min(ys), max(xs), max(ys)), oriented=box)


def posed(*places: tuple[float, float, float]) -> Prediction:
    return Prediction("a", 0, 0.9, Box(0, 0, 100, 100), points=tuple(Point(*place) for place in places))


def masked(mask: Mask | None) -> Prediction:
    return Prediction("a", 0, 0.9, Box(0, 0, 20, 20), mask=mask)


def fidelity(part: Part, before: list[Prediction], after: list[Prediction]) -> dict[str, float]:
    tally = BoxFidelity(0.25, (part,))
    tally.see(Result("OK", (), tuple(before)), Result("OK", (), tuple(after)))
    return figures(tally.measures(), 1)


def test_fidelity_sees_a_mask_that_shrank_in_a_box_that_stayed() -> None:
    whole, part = Mask(0, 0, np.ones((20, 20), np.bool_)), Mask(0, 0, np.ones((20, 14), np.bool_))
    assert fidelity("masks", [masked(whole)], [masked(part)]) == {"box_f1": 1.0, "mask_f1": 0.0}
    assert fidelity("masks", [masked(whole)], [masked(whole)]) == {"box_f1": 1.0, "mask_f1": 1.0}
    assert fidelity("masks", [masked(whole)], [masked(None)])["mask_f1"] == 0.0


def test_fidelity_compares_the_points_that_fp32_is_sure_of() -> None:
    before = posed((10, 10, 0.9), (50, 50, 0.9), (90, 90, 0.1))
    assert fidelity("points", [before], [posed((11, 10, 0.9), (50, 51, 0.9), (5, 5, 0.1))])["points_f1"] == 1.0
    assert fidelity("points", [before], [posed((90, 90, 0.9), (5, 90, 0.9), (90, 90, 0.1))])["points_f1"] == 0.0
    assert fidelity("points", [before], [posed()]) == {"box_f1": 1.0, "points_f1": 0.0}


def test_fidelity_without_any_object_is_not_defined() -> None:
    assert math.isnan(fidelity("points", [], [])["points_f1"])
    assert fidelity("points", [], [posed((1, 1, 1))])["points_f1"] == 0.0


def test_another_number_of_points_than_labelled_is_an_error() -> None:
    with pytest.raises(DataError, match="2 key points for each object, the model 3"):
        alike("points", [posed((1, 1, 1), (2, 2, 1), (3, 3, 1))], seen_targets("points", [posed((1, 1, 1), (2, 2, 1))]))


def truth(outline: Polygons, box: tuple[float, float, float, float]) -> BoxTruth:
    return BoxTruth(np.array([box]), np.array([0]), np.array([False]), outlines=(outline,))


def test_turned_boxes_are_judged_in_place_of_the_boxes_around_them() -> None:
    box = OrientedBox(50, 50, 60, 10, 0.5)
    labelled = truth(Polygons((np.array(box.corners()),)), (0, 0, 100, 100))
    tally = BoxTally(ClassMap(None, ""), ("a",), 0.25, parts=("oriented",))
    tally.see(labelled, 100, 100, Result("OK", (), (oriented(box),)))
    assert figures(tally.measures(), 1) == {
        "oriented_map50": 1.0,
        "oriented_map50-95": pytest.approx(1.0),
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
    }
    tally.see(labelled, 100, 100, Result("OK", (), (oriented(OrientedBox(50, 50, 60, 10, -0.5)),)))
    assert figures(tally.measures(), 2)["f1"] == 0.5


def test_an_object_without_an_outline_counts_neither_way_for_masks() -> None:
    labelled = truth(Polygons(()), (0, 0, 20, 20))
    drawn = truth(Polygons((np.array([[0.0, 0], [20, 0], [20, 20], [0, 20]]),)), (0, 0, 20, 20))
    tally = BoxTally(ClassMap(None, ""), ("a",), 0.25, parts=("masks",))
    answer = Result("OK", (), (masked(Mask(0, 0, np.ones((20, 20), np.bool_))),))
    tally.see(labelled, 40, 40, answer)
    tally.see(drawn, 40, 40, answer)
    found = figures(tally.measures(), 2)
    assert found["mask_map50"] == 1.0
    assert found["map50"] == 1.0


def test_what_a_detector_gives_besides_boxes_is_in_its_facts() -> None:
    assert parts_of(Detect()) == parts_of(Classify()) == ()
    full = Detect(masks=Masks("proto"), points=Points(3), angle="radians")
    assert parts_of(full) == ("masks", "points", "oriented")

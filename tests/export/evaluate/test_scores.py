"""Evaluation and comparison with runners whose answers are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_export.evaluate.data import (
    BoxTruth,
    ClassTruth,
    Labelled,
    LabelledSet,
    MaskTruth,
    RandomCalibration,
)
from edge_export.evaluate.data.outlines import Polygons
from edge_export.evaluate.scores import (
    Image,
    ImageModel,
    Options,
    compare,
    evaluate,
    evaluation_of,
    fidelity,
    tensor_fidelity,
)
from edge_export.state import Feeds, Score
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import DataError
from edge_runtime.results import Box, Mask, Prediction, Result


def shade(image: Image) -> int:
    """The number that a test picture carries: all its pixels have this value."""
    return int(image[0, 0, 0])


def pictures(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{index:03}.png" for index in range(count)]
    for index, path in enumerate(paths):
        assert cv2.imwrite(str(path), np.full((20, 40, 3), index, dtype=np.uint8))
    return paths


def classifier(*answers: int) -> ImageModel:
    """Answer image i with the class answers[i], then the classes 7 and 8."""

    def run(images: list[Image]) -> list[Result]:
        ranked = [(answers[shade(image)], 7, 8) for image in images]
        return [
            Result("OK", (), tuple(Prediction(str(c), c, 0.9 - 0.1 * place) for place, c in enumerate(row)))
            for row in ranked
        ]

    return run


def detector(found: list[list[tuple[int, float, Box]]]) -> ImageModel:
    def run(images: list[Image]) -> list[Result]:
        return [
            Result("NG", (), tuple(Prediction(str(c), c, score, box) for c, score, box in found[shade(image)]))
            for image in images
        ]

    return run


def labelled_classes(folder: Path, *truths: int, names: tuple[str, ...] = ()) -> LabelledSet:
    items = tuple(
        Labelled(path, ClassTruth(truth)) for path, truth in zip(pictures(folder, len(truths)), truths, strict=True)
    )
    return LabelledSet("classify", "list of images", items, names, "test data")


def labelled_boxes(folder: Path, *rows: list[tuple[int, Box]]) -> LabelledSet:
    items = []
    for path, row in zip(pictures(folder, len(rows)), rows, strict=True):
        table = np.array([(b.x1, b.y1, b.x2, b.y2) for _, b in row], dtype=np.float64).reshape(-1, 4)
        kinds = np.array([kind for kind, _ in row], dtype=np.int64)
        items.append(Labelled(path, BoxTruth(table, kinds, np.zeros(len(row), dtype=np.bool_))))
    return LabelledSet("detect", "YOLO labels", tuple(items), (), "test data")


def by_name(scores: tuple[Score, ...]) -> dict[str, Score]:
    return {score.metric: score for score in scores}


def test_top1_and_top5_of_a_classifier(tmp_path: Path) -> None:
    scores = by_name(evaluate(classifier(0, 1, 5, 3), labelled_classes(tmp_path, 0, 1, 7, 9)))
    assert scores["top1"].value == 0.5
    assert scores["top5"].value == 0.75
    assert scores["top1"].low <= 0.5 <= scores["top1"].high
    assert scores["top1"].images == 4
    assert scores["top1"].detail["top1 7"] == 0.0


def test_the_batch_size_does_not_change_the_scores(tmp_path: Path) -> None:
    labelled = labelled_classes(tmp_path, 0, 1, 7, 9, 3)
    runner = classifier(0, 1, 5, 3, 3)
    assert evaluate(runner, labelled, Options(batch=1)) == evaluate(runner, labelled, Options(batch=3))


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(
        classifier(0, 1, 2),
        labelled_classes(tmp_path, 0, 1, 2),
        Options(batch=2),
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(2, 3), (3, 3)]


def test_classes_the_model_does_not_know_are_not_counted(tmp_path: Path) -> None:
    labelled = labelled_classes(tmp_path, 0, 1, 2, names=("cat", "dog", "unicorn"))
    result = evaluation_of(classifier(1, 0, 5), labelled, Options(labels=("dog", "cat")))
    assert by_name(result.scores)["top1"].value == 1.0
    assert any("does not know unicorn" in note for note in result.notes)


def test_unreadable_images_are_skipped_and_reported(tmp_path: Path) -> None:
    labelled = labelled_classes(tmp_path, 0, 1, 2)
    labelled.items[1].path.write_bytes(b"broken")
    result = evaluation_of(classifier(0, 1, 5), labelled)
    assert by_name(result.scores)["top1"].value == 0.5
    assert by_name(result.scores)["top1"].images == 2
    assert result.notes[-1] == "1 images cannot be read, skipped: 001.png"


def test_no_readable_image_is_an_error(tmp_path: Path) -> None:
    labelled = labelled_classes(tmp_path, 0)
    labelled.items[0].path.unlink()
    with pytest.raises(DataError, match="none of the 1 images"):
        evaluate(classifier(0), labelled)


def test_a_detector_is_scored_by_map_and_at_its_threshold(tmp_path: Path) -> None:
    left, right = Box(0, 0, 10, 10), Box(20, 5, 35, 15)
    labelled = labelled_boxes(tmp_path, [(0, left), (1, right)], [(0, left)])
    runner = detector([[(0, 0.9, left), (1, 0.1, right)], [(0, 0.8, left), (0, 0.6, right)]])
    scores = by_name(evaluate(runner, labelled, Options(confidence=0.25, labels=("a", "b"))))
    assert scores["map50"].value == 1.0
    assert scores["map50-95"].value == 1.0
    assert scores["map50"].detail == {"AP a": 1.0, "AP b": 1.0}
    assert scores["precision"].value == pytest.approx(2 / 3)  # 0.1 is not reported
    assert scores["recall"].value == pytest.approx(2 / 3)
    assert "map33" not in scores


def test_labels_of_another_kind_than_the_answers_are_refused(tmp_path: Path) -> None:
    box = Box(0, 0, 10, 10)
    with pytest.raises(DataError, match="labels are boxes"):
        evaluate(classifier(0), labelled_boxes(tmp_path, [(0, box)]))
    with pytest.raises(DataError, match="one class for each image"):
        evaluate(detector([[(0, 0.9, box)]]), labelled_classes(tmp_path, 0))


def test_deeppcb_is_scored_by_its_own_rule_first(tmp_path: Path) -> None:
    labelled = labelled_boxes(tmp_path, [(0, Box(0, 0, 10, 10))])
    labelled = dataclasses.replace(labelled, format="DeepPCB")
    # The overlap is 0.4: enough for DeepPCB, not for COCO.
    scores = evaluate(detector([[(0, 0.9, Box(0, 0, 10, 4))]]), labelled)
    assert scores[0].metric == "map33"
    assert scores[0].value == 1.0
    assert by_name(scores)["map50"].value == 0.0


def test_masks_are_scored_by_mean_iou(tmp_path: Path) -> None:
    path = pictures(tmp_path, 1)[0]
    mask = np.zeros((20, 40), dtype=np.uint8)
    mask[:, :20] = 1
    (tmp_path / "masks").mkdir()
    assert cv2.imwrite(str(tmp_path / "masks" / "000.png"), mask)
    labelled = LabelledSet(
        "segment", "PNG masks", (Labelled(path, MaskTruth(tmp_path / "masks" / "000.png")),), (), "test"
    )
    assert evaluate(lambda images: [Result("OK", (), (), mask=mask)], labelled)[0].value == 1.0
    with pytest.raises(DataError, match="expected a mask"):
        evaluate(lambda images: [Result("OK", (), (), mask=mask[:5])], labelled)


def test_anomaly_scores_are_judged_by_how_well_they_separate(tmp_path: Path) -> None:
    labelled = labelled_classes(tmp_path, 1, 1, 0, 2, names=("crack", "good", "hole"))

    def run(images: list[Image]) -> list[Result]:
        return [Result("OK", (), (), score=(0.1, 0.4, 0.4, 0.9)[shade(image)]) for image in images]

    score = evaluate(run, labelled, Options(task="anomaly"))[0]
    assert score.metric == "auroc"
    assert score.value == pytest.approx(3.5 / 4)  # of four pairs one is a tie
    found = compare(run, run, labelled, Options(task="anomaly", confidence=0.5))
    assert by_name(found.fidelity)["same_verdict"].value == 1.0
    with pytest.raises(DataError, match="one of them named good"):
        evaluate(run, labelled_classes(tmp_path, 0, 1, names=("a", "b")), Options(task="anomaly"))


def test_a_comparison_holds_both_models_and_their_paired_difference(tmp_path: Path) -> None:
    labelled = labelled_classes(tmp_path, 0, 1, 2, 3)
    found = compare(classifier(0, 1, 2, 3), classifier(0, 1, 2, 5), labelled)
    assert by_name(found.fp32)["top1"].value == 1.0
    assert by_name(found.bundle)["top1"].value == 0.75
    difference = by_name(found.difference)["top1"]
    assert difference.value == -0.25
    assert difference.low <= -0.25 <= difference.high <= 0.0
    assert by_name(found.fidelity)["agreement"].value == 0.75
    rows = {row.metric: (row.fp32, row.bundle) for row in found.accuracy()}
    assert rows == {"top1": (1.0, 0.75), "top5": (1.0, 0.75), "agreement": (None, 0.75)}


def test_equal_models_differ_by_exactly_nothing(tmp_path: Path) -> None:
    labelled = labelled_classes(tmp_path, 0, 1, 2, 3)
    difference = by_name(compare(classifier(0, 5, 2, 5), classifier(0, 5, 2, 5), labelled).difference)["top1"]
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_detectors_agree_by_their_boxes_above_the_threshold(tmp_path: Path) -> None:
    box = Box(0, 0, 10, 10)
    one = detector([[(0, 0.9, box), (1, 0.01, box)]])
    other = detector([[(0, 0.4, box)]])
    found = fidelity(one, other, pictures(tmp_path, 1), "detect", Options(confidence=0.25))
    assert found.scores[0].metric == "box_f1"
    assert found.scores[0].value == 1.0


def test_answers_of_a_task_without_a_measure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not raw"):
        fidelity(classifier(0), classifier(0), pictures(tmp_path, 1), "raw")


def doubled(sample: Feeds) -> dict[str, NDArray[np.generic]]:
    return {"y": np.asarray(sample["x"], np.float32) * np.float32(2), "text": np.array(["a"])}


def test_tensors_are_compared_output_by_output() -> None:
    samples = RandomCalibration((TensorSpec("x", "float32", (1, 50)),), count=4)
    scores = tensor_fidelity(
        doubled, lambda sample: {"y": np.asarray(sample["x"], np.float32) * np.float32(2.2)}, samples
    )
    assert [score.metric for score in scores] == ["sqnr_db y"]
    assert scores[0].value == pytest.approx(20.0, abs=1e-4)
    assert scores[0].detail["largest_error"] == pytest.approx(
        0.2 * max(float(np.abs(np.asarray(s["x"], np.float32)).max()) for s in samples), rel=1e-4
    )


def test_a_missing_output_is_an_error() -> None:
    samples = RandomCalibration((TensorSpec("x", "float32", (1, 2)),), count=1)
    with pytest.raises(DataError, match=r"output 'y': expected \[1, 2\].*found nothing"):
        tensor_fidelity(doubled, lambda sample: {}, samples)


def masked_answers(*shapes: tuple[int, int]) -> ImageModel:
    """Answer image i with one object of class 0 whose box stays and whose mask has shapes[i]."""

    def run(images: list[Image]) -> list[Result]:
        masks = [Mask(0, 0, np.ones(shapes[shade(image)], np.bool_)) for image in images]
        return [Result("NG", (), (Prediction("0", 0, 0.9, Box(0, 0, 20, 20), mask=mask),)) for mask in masks]

    return run


def labelled_masks(folder: Path, count: int, outlined: bool) -> LabelledSet:
    square = Polygons((np.array([[0.0, 0], [20, 0], [20, 20], [0, 20]]),))
    truth = BoxTruth(np.array([[0.0, 0, 20, 20]]), np.array([0]), np.array([False]))
    truth = dataclasses.replace(truth, outlines=(square,) if outlined else ())
    items = tuple(Labelled(path, truth) for path in pictures(folder, count))
    return LabelledSet("detect", "YOLO labels", items, (), "test data")


def test_masks_spoilt_in_boxes_that_stay_are_seen_with_labels_and_without(tmp_path: Path) -> None:
    labelled = labelled_masks(tmp_path, 4, outlined=True)
    good, spoilt = masked_answers(*[(20, 20)] * 4), masked_answers(*[(20, 9)] * 4)
    options = Options(parts=("masks",))
    found = compare(good, spoilt, labelled, options)
    assert found.difference[0].metric == "mask_map50"
    assert found.difference[0].value == -1.0
    assert by_name(found.difference)["map50"].value == 0.0
    assert {score.metric: score.value for score in found.fidelity} == {"box_f1": 1.0, "mask_f1": 0.0}
    paths = [item.path for item in labelled.items]
    assert by_name(fidelity(good, spoilt, paths, "detect", options).scores)["mask_f1"].value == 0.0


def test_labels_without_masks_judge_boxes_alone_and_say_so(tmp_path: Path) -> None:
    labelled = labelled_masks(tmp_path, 2, outlined=False)
    result = evaluation_of(masked_answers((20, 20), (20, 20)), labelled, Options(parts=("masks",)))
    assert result.scores[0].metric == "map50"
    assert "the labels hold no masks: only boxes are judged" in result.notes

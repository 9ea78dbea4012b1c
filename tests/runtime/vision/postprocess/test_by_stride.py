"""Heads by stride, read against decoders that loop over cells as the models' own repositories do."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.bundle.postprocess_spec import Detect, Points
from edge_runtime.errors import EngineError
from edge_runtime.vision.placement import Placement
from edge_runtime.vision.postprocess.candidates import Candidates, Question
from edge_runtime.vision.postprocess.readers.table import READERS

Floats = NDArray[Any]
WIDTH, HEIGHT = 96, 64
STRIDES = (8, 16, 32)
GRIDS = [(HEIGHT // stride, WIDTH // stride) for stride in STRIDES]
CELLS = [rows * columns for rows, columns in GRIDS]
SIZES = (10.0, 13.0, 16.0, 30.0, 33.0, 23.0, 30.0, 61.0, 62.0, 45.0, 59.0, 119.0, 116.0, 90.0, 56.0, 98.0, 73.0, 26.0)
PLACE = Placement(WIDTH, HEIGHT, WIDTH, HEIGHT, 1.0, 1.0, 0.0, 0.0)
CONFIDENCE = 0.3
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=15, deadline=None)


def read(spec: Detect, *tensors: Floats, labels: int = 0) -> Candidates:
    names = tuple(f"out{i}" for i in range(len(tensors)))
    ask = Question(spec, names, labels, CONFIDENCE, PLACE)
    return READERS[spec.format].load()(ask, [np.asarray(tensor, np.float32) for tensor in tensors])


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def rows_of(found: Candidates) -> Floats:
    """Boxes, scores, classes and points as rows."""
    points = np.zeros((len(found.boxes), 0)) if found.points is None else found.points.reshape(len(found.boxes), -1)
    return np.concatenate([found.boxes, found.scores[:, None], found.classes[:, None], points], axis=1)


def check(found: Candidates, expected: list[list[float]]) -> None:
    assert len(found.boxes) == len(expected) > 0
    rows, table = rows_of(found), np.array(expected)
    nearest = np.abs(rows[:, None] - table[None]).max(axis=2).argmin(axis=1)  # in whatever order
    assert sorted(nearest.tolist()) == list(range(len(table)))
    np.testing.assert_allclose(rows, table[nearest], rtol=1e-4, atol=1e-3)


def cells(level: int) -> list[tuple[int, int]]:
    return list(itertools.product(range(GRIDS[level][0]), range(GRIDS[level][1])))


def yolov5(heads: list[Floats], landmarks: int = 0) -> list[list[float]]:
    """models/yolo.py, Detect.forward, value by value; YOLOv5-face's for landmarks."""
    found = []
    for level, head in enumerate(heads):
        for anchor, (y, x) in itertools.product(range(3), cells(level)):
            row = [float(value) for value in head[anchor, y, x]]
            scores = [logistic(value) for value in row[5 + 2 * landmarks :]]
            score = logistic(row[4]) * max(scores)
            if score < CONFIDENCE:
                continue
            aw, ah = SIZES[6 * level + 2 * anchor : 6 * level + 2 * anchor + 2]
            stride = STRIDES[level]
            cx, cy = (logistic(row[0]) * 2 - 0.5 + x) * stride, (logistic(row[1]) * 2 - 0.5 + y) * stride
            w, h = (logistic(row[2]) * 2) ** 2 * aw, (logistic(row[3]) * 2) ** 2 * ah
            line = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, scores.index(max(scores))]
            for point in range(landmarks):
                px, py = row[5 + 2 * point : 7 + 2 * point]
                line += [px * aw + x * stride, py * ah + y * stride, 1.0]
            found.append(line)
    return found


@given(seed=seeds, form=st.sampled_from(["as published", "by channel", "convolution", "flat", "merged", "turned"]))
@quick
def test_yolov5s_raw_heads_are_read_however_they_are_left(seed: int, form: str) -> None:
    random = np.random.default_rng(seed)
    heads = [random.normal(0, 2, (3, *grid, 5 + 4)) for grid in GRIDS]
    tensors = {
        "as published": heads,
        "by channel": [head.transpose(0, 3, 1, 2) for head in heads],
        "convolution": [head.transpose(0, 3, 1, 2).reshape(-1, *head.shape[1:3]) for head in heads],
        "flat": [head.reshape(-1, 9) for head in heads],
        "merged": [np.concatenate([head.reshape(-1, 9) for head in heads])],
        "turned": [np.concatenate([head.reshape(-1, 9) for head in heads]).T],
    }[form]
    spec = Detect(format="anchors", strides=STRIDES, anchors=SIZES, activation="sigmoid")
    check(read(spec, *tensors), yolov5(heads))
    if len(tensors) == 3:
        check(read(spec, *reversed(tensors)), yolov5(heads))


@given(seed=seeds)
@quick
def test_yolov5_faces_landmarks_are_told_in_sizes_of_the_anchor(seed: int) -> None:
    heads = [np.random.default_rng(seed).normal(0, 2, (3, *grid, 16)) for grid in GRIDS]
    spec = Detect(
        format="anchors", strides=STRIDES, anchors=SIZES, activation="sigmoid", points=Points(5, 2),
        columns=("box", "objectness", "points", "classes"),
    )  # fmt: skip
    check(read(spec, *heads), yolov5(heads, landmarks=5))


def nanodet(rows: Floats, classes: int, bins: int, centre: float) -> list[list[float]]:
    found = []
    places = [(x, y, stride) for level, stride in enumerate(STRIDES) for y, x in cells(level)]
    for row, (x, y, stride) in zip(rows.tolist(), places, strict=True):
        scores = row[:classes]
        if max(scores) < CONFIDENCE:
            continue
        sides = []
        for side in range(4):
            weights = [math.exp(value) for value in row[classes + side * bins : classes + (side + 1) * bins]]
            sides.append(sum(i * weight for i, weight in enumerate(weights)) / sum(weights) * stride)
        cx, cy = (x + centre) * stride, (y + centre) * stride
        found.append(
            [cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3], max(scores), scores.index(max(scores))]
        )
    return found


@given(seed=seeds, centre=st.sampled_from([0.0, 0.5]), form=st.sampled_from(["merged", "turned", "in six", "logits"]))
@quick
def test_nanodets_distributions_are_read(seed: int, centre: float, form: str) -> None:
    random = np.random.default_rng(seed)
    rows = np.concatenate([random.random((sum(CELLS), 3)) ** 2, random.normal(0, 2, (sum(CELLS), 32))], axis=1)
    given_rows = rows.copy()
    given_rows[:, :3] = np.log(rows[:, :3] / (1 - rows[:, :3]))
    cut = np.cumsum(CELLS)[:-1].tolist()
    tensors = {
        "merged": [rows],
        "turned": [rows.T],
        "in six": [*np.split(rows[:, :3], cut), *np.split(rows[:, 3:], cut)],
        "logits": [given_rows],
    }[form]
    spec = Detect(
        format="distances", strides=STRIDES, bins=8, centre=centre, activation="sigmoid" if form == "logits" else "none"
    )
    check(read(spec, *tensors), nanodet(rows, 3, 8, centre))


def scrfd(scores: list[Floats], boxes: list[Floats], points: list[Floats] | None) -> list[list[float]]:
    """detection/scrfd/tools/scrfd.py: two anchors of a cell one after the other."""
    found = []
    for level, stride in enumerate(STRIDES):
        for cell, (y, x) in enumerate(cells(level)):
            for row in (2 * cell, 2 * cell + 1):
                score = float(scores[level][row, 0])
                if score < CONFIDENCE:
                    continue
                left, top, right, bottom = (boxes[level][row] * stride).tolist()
                line = [x * stride - left, y * stride - top, x * stride + right, y * stride + bottom, score, 0.0]
                if points is not None:
                    told = points[level][row]
                    for px, py in zip(told[0::2], told[1::2], strict=True):
                        line += [(x + px) * stride, (y + py) * stride, 1.0]
                found.append(line)
    return found


@given(seed=seeds, landmarks=st.booleans(), together=st.booleans())
@quick
def test_scrfds_six_or_nine_outputs_are_read(seed: int, landmarks: bool, together: bool) -> None:
    random = np.random.default_rng(seed)
    scores = [random.random((2 * count, 1)) for count in CELLS]
    boxes = [random.random((2 * count, 4)) * 4 for count in CELLS]
    points = [random.normal(0, 2, (2 * count, 10)) for count in CELLS] if landmarks else None
    lists = [scores, boxes, points] if points is not None else [scores, boxes]
    tensors = [one for same in zip(*lists, strict=True) for one in same] if together else list(itertools.chain(*lists))
    spec = Detect(
        format="distances", strides=STRIDES, centre=0.0, axis="channels-last",
        points=Points(5, 2) if landmarks else None,
        columns=("score", "box", "points") if landmarks else ("score", "box"),
    )  # fmt: skip
    check(read(spec, *tensors), scrfd(scores, boxes, points))


@given(seed=seeds)
@quick
def test_yunets_twelve_outputs_are_read(seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = [[random.random((count, 1)) for count in CELLS], [random.random((count, 1)) for count in CELLS]]
    parts += [[random.normal(0, 1, (count, width)) for count in CELLS] for width in (4, 10)]
    expected = []
    for level, stride in enumerate(STRIDES):
        for cell, (y, x) in enumerate(cells(level)):
            classes, objectness, box, points = (part[level][cell].tolist() for part in parts)
            score = math.sqrt(classes[0] * objectness[0])
            if score < CONFIDENCE:
                continue
            cx, cy, w, h = (
                (x + box[0]) * stride,
                (y + box[1]) * stride,
                math.exp(box[2]) * stride,
                math.exp(box[3]) * stride,
            )
            line = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, 0.0]
            for px, py in zip(points[0::2], points[1::2], strict=True):
                line += [(x + px) * stride, (y + py) * stride, 1.0]
            expected.append(line)
    spec = Detect(
        format="grid", strides=STRIDES, axis="channels-last", combine="root", points=Points(5, 2),
        columns=("classes", "objectness", "box", "points"),
    )  # fmt: skip
    check(read(spec, *itertools.chain(*parts)), expected)


@given(seed=seeds, raw=st.booleans())
@quick
def test_yolo_fastestv2_is_read_in_two_outputs_or_in_six(seed: int, raw: bool) -> None:
    random = np.random.default_rng(seed)
    grids, strides = GRIDS[1:], STRIDES[1:]
    heads = [[random.normal(0, 2, (*grid, width)) for width in (12, 3, 5)] for grid in grids]
    expected, merged = [], []
    for head, grid, stride, level in zip(heads, grids, strides, (0, 1), strict=True):
        weights = np.exp(head[2])
        classes = weights / weights.sum(axis=2, keepdims=True)
        box, objectness = 1 / (1 + np.exp(-head[0])), 1 / (1 + np.exp(-head[1]))
        merged.append(np.concatenate([box, objectness, classes], axis=2))
        for y, x, anchor in itertools.product(range(grid[0]), range(grid[1]), range(3)):
            score = float(classes[y, x].max() * objectness[y, x, anchor])
            if score < CONFIDENCE:
                continue
            bx, by, bw, bh = box[y, x, 4 * anchor : 4 * anchor + 4].tolist()
            aw, ah = SIZES[6 * level + 2 * anchor : 6 * level + 2 * anchor + 2]
            cx, cy, w, h = (
                (bx * 2 - 0.5 + x) * stride,
                (by * 2 - 0.5 + y) * stride,
                (bw * 2) ** 2 * aw,
                (bh * 2) ** 2 * ah,
            )
            expected.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, float(classes[y, x].argmax())])
    spec = Detect(format="fastest-v2", strides=strides, anchors=SIZES[:12], activation="softmax" if raw else "none")
    tensors = [part.transpose(2, 0, 1) for head in heads for part in head] if raw else merged
    check(read(spec, *tensors), expected)


@pytest.mark.parametrize(
    ("spec", "shapes"),
    [
        (Detect(format="anchors", strides=STRIDES, anchors=SIZES), [(3, 8, 12, 9), (3, 4, 6, 9)]),
        (Detect(format="anchors", strides=STRIDES, anchors=SIZES), [(3, 8, 12, 5), (3, 4, 6, 5), (3, 2, 3, 5)]),
        (Detect(format="anchors", strides=STRIDES, anchors=SIZES), [(300, 9)]),
        (Detect(format="distances", strides=STRIDES, bins=8), [(sum(CELLS), 32)]),
        (Detect(format="distances", strides=STRIDES, columns=("score", "box")), [(192, 1), (48, 1), (12, 1), (192, 4)]),
        (Detect(format="distances", strides=STRIDES, columns=("score", "box")), [(sum(CELLS), 6)]),
        (Detect(format="distances"), [(sum(CELLS), 6)]),
        (Detect(format="fastest-v2", strides=STRIDES[1:], anchors=SIZES[:12]), [(4, 6, 15), (2, 3, 15)]),
    ],
)
def test_heads_that_do_not_fit_are_refused_in_one_line(spec: Detect, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(EngineError, match="expected") as caught:
        read(spec, *(np.zeros(shape) for shape in shapes))
    assert "\n" not in str(caught.value)


def test_logits_taken_for_scores_are_an_error() -> None:
    heads = [np.full((3, *grid, 9), 4.0) for grid in GRIDS]
    with pytest.raises(EngineError, match="--activation"):
        read(Detect(format="anchors", strides=STRIDES, anchors=SIZES), *heads)

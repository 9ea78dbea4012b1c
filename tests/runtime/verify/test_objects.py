"""Recorded answers of detectors whose objects have turned boxes, key points or masks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.postprocess_spec import Detect, Masks, Points
from edge_runtime.inspect.fake_engine import fake_manifest
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction
from edge_runtime.verify.answer import compare_answers, read_answer
from edge_runtime.verify.objects import packed_objects

ALL = Detect(angle="radians", points=Points(3), masks=Masks("m", count=4))
DISC = np.hypot(*np.mgrid[-10:10, -20:20]) < 10


def manifest_of(post: Detect) -> Manifest:
    return dataclasses.replace(fake_manifest(), postprocess=post, thresholds=Thresholds(0.4))


def thing(**changes: Any) -> Prediction:
    seen = Prediction(
        "open",
        0,
        0.9,
        Box(10, 10, 50, 30),
        oriented=OrientedBox(30, 20, 40, 20, 0.0),
        points=(Point(12, 12, 0.9), Point(40, 20, 0.9), Point(30, 28, 0.1)),
        mask=Mask(10, 10, DISC),
    )
    return dataclasses.replace(seen, **changes)


def answer(post: Detect, *seen: Prediction) -> NDArray[np.float32]:
    return packed_objects(post, seen)


def test_a_detector_without_parts_has_the_rows_that_it_always_had() -> None:
    assert answer(Detect(), thing()).tolist() == [[10, 10, 50, 30, np.float32(0.9), 0]]
    assert answer(Detect()).shape == (0, 6)
    assert answer(ALL).shape == (0, 6 + 5 + 9 + 16)


def test_a_row_is_read_out_of_a_models_outputs() -> None:
    post = Detect(points=Points(2), masks=Masks("protos", count=1))
    output = np.zeros((1, 6 + 6 + 1, 84), np.float32)
    output[0, :, 3] = [30, 20, 40, 20, 0.9, 0, 12, 12, 0.9, 40, 20, 0.5, 1]
    protos = np.full((1, 1, 64, 64), -1, np.float32)
    protos[..., 30:] = 1  # the right half of the box
    found = read_answer(manifest_of(post), {"output": output, "protos": protos})
    assert found is not None
    (row,) = np.asarray(found, np.float32)
    np.testing.assert_allclose(row[:12], [10, 10, 50, 30, 0.9, 0, 12, 12, 0.9, 40, 20, 0.5])
    assert row[12:].tolist() == [255] * 16  # the lower eight bits of sixteen


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"mask": Mask(10, 10, ~DISC)}, "open 0.90 at 10,10 has another mask here"),
        ({"mask": None}, "open 0.90 at 10,10 has another mask here"),
        ({"mask": Mask(10, 10, np.roll(DISC, 1))}, ""),
        ({"points": (Point(40, 28), Point(12, 12), Point(0, 0))}, "open 0.90 at 10,10 has its key points elsewhere"),
        # Hardly a tenth of the box away, and a point that nobody sees.
        ({"points": (Point(14, 12), Point(40, 22), Point(60, 0, 0.1))}, ""),
        ({"oriented": OrientedBox(30, 20, 40, 20, 1.2)}, "open 0.90 at 10,10 is not found here"),
        ({"oriented": OrientedBox(30, 20, 40, 20, 0.1)}, ""),
        ({"oriented": OrientedBox(30, 20, 20, 40, np.pi / 2)}, ""),
    ],
)
def test_a_part_that_plainly_changed_is_told(changes: dict[str, Any], words: str) -> None:
    likeness = compare_answers(manifest_of(ALL), answer(ALL, thing()), answer(ALL, thing(**changes)))
    assert likeness.change.startswith(words)
    assert bool(likeness.change) == bool(words)
    assert likeness.share == (0.0 if words else 1.0)


def test_of_two_objects_at_one_place_each_finds_its_own() -> None:
    two = [thing(mask=Mask(10, 10, DISC)), thing(mask=Mask(10, 10, ~DISC))]
    likeness = compare_answers(manifest_of(ALL), answer(ALL, *two), answer(ALL, *two[::-1]))
    assert (likeness.share, likeness.change) == (1.0, "")


@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=36, max_size=36), min_size=1, max_size=4))
def test_recorded_rows_of_any_numbers_are_compared_without_an_error(rows: list[list[float]]) -> None:
    recorded = np.array(rows, np.float32)
    likeness = compare_answers(manifest_of(ALL), recorded, answer(ALL, thing()))
    assert 0.0 <= likeness.share <= 1.0


def test_an_answer_of_another_width_is_no_answer_of_this_bundle() -> None:
    likeness = compare_answers(manifest_of(ALL), answer(Detect(), thing()), answer(ALL, thing()))
    assert likeness.share == 0.0
    assert likeness.change.startswith("the answer was float32 [1, 6]")

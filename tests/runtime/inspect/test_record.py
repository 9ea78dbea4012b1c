"""The JSON record."""

from __future__ import annotations

import dataclasses
import json
import math
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundle.trust import Trust
from edge_runtime.inspect.fake_engine import fake_manifest, fake_ng
from edge_runtime.inspect.record import ModelIdentity, event_id, make_record, to_line, utc_text
from edge_runtime.inspect.rle import compressed
from edge_runtime.inspect.sources import Frame
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result

NOON = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=timezone.utc)
MODEL = ModelIdentity.of(fake_manifest(), "ab" * 32)
IMAGE = np.zeros((40, 60, 3), np.uint8)


def frame(path: Path | None = Path("in/board.png")) -> Frame:
    return Frame("in", 3, "board", image=IMAGE, path=path, captured=NOON, read_ms=2.0)


def test_a_record_has_exactly_the_documented_keys() -> None:
    assert list(make_record(frame(), fake_ng(), MODEL)) == [
        "schema",
        "event_id",
        "ts_utc",
        "source",
        "image",
        "frame_id",
        "verdict",
        "reasons",
        "predictions",
        "timing_ms",
        "model",
    ]


def test_a_detection_has_ultralytics_shape() -> None:
    record = make_record(frame(), fake_ng(), MODEL)
    box = {"x1": 5.0, "y1": 6.0, "x2": 15.0, "y2": 26.0}
    assert record["predictions"] == [{"name": "open", "class": 0, "confidence": 0.875, "box": box}]


def test_numbers_are_rounded_and_numpy_scalars_become_plain() -> None:
    prediction = Prediction("a", np.int64(2), np.float32(1 / 3), Box(*np.array([1, 2, 3, 4.56789], np.float32)))
    record = json.loads(to_line(make_record(frame(), Result("NG", (), (prediction,)), MODEL)))
    assert record["predictions"][0]["confidence"] == 0.33333
    assert record["predictions"][0]["box"]["y2"] == 4.57


def test_a_class_of_the_whole_image_has_no_box_key() -> None:
    record = make_record(frame(), Result("OK", (), (Prediction("cat", 1, 0.5),)), MODEL)
    assert set(record["predictions"][0]) == {"name", "class", "confidence"}


def test_a_region_has_its_area() -> None:
    region = Prediction("rust", 1, 0.5, Box(0, 0, 1, 1), area=0.123456)
    assert make_record(frame(), Result("NG", (), (region,)), MODEL)["predictions"][0]["area"] == 0.12346


def test_an_object_has_its_turned_box_its_key_points_and_its_mask() -> None:
    mask = Mask(1, 1, np.ones((2, 2), np.bool_))
    seen = Prediction(
        "a", 0, 0.5, Box(0, 0, 9, 9), 0.2, OrientedBox(10, 20, 8, 4, 0.5), (Point(1, 2, 0.123456), Point(3, 4)), mask
    )
    (entry,) = make_record(frame(), Result("NG", (), (seen,)), MODEL)["predictions"]
    assert list(entry) == ["name", "class", "confidence", "box", "area", "oriented", "keypoints", "mask"]
    assert entry["oriented"] == {"cx": 10, "cy": 20, "w": 8, "h": 4, "angle": 0.5}
    assert entry["keypoints"] == {"x": [1, 3], "y": [2, 4], "visible": [0.12346, 1]}
    assert entry["mask"] == {"size": [40, 60], "counts": compressed(np.array([41, 2, 38, 2, 2317]))}
    # A picture that was decoded smaller: all but the mask, which says its size, is told of the original.
    larger = dataclasses.replace(frame(), size=(80, 120))
    (entry,) = make_record(larger, Result("NG", (), (seen,)), MODEL)["predictions"]
    assert entry["oriented"] == {"cx": 20, "cy": 40, "w": 16, "h": 8, "angle": 0.5}
    assert entry["keypoints"]["x"] == [2, 6]
    assert entry["mask"]["size"] == [40, 60]


def test_an_anomaly_has_its_score_and_a_raw_model_its_tensors() -> None:
    result = Result("OK", (), (), score=0.1234567, tensors={"y": np.zeros((2, 3), np.float32)})
    record = make_record(frame(), result, MODEL)
    assert record["score"] == 0.12346
    assert record["tensors"] == {"y": {"shape": [2, 3], "dtype": "float32"}}


def test_total_time_is_the_sum_of_the_steps() -> None:
    timing = make_record(frame(), fake_ng(), MODEL)["timing_ms"]
    assert timing == {"read": 2.0, "preprocess": 1.0, "inference": 10.0, "postprocess": 0.5, "total": 13.5}


def test_a_video_frame_has_no_image_path() -> None:
    assert make_record(frame(path=None), fake_ng(), MODEL)["image"] is None


def test_the_model_is_named_with_the_hash_of_the_bundle_and_who_vouches_for_it() -> None:
    model = make_record(frame(), fake_ng(), MODEL)["model"]
    named = {"name": "fake", "version": "1", "sha256": "ab" * 32, "precision": "int8 100 %"}
    assert model == {**named, "trust": "unsigned"}
    for word, said in (("signed", {"key": "cd" * 32}), ("unknown", {})):  # a key that is not trusted is only claimed
        trust = Trust(word, "ab" * 32, "cd" * 32, "Ada", "fake", 3)
        identity = ModelIdentity.of(fake_manifest(), "ab" * 32, trust)
        assert make_record(frame(), fake_ng(), identity)["model"] == {**named, "trust": word, **said}


def test_times_have_milliseconds_and_z() -> None:
    assert utc_text(NOON) == "2026-01-31T12:00:00.123Z"


def test_a_record_is_one_line_even_with_a_line_end_in_a_name() -> None:
    line = to_line(make_record(frame(Path("a\nb.png")), fake_ng(), MODEL))
    assert "\n" not in line
    assert json.loads(line)["image"] == "a\nb.png"


def test_nan_is_refused_because_json_has_none() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_line({"score": math.nan})


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)), st.integers(1, 10**9))
def test_event_ids_are_version_7_and_sort_by_time(moment: datetime, later: int) -> None:
    first = moment.replace(tzinfo=timezone.utc)
    ids = [event_id(first), event_id(first + timedelta(milliseconds=later))]
    assert ids == sorted(ids)
    parsed = uuid.UUID(ids[0])
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)

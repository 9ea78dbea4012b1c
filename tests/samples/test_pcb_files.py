"""The files that come with the sample: pictures, film, network."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pcb.belt import Belt, frames
from pcb.defects import NAMES
from pcb.detect import decode
from pcb.folder import Real, pictures

HERE = Path(__file__).resolve().parents[2] / "samples/pcb"


def test_a_dozen_pictures_come_along_some_without_defects() -> None:
    items = pictures(HERE / "images")
    assert len(items) == 12
    assert 3 <= sum(len(item.boxes) == 0 for item in items) <= 4
    assert {int(label) for item in items for label in item.labels} == set(range(6))
    assert all(item.grey().shape == (640, 640) for item in items)


def test_the_belt_stops_at_every_board() -> None:
    belt = Belt(still=2, moving=3)
    film = list(frames([1, 2], {1}, belt))
    assert len(film) == 2 * belt.still + belt.moving - 1
    assert np.array_equal(film[0], film[1])
    assert not np.array_equal(film[1], film[2])
    assert (film[2] == belt.shade).any()


def test_the_film_is_small_and_opens() -> None:
    film = HERE / "belt.mp4"
    assert film.stat().st_size <= 400_000
    capture = cv2.VideoCapture(str(film))
    if not capture.isOpened():
        pytest.skip("this OpenCV has no VP9 decoder")
    read, frame = capture.read()
    assert read
    assert frame.shape == (640, 640, 3)


def test_the_network_finds_the_defects_in_the_pictures() -> None:
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(HERE / "pcb.onnx"), providers=["CPUExecutionProvider"])
    (into,), (out,) = session.get_inputs(), session.get_outputs()
    assert (into.name, into.shape[0], out.name) == ("images", "batch", "predictions")
    assert list(json.loads(session.get_modelmeta().custom_metadata_map["names"]).values()) == list(NAMES)
    found = wanted = 0
    for item in pictures(HERE / "images"):
        raw = session.run(None, {"images": item.grey()[None, None].astype(np.float32) / 255})[0]
        assert raw.shape == (1, 10, 6400)
        seen = decode(raw[0], 80, threshold=0.4)
        wanted += len(item.boxes)
        found += sum(int(label in seen.labels) for label in item.labels)
    assert found >= 0.8 * wanted


def test_a_real_folder_gives_batches_with_boxes_inside_the_crops() -> None:
    batch = Real(HERE / "images", seed=0, batch=8, crop=320)[0]
    assert batch.images.shape == (8, 320, 320)
    assert (batch.labels >= 0).any()
    assert batch.boxes.min() >= 0
    assert batch.boxes.max() <= 320
    again = Real(HERE / "images", seed=0, batch=8, crop=320)[0]
    assert np.array_equal(batch.images, again.images)

"""Pictures out of the bytes of a web camera, whatever is between them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inspect.reader.splitter import Splitter

RANDOM = np.random.default_rng(6)


def jpeg(seed: int, *parameters: int) -> bytes:
    noise = RANDOM.integers(0, 255, (40 + seed, 56, 3), np.uint8)
    return cv2.imencode(".jpg", noise, list(parameters))[1].tobytes()


def with_thumbnail(picture: bytes) -> bytes:
    inside = b"Exif\0\0" + jpeg(0)
    return picture[:2] + b"\xff\xe1" + (len(inside) + 2).to_bytes(2, "big") + inside + picture[2:]


KINDS = {
    "plain": jpeg(1),
    "progressive": jpeg(2, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts": jpeg(3, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    "thumbnail": with_thumbnail(jpeg(4)),
    "png": cv2.imencode(".png", RANDOM.integers(0, 255, (30, 30, 3), np.uint8))[1].tobytes(),
}


def split(stream: bytes, piece: int) -> list[tuple[bytes, bool]]:
    splitter = Splitter()
    return [found for at in range(0, len(stream), piece) for found in splitter.feed(stream[at : at + piece])]


@pytest.mark.parametrize("between", [b"", b"\r\n", b"\r\n--frame\r\nContent-Length: 7\r\n\r\n", b"\n\n--\xffx\n\n"])
@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_every_picture_is_found_as_it_was_sent(between: bytes, piece: int) -> None:
    pictures = list(KINDS.values())
    assert split(between + between.join(pictures), piece) == [(picture, True) for picture in pictures]


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_there_with_its_last_byte(kind: str) -> None:
    splitter = Splitter()
    assert splitter.feed(KINDS[kind][:-1]) == []
    assert splitter.feed(KINDS[kind][-1:]) == [(KINDS[kind], True)]


@given(st.sampled_from(["plain", "progressive", "restarts", "png"]), st.floats(0.01, 0.99), st.integers(1, 4000))
def test_a_picture_that_is_cut_off_is_never_whole_and_does_not_hide_the_others(
    kind: str, part: float, piece: int
) -> None:
    cut = KINDS[kind][: int(len(KINDS[kind]) * part)]
    found = split(cut + b"\r\n--frame\r\n\r\n" + KINDS["plain"] + KINDS["restarts"] + KINDS["png"], piece)
    whole = [picture for picture, is_whole in found if is_whole]
    assert whole[-1] == KINDS["png"]
    assert set(whole) <= set(KINDS.values())


def test_the_rest_of_a_picture_is_what_came_of_it() -> None:
    splitter = Splitter()
    splitter.feed(KINDS["plain"] + b"\r\n--frame\r\n\r\n" + KINDS["restarts"][:99])
    assert splitter.rest() == KINDS["restarts"][:99]


def test_text_without_end_is_no_camera() -> None:
    splitter = Splitter()
    assert splitter.feed(b"<html>" * 300_000) == []
    assert splitter.lost == "no picture in what it sends"


@given(st.binary(max_size=300))
def test_any_bytes_are_borne(data: bytes) -> None:
    split(data + b"\xff\xd8\xff" + data + b"\x89PNG\r\n\x1a\n" + data, 16)

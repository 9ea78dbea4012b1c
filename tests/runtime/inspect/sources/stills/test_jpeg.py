"""JPEG: whole, or refused with the reason."""

from __future__ import annotations

import io
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import DataError
from edge_runtime.inspect.sources.stills.jpeg import jpeg_layout, whole_jpeg
from edge_runtime.inspect.sources.stills.room import Room

_ROWS, _COLUMNS = np.mgrid[0:150, 0:200]
PICTURE = np.stack(
    [(_ROWS + _COLUMNS) % 256, 127 + 120 * np.sin(_ROWS / 7) * np.cos(_COLUMNS / 5), _COLUMNS], axis=2
).astype(np.uint8)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PICTURE).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def oriented(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return jpeg(exif=exif)


HONEST = {
    "plain": jpeg(),
    "gray": jpeg("L"),
    "four inks": jpeg("CMYK"),
    "progressive": jpeg(progressive=True),
    "4:4:4": jpeg(subsampling=0),
    "4:2:2": jpeg(subsampling=1),
    "optimized": jpeg(optimize=True),
    "restart markers": jpeg(restart_marker_blocks=5),
    "trailing bytes": jpeg() + b"a phone's",
    "padding before the end marker": jpeg()[:-2] + b"\0\0\xff\xd9",
    "a version of JFIF that is none": jpeg().replace(b"JFIF\0\1", b"JFIF\0\7"),
    **{f"orientation {value}": oriented(value) for value in range(1, 9)},
}


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_jpeg_is_read_to_the_pixel_as_opencv_reads_it(kind: str) -> None:
    expected = cv2.imdecode(np.frombuffer(HONEST[kind], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(whole_jpeg(HONEST[kind]), expected)


def test_data_that_is_complete_needs_no_end_marker() -> None:
    np.testing.assert_array_equal(whole_jpeg(jpeg()[:-2]), whole_jpeg(jpeg()))


@pytest.mark.parametrize("kind", ["plain", "gray", "four inks", "progressive", "4:4:4", "optimized", "restart markers"])
@pytest.mark.parametrize("part", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_part_of_a_jpeg_is_none_with_an_end_marker_too(kind: str, part: float, end: bytes) -> None:
    data = HONEST[kind]
    with pytest.raises(DataError):
        whole_jpeg(data[: int(len(data) * part)] + end)


def test_a_progressive_jpeg_without_its_last_scans_is_not_whole() -> None:
    data = HONEST["progressive"]
    for scan in jpeg_layout(data).scans[1:]:
        with pytest.raises(DataError, match="of its scans some are missing"):
            whole_jpeg(data[:scan] + b"\xff\xd9")


def test_zeros_in_the_middle_are_told() -> None:
    data = bytearray(jpeg())
    data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
    with pytest.raises(DataError, match=r"ends early|damaged"):
        whole_jpeg(bytes(data))


def test_pieces_in_another_order_are_told() -> None:
    data = HONEST["restart markers"]
    third, fourth, fifth = (m.start() for m in list(re.finditer(rb"\xff[\xd0-\xd7]", data))[3:6])
    with pytest.raises(DataError, match="instead of RST"):
        whole_jpeg(data[:third] + data[fourth:fifth] + data[third:fourth] + data[fifth:])


def test_a_snapshot_that_was_written_over_while_it_was_read_is_told() -> None:
    first, second = HONEST["plain"], jpeg(quality=60)
    with pytest.raises(DataError):
        whole_jpeg(first[: len(first) // 2] + second[: len(first) // 2])


@pytest.mark.parametrize(("marker", "words"), [(0xC3, "lossless"), (0xC5, "hierarchical")])
def test_kinds_of_jpeg_that_nobody_reads_are_named(marker: int, words: str) -> None:
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 1] = marker
    with pytest.raises(DataError, match=words):
        whole_jpeg(bytes(data))


def test_twelve_bits_are_named() -> None:
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(DataError, match="12 bits"):
        whole_jpeg(bytes(data))


def test_a_picture_larger_than_planned_is_decoded_smaller_where_its_pixels_are_not_needed() -> None:
    room = Room(kept=100 * 75 * 3, needed=lambda height, width: (height // 3, width // 3))
    assert whole_jpeg(jpeg(), room).shape == (75, 100, 3)


def test_a_picture_larger_than_planned_whose_pixels_are_needed_says_what_it_takes() -> None:
    with pytest.raises(DataError, match=r"200x150 pixels take .* raise --memory-limit"):
        whole_jpeg(jpeg(), Room(kept=100 * 75 * 3))

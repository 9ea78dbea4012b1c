"""Zeros that were never written are told from black and from flat pictures by those beside them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inspect.reader.zeros import Neighbours, with_neighbours, zero_run, zeros_told

DATA = bytes(range(2, 200)) * 4
RNG = np.random.default_rng(0)


def judged(codec: str, packets: list[bytes]) -> list[bool]:
    neighbours = Neighbours(codec)
    return [neighbours.put(packet) for packet in [*packets, None]][1:]


def scene(left: int | None = None, width: int = 100) -> np.ndarray:  # type: ignore[type-arg]
    """Pixels as they are, with a black part."""
    picture = RNG.integers(1, 255, (60, 300, 3), dtype=np.uint8)
    if left is not None:
        picture[10:40, left : left + width] = 0
    return picture


@pytest.mark.parametrize("codec", ["rawvideo", "v210", "bmp"])
def test_zeros_that_the_pictures_beside_have_not_are_damage(codec: str) -> None:
    packets = [bytearray(scene(0)) for _ in range(5)]
    packets[2][45000:45400] = bytes(400)
    assert judged(codec, [bytes(packet) for packet in packets]) == [False, False, True, False, False]


def test_zeros_over_the_border_of_two_pictures_are_damage_of_both() -> None:
    packets = [bytearray(scene()) for _ in range(5)]
    packets[2][-2000:] = packets[3][:2000] = bytes(2000)
    assert judged("rawvideo", [bytes(packet) for packet in packets]) == [False, False, True, True, False]


def test_a_packet_of_zeros_is_damage() -> None:
    packets = [scene().tobytes(), bytes(54000), bytes(54000), scene().tobytes()]
    assert judged("rawvideo", packets) == [False, True, True, False]


def test_what_is_black_in_a_scene_stays_moves_comes_or_goes() -> None:
    stays = [scene(20).tobytes() for _ in range(4)]
    moves = [scene(left).tobytes() for left in (0, 90, 190, 10, 120)]
    comes = [scene(left).tobytes() for left in (None, None, 50, 50, None, None)]
    for packets in (stays, moves, comes):
        assert not any(judged("rawvideo", packets))
    assert judged("rawvideo", [scene(20).tobytes()]) == [False]  # nothing is beside it


def test_flat_pictures_of_a_jpeg_are_zeros_and_padding_behind_it_too() -> None:
    flat, padded = DATA + bytes(300) + DATA + b"\xff\xd9", DATA + b"\xff\xd9"
    assert not any(judged("mjpeg", [flat] * 3))
    assert not any(judged("mjpeg", [padded, padded + bytes(900), padded]))
    assert judged("mjpeg", [padded, flat, padded]) == [False, True, False]


@pytest.mark.parametrize("codec", ["huffyuv", "ffvhuff", "utvideo", "gif", "jpegls", "qtrle", "asv2", "dirac", "zmbv"])
def test_some_codecs_write_no_zeros_at_all(codec: str) -> None:
    assert not zero_run(codec, DATA + bytes(20) + DATA)
    assert zero_run(codec, DATA + bytes(400) + DATA)


def test_a_png_has_check_sums() -> None:
    chunk = b"IDAT" + bytes(500)
    whole = len(chunk[4:]).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    for begin in (b"", b"\x89PNG\r\n\x1a\n"):  # of APNG the chunks alone
        assert not zero_run("png", begin + whole * 2)
        assert zero_run("png", begin + whole + whole[:100] + b"1" + whole[101:])
        assert zero_run("png", begin + whole + bytes(80))
        assert zero_run("png", begin + whole[:-1])


def test_blocks_that_did_not_change_are_zeros_in_a_screen_video() -> None:
    block = len(DATA).to_bytes(2, "big") + DATA
    assert not zero_run("flashsv", b"\x32\x80\x32\x80" + bytes(400) + block + bytes(400))
    assert zero_run("flashsv", b"\x32\x80\x32\x80" + b"\x01\x90" + bytes(400) + block)


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4", "mjpeg", "vp8", "vp9", "av1", "ffv1", "rawvideo", "gif"])
def test_of_codecs_that_people_have_something_is_known(codec: str) -> None:
    assert zeros_told(codec)


def test_of_others_nothing_is_known() -> None:
    assert not any(zeros_told(codec) for codec in ("", "cinepak", "ljpeg", "roqvideo"))


@pytest.mark.parametrize("codec", ["apng", "flashsv", "rawvideo", "mjpeg", "vp8"])
@given(data=st.lists(st.binary(max_size=300), max_size=3))
def test_any_bytes_are_borne(codec: str, data: list[bytes]) -> None:
    for packet in data:
        zero_run(codec, packet, 100)
    if with_neighbours(codec):
        judged(codec, [packet for packet in data if packet])

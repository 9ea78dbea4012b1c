"""Damage lasts until a whole picture; gaps are told where the rate is constant."""

from __future__ import annotations

import pytest

from edge_runtime.inspect.reader.gaps import Gaps
from edge_runtime.inspect.reader.wholeness import Wholeness
from edge_runtime.inspect.reader.zeros import zero_run

DATA = bytes(range(2, 200))
START = b"\0\0\1"


def test_damage_lasts_until_a_key_picture_that_is_shown_later() -> None:
    whole = Wholeness()
    assert whole.judge(1.0, key=False) is None
    whole.damaged(3.0, "torn")
    assert [
        whole.judge(at, key) for at, key in [(2.0, True), (3.0, False), (4.0, False), (5.0, True), (6.0, False)]
    ] == [
        "torn",
        "torn",
        "torn",
        None,
        None,
    ]


def test_a_damaged_key_picture_does_not_end_the_damage_that_it_has() -> None:
    whole = Wholeness()
    whole.damaged(3.0, "torn")
    assert whole.judge(3.0, key=True) == "torn"
    assert whole.judge(4.0, key=True) is None


def test_a_damaged_key_picture_without_a_time_does_not_end_its_own_damage() -> None:
    whole = Wholeness()
    whole.damaged(None, "torn")
    assert whole.judge(None, key=True) == "torn"
    assert whole.judge(None, key=True) is None


def test_without_times_any_key_picture_ends_it() -> None:
    whole = Wholeness()
    whole.damaged(None, "torn")
    assert whole.judge(None, key=False) == "torn"
    assert whole.judge(None, key=True) is None


def test_a_new_decoder_ends_it_with_the_first_picture_that_it_calls_whole() -> None:
    whole = Wholeness()
    whole.damaged(3.0, "torn")
    assert not whole.begun(3.0)
    assert whole.begun(4.0)
    assert whole.judge(4.0, key=False) == "torn"
    assert whole.recovering
    assert whole.judge(5.0, key=False, recovered=True) is None
    assert not whole.recovering


def test_damage_after_a_new_decoder_began_needs_another_one() -> None:
    whole = Wholeness()
    whole.damaged(3.0, "torn")
    assert whole.begun(4.0)
    whole.damaged(5.0, "torn again")
    assert whole.judge(6.0, key=False, recovered=True) == "torn"
    assert whole.begun(7.0)
    assert whole.judge(6.5, key=False, recovered=True) == "torn"
    assert whole.judge(7.0, key=False, recovered=True) is None


def test_damage_of_which_something_stays_in_the_decoder_lasts_until_a_second_key_picture() -> None:
    whole = Wholeness()
    whole.damaged(3.0, "torn", keys=2)
    whole.damaged(4.0, "torn again")
    told = [whole.judge(at, key) for at, key in [(4.0, True), (5.0, True), (6.0, False), (7.0, True), (8.0, False)]]
    assert told == ["torn", "torn", "torn", None, None]
    whole.damaged(9.0, "torn")
    assert whole.judge(10.0, key=True) is None


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg2video"])
def test_zeros_in_a_picture_are_damage_and_before_a_start_code_padding(codec: str) -> None:
    assert not zero_run(codec, START + DATA + START + DATA)
    assert not zero_run(codec, START + DATA + bytes(500) + START[2:] + DATA)
    assert not zero_run(codec, START + DATA + bytes(500))
    assert zero_run(codec, START + DATA + bytes(500) + DATA)
    assert zero_run(codec, START + DATA + bytes(50) + START[2:] + DATA + bytes(50) + DATA)


@pytest.mark.parametrize("codec", ["h264", "mpeg4", "vp8", "wmv2", "prores"])
def test_a_packet_of_zeros_is_damage(codec: str) -> None:
    assert zero_run(codec, bytes(2000))


def test_mpeg4_does_not_pad_with_zeros() -> None:
    assert not zero_run("mpeg4", START + DATA + START + DATA)
    assert zero_run("mpeg4", START + DATA + bytes(500))
    assert zero_run("mpeg4", START + DATA + bytes(50) + START[2:] + DATA + bytes(50) + DATA)


def test_units_that_have_lengths_are_not_padded() -> None:
    assert zero_run("h264", b"\0\0\0\xc5\x41" + DATA + bytes(50))


def test_flat_pictures_of_some_codecs_are_ones_or_a_few_zeros() -> None:
    assert not zero_run("ffv1", DATA + b"\xff" * 2000)
    assert not zero_run("wmv2", DATA + bytes(3060) + DATA, pixels=1920 * 1080)
    assert zero_run("wmv2", DATA + bytes(5000) + DATA, pixels=1920 * 1080)


def test_vp8_writes_zeros_for_motion_but_not_for_what_is_seen() -> None:
    first = (300 << 5 | 1 << 4 | 1).to_bytes(3, "little") + bytes(300)
    assert not zero_run("vp8", first + DATA)
    assert zero_run("vp8", first + DATA + bytes(300) + DATA)


def test_behind_a_picture_of_prores_zeros_are_padding() -> None:
    picture = (8 + len(DATA)).to_bytes(4, "big") + b"icpf" + DATA * 3
    assert not zero_run("prores", picture + bytes(500))
    assert zero_run("prores", (2000).to_bytes(4, "big") + b"icpf" + DATA + bytes(500) + DATA)


def test_zeros_may_lie_in_what_does_not_compress_them_away() -> None:
    assert not zero_run("rawvideo", DATA + bytes(500) + DATA)
    assert not zero_run("mjpeg", DATA + bytes(500) + DATA)
    assert zero_run("vp9", DATA + bytes(500) + DATA)


@pytest.mark.parametrize(("codec", "filler"), [("h264", b"\x0c"), ("hevc", b"\x4c\x01")])
def test_ones_in_a_picture_are_damage_but_in_filler_data(codec: str, filler: bytes) -> None:
    assert zero_run(codec, START + DATA + b"\xff" * 500 + DATA)
    assert not zero_run(codec, START + DATA + START + filler + b"\xff" * 500 + b"\x80" + START + DATA)


def test_every_block_of_dv_says_what_it_is() -> None:
    block = b"\x96\x07\x00" + bytes(77)
    assert not zero_run("dvvideo", block * 5)
    assert zero_run("dvvideo", block * 2 + bytes(80) + block)


def test_a_jump_in_a_constant_rate_tells_how_many_pictures_are_missing() -> None:
    gaps = Gaps()
    times = [number / 25 for number in [*range(40), *range(47, 60)]]
    found = [gaps.missing(at) for at in times]
    assert found[40] == 7
    assert sum(found) == 7


@pytest.mark.parametrize(
    "times",
    [
        [0, 1, 2, 5, 6, 7, 12, 40, 41],  # variable from the beginning
        [*range(10), 30, 31],  # too few to know the rate
        [*range(40), 42, 43, 60],  # one that was left out by the camera: its rate is not constant
        [None] * 50,
        [0.0] * 50,
    ],
)
def test_other_rates_have_no_gaps(times: list[float | None]) -> None:
    gaps = Gaps()
    assert sum(gaps.missing(at) for at in times) <= (17 if 60 in times else 0)

"""What compressed data and containers say of fields, by headers as the standards write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inspect.reader.containers import woven_by_container
from edge_runtime.inspect.reader.fields import Fields

PROGRESSIVE, FIELDS = b"\x8f\xff\xf3\x41\x80", b"\x8f\xff\xf3\x41\x00"
HEVC = b"\0\0\1\x42\x01\x01\x01\x60\0\0\3\0%c\0\0\3\0\0\3\0"


@pytest.mark.parametrize(
    ("codec", "packet", "woven"),
    [
        ("mpeg2video", b"\0\0\1\xb5" + PROGRESSIVE, False),
        ("mpeg2video", b"\0\0\1\xb5" + FIELDS, True),
        ("mpeg2video", b"\0\0\1\xb5\x14\x8a\0\1\0\0", False),
        ("mpeg2video", b"\0\0\1\xb5\x14\x82\0\1\0\0", True),
        ("hevc", HEVC % 0x90, False),
        ("hevc", HEVC % 0x50, True),
        ("vc1", b"\0\0\1\x0f" + bytes.fromhex("ca0000000000"), False),
        ("vc1", b"\0\0\1\x0f" + bytes.fromhex("ca0000000040"), True),
        ("prores", bytes(4) + b"icpf" + bytes(12) + b"\x80" + bytes(99), False),
        ("prores", bytes(4) + b"icpf" + bytes(12) + b"\x84" + bytes(99), True),
        ("dnxhd", b"\0\0\2\x80\1\x01", False),
        ("dnxhd", b"\0\0\2\x80\1\x02", True),
        ("mjpeg", b"\xff\xd8\xff\xe0\0\x10AVI1\1" + bytes(9), True),
        ("mjpeg", b"\xff\xd8\xff\xc0\0\x11\x08\x01\x20\x02\xd0", True),  # 288 lines of 576
        ("mjpeg", b"\xff\xd8\xff\xc0\0\x11\x08\x02\x40\x02\xd0", None),
        ("dvvideo", bytes(453) + b"\x61\0\0\x10" + bytes(99), True),
        ("dvvideo", bytes(453) + b"\x61\0\0\x00" + bytes(99), False),
        ("vp9", b"\x82", False),
        ("rawvideo", b"\x82", None),
    ],
)
def test_a_picture_says_whether_it_is_woven_of_fields(codec: str, packet: bytes, woven: bool | None) -> None:
    assert Fields(codec, 576).put(packet) is woven


@pytest.mark.parametrize("codec", ["dvvideo", "h264", "hevc", "mjpeg", "mpeg2video", "mpeg4", "prores", "vc1"])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_borne(codec: str, data: bytes) -> None:
    fields = Fields(codec, 576)
    for begin in (b"", b"\1", b"\0\0\1\x67\x64\0\x15", b"\0\0\1\x27", b"\0\0\1\x20", b"\xff\xd8\xff"):
        fields.put(begin + data)
        fields.put(begin + data, header=True)


@pytest.mark.parametrize(
    ("head", "woven"),
    [
        (b"YUV4MPEG2 W720 H576 F25:1 It A1:1\nFRAME\n", True),
        (b"YUV4MPEG2 W720 H576 F25:1 Ip A1:1\nFRAME\n", False),
        (b"\0\0\0\x10ftypqt  \0\0\0\0\0\0\0\x12moov\0\0\0\x0afiel\2\1", True),
        (b"\0\0\0\x10ftypqt  \0\0\0\0\0\0\0\x12moov\0\0\0\x0afiel\1\0", False),
        (b"\0\0\0\x10ftypqt  \0\0\0\0\0\0\0\x08mdat", None),
        (bytes.fromhex("1a45dfa380 18538067ff 1654ae6b8a ae88 838101 e0839a8101"), True),
        (bytes.fromhex("1a45dfa380 18538067ff 1654ae6b8a ae88 838102 e0839a8101"), None),
        (b"\x06\x0e\x2b\x34" + bytes(20) + b"\x32\x0c\0\1\1", True),
        (b"\x06\x0e\x2b\x34" + bytes(20) + b"\x32\x0c\0\1\0", False),
        (b"RIFF\0\0\0\0AVI vprp" + bytes(36) + b"\2\0\0\0", True),
        (b"", None),
    ],
)
def test_a_container_says_whether_pictures_are_woven(tmp_path: Path, head: bytes, woven: bool | None) -> None:
    (tmp_path / "film").write_bytes(head)
    assert woven_by_container(str(tmp_path / "film")) is woven
    assert woven_by_container(str(tmp_path / "other")) is None

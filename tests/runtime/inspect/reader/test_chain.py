"""What is missing in a chain of packets is told where it is, and nothing is of a whole file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import ROOT

from edge_runtime.inspect.reader.chain import Chain

COUNT = 20
KINDS = {
    "mpeg4.asf": "-c:v mpeg4 -q:v 2",
    "mjpeg.avi": "-c:v mjpeg -q:v 2",
    "flv1.flv": "-c:v flv -q:v 2",
    "h264.flv": "-c:v libx264 -preset ultrafast",
    "theora.ogv": "-c:v libtheora -q:v 9 -vf noise=alls=20:allf=t",
}
# What begins a packet that is not the first of its picture: the headers of these are wiped.
HEADS = {"asf": b"\x82\0\0", "avi": b"00dc", "flv": b"\x09", "ogv": b"OggS"}
BEGINS = (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), b"RIFF\0\0\0\0AVI ", b"FLV\1\1\0\0\0\x09", b"OggS")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the command ffmpeg, of Debian's ffmpeg")


def film(folder: Path, name: str) -> Path:
    words = ["ffmpeg", "-v", "error", "-i", str(ROOT / "samples/pcb/belt.mp4"), "-s", "320x320", "-pix_fmt", "yuv420p"]
    subprocess.run([*words, "-frames:v", str(COUNT), *KINDS[name].split(), str(folder / name)], check=True)
    return folder / name


def walked(path: Path) -> list[bool]:
    chain = Chain(str(path))
    found = [chain.broken() for _ in range(COUNT)]
    found.append(chain.rest())
    chain.close()
    return found


@needs_ffmpeg
@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_has_a_whole_chain(tmp_path: Path, name: str) -> None:
    assert walked(film(tmp_path, name)) == [False] * (COUNT + 1)


@needs_ffmpeg
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("length", [400, 3000])
def test_where_a_header_was_wiped_something_is_missing(tmp_path: Path, name: str, length: int) -> None:
    path = film(tmp_path, name)
    data = bytearray(path.read_bytes())
    place = data.find(HEADS[path.suffix[1:]], len(data) // 2)
    while path.suffix == ".flv" and any(data[place + 8 : place + 11]):  # a tag: its stream is 0
        place = data.find(b"\x09", place + 1)
    data[place - length // 2 : place + length // 2] = bytes(length)
    path.write_bytes(data)
    found = walked(path)
    assert sum(found) == 1
    assert not any(found[:3])


@pytest.mark.parametrize("begin", BEGINS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=500))
def test_any_bytes_are_borne(tmp_path: Path, begin: bytes, data: bytes) -> None:
    (tmp_path / "film").write_bytes(begin + data)
    walked(tmp_path / "film")


def test_other_files_and_addresses_have_no_chain(tmp_path: Path) -> None:
    (tmp_path / "sound.wav").write_bytes(b"RIFF\0\0\0\0WAVE" + bytes(100))
    for path in (str(tmp_path / "sound.wav"), str(tmp_path / "none"), "http://127.0.0.1/film.avi"):
        assert not Chain(path).broken()

"""RTSP over TCP without some of its packets: no picture is given that is not the one that was sent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from places import ROOT
from rtsp_cameras import RATE, RtspCamera, pictures_of

BELT = ROOT / "samples/pcb/belt.mp4"
SIDE, COUNT = 320, 90  # beyond what is read ahead while a stream is opened
pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the command ffmpeg, of Debian's ffmpeg")
needs_av = pytest.mark.skipif(find_spec("av") is None, reason="needs the extra [video]")
BOTH = [pytest.param("av", marks=needs_av), "opencv"]
FORMS = {
    "h264": "libx264 -x264-params aud=1:sliced-threads=0",
    "h264, slices": "libx264 -x264-params aud=1:slices=4",
    "hevc": "libx265 -x265-params aud=1:log-level=none:keyint=10:repeat-headers=1",
}
_READ = """
import os, sys
from edge_runtime.inspect.reader import log
log.capture()
from edge_runtime.inspect.reader.decoder import DecoderSettings, Shot
from edge_runtime.inspect.reader.decoders import open_decoder
import numpy as np
decoder, folder, transport, *urls = sys.argv[1:]
extra = {"rtsp_transport": "udp"} if transport == "udp" else {}
for number, url in enumerate(urls):
    opened = open_decoder(DecoderSettings(url, "stream", decoder, read_timeout=20.0, extra=extra))
    times, pictures = [], []
    while isinstance(shot := opened.read(), Shot):
        times.append(-1.0 if shot.pts is None else shot.pts)
        side = (1, 1, 3) if shot.image is None else np.asarray(shot.image).shape
        pictures.append(np.zeros(side, np.uint8) if shot.image is None else np.array(shot.image))
        if extra and (shot.pts or 0) > 4.8:  # nobody says where it ends
            break
    opened.close()
    np.savez(f"{folder}/{number}.npz", times, *pictures)
"""


def encoded(form: str, size: int = SIDE, count: int = COUNT, flags: str = "") -> tuple[list[list[bytes]], str]:
    codec = form.partition(",")[0]
    words = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(BELT), "-vf", f"setpts=N/{RATE}/TB"]
    words += ["-s", f"{size}x{size}", "-r", str(RATE), "-frames:v", str(count), "-pix_fmt", "yuv420p", "-g", "10"]
    words += [
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-c:v",
        *FORMS[form].split(),
        *flags.split(),
        "-f",
        codec,
        "-",
    ]
    return pictures_of(subprocess.run(words, check=True, capture_output=True).stdout, codec), codec


def read(
    decoder: str, folder: Path, cameras: list[RtspCamera], transport: str = "tcp"
) -> list[list[tuple[float, NDArray[np.uint8] | None]]]:
    """What a reader gives of each camera: each picture's time, and it, or None where there is an error."""
    environment = {**os.environ, "OPENCV_FFMPEG_LOGLEVEL": "40"}
    words = [sys.executable, "-c", _READ, decoder, str(folder), transport, *(camera.url for camera in cameras)]
    subprocess.run(words, check=True, env=environment, timeout=120)
    found = []
    for number in range(len(cameras)):
        with np.load(folder / f"{number}.npz") as told:
            pictures = [told[f"arr_{place + 1}"] for place in range(len(told["arr_0"]))]
            found.append(
                [(float(at), one if one.any() else None) for at, one in zip(told["arr_0"], pictures, strict=True)]
            )
    return found


def as_sent(at: float, picture: NDArray[np.uint8], sent: dict[int, NDArray[np.uint8]]) -> bool:
    """OpenCV counts its times from the first picture that it saw, which may be the second one."""
    near = [sent[place] for place in range(round(at * RATE) - 1, round(at * RATE) + 2) if place in sent]
    return not all(smeared(picture, true) for true in near)


def smeared(picture: NDArray[np.uint8], true: NDArray[np.uint8]) -> bool:
    """By more than what a loop filter leaves out after damage, in any block of 16 x 16."""
    apart = np.abs(picture.astype(int) - true).reshape(SIDE // 16, 16, SIDE // 16, 16, 3)
    return bool(apart.mean((1, 3, 4)).max() > 8)


@pytest.mark.parametrize("decoder", BOTH)
def test_over_udp_a_lost_packet_is_told_of_as_it_is_over_tcp(tmp_path: Path, decoder: str) -> None:
    pictures, codec = encoded("h264", count=60)
    at = len(RtspCamera(pictures[:42], codec).packets)  # in the middle of a group
    cameras = [RtspCamera(pictures, codec), RtspCamera(pictures, codec, {at, at + 3})]
    (truth,) = read(decoder, tmp_path, [RtspCamera(pictures, codec)])
    honest, lossy = read(decoder, tmp_path, cameras, "udp")
    sent = {round(moment * RATE): picture for moment, picture in truth if picture is not None}
    given = [(moment, picture) for moment, picture in [*honest, *lossy] if picture is not None]
    assert [moment for moment, picture in given if moment >= 0 and not as_sent(moment, picture, sent)] == []
    assert len([1 for _, picture in honest if picture is not None]) > 30
    assert len([1 for _, picture in lossy if picture is None]) > 0


@pytest.mark.parametrize("decoder", BOTH)
@pytest.mark.parametrize("form", FORMS)
def test_without_some_packets_no_picture_is_given_that_was_not_sent(tmp_path: Path, form: str, decoder: str) -> None:
    pictures, codec = encoded(form)
    count = len(RtspCamera(pictures, codec).packets)
    losses = [{place for place in range(count) if Random(f"{turn} {place}").random() < 0.008} for turn in range(4)]
    cameras = [RtspCamera(pictures, codec, lost) for lost in [set[int](), *losses]]
    honest, *others = read(decoder, tmp_path, cameras)
    assert [at for at, picture in honest if picture is None] == []
    assert len(honest) == COUNT
    truth = {round(at * RATE): picture for at, picture in honest if picture is not None}
    given = [(at, picture) for found in others for at, picture in found if picture is not None]
    wrong = [at for at, picture in given if at >= 0 and not as_sent(at, picture, truth)]
    assert wrong == []
    assert len(given) > COUNT // 4  # it goes on after the next whole picture


@needs_av
def test_what_a_damaged_picture_leaves_in_the_decoder_is_in_no_later_one(tmp_path: Path) -> None:
    # Noise in the colours: what is left of a macroblock is theirs, and was seen several pictures after the next key.
    noisy = "-crf 30 -x264-params aud=1:sliced-threads=0:scenecut=0 -vf setpts=N/10/TB,noise=c1s=40:c2s=40:allf=t"
    pictures, codec = encoded("h264", count=20, flags=noisy)
    group, both = (len(RtspCamera(pictures[:count], codec).packets) for count in (10, 20))
    before, last = 4, range(group - 12, group)
    lost = {(before + turn) * both + place for turn, place in enumerate(last)}
    cameras = [RtspCamera(pictures * 2, codec), RtspCamera(pictures * (before + len(last)), codec, lost)]
    honest, found = read("av", tmp_path, cameras)
    truth = {round(at * RATE): picture for at, picture in honest if picture is not None}
    given = [(round(at * RATE), picture) for at, picture in found if picture is not None and at >= 0]
    assert [place for place, picture in given if smeared(picture, truth[place % 20 or 20])] == []
    assert len(given) > 10 * len(last)


@needs_av
def test_a_packet_that_is_lost_while_a_stream_is_opened_costs_no_more_than_a_later_one(tmp_path: Path) -> None:
    pictures, codec = encoded("h264", flags="-x264-params aud=1:sliced-threads=0:scenecut=0")
    lost = {len(RtspCamera(pictures[:13], codec).packets)}
    (found,) = read("av", tmp_path, [RtspCamera(pictures, codec, lost)])
    given = {round(at * RATE) for at, picture in found if picture is not None}
    assert {*range(1, 12), *range(20, COUNT - 1)} <= given
    assert {*range(13, 20)} & given == set()


@needs_av
def test_a_stream_that_refreshes_its_pictures_bit_by_bit_is_judged_again_after_a_loss(tmp_path: Path) -> None:
    refreshing = "-g 20 -x264-params aud=1:sliced-threads=0:scenecut=0:intra-refresh=1"
    pictures, codec = encoded("h264", count=120, flags=refreshing)
    at = len(RtspCamera(pictures[:65], codec).packets)
    honest, found = read("av", tmp_path, [RtspCamera(pictures, codec), RtspCamera(pictures, codec, {at})])
    truth = {round(at * RATE): picture for at, picture in honest if picture is not None}
    given = {round(at * RATE): picture for at, picture in found if picture is not None}
    assert {*range(66, 80)} & {*given} == set()
    assert {*range(101, 120)} <= {*given}
    assert not [place for place, picture in given.items() if place >= 0 and smeared(picture, truth[place])]


@pytest.mark.parametrize("decoder", BOTH)
def test_pictures_that_get_another_size_are_given_in_it_or_not(tmp_path: Path, decoder: str) -> None:
    first, other = encoded("h264", count=20)[0], encoded("h264", 192, count=20)[0]
    with RtspCamera([*first, *other, *first], "h264") as camera:
        (found,) = read(decoder, tmp_path, [camera])
    sides = [0 if picture is None else picture.shape[0] for _, picture in found]
    assert sides == [SIDE] * 20 + ([192] * 20 + [SIDE] * 20 if decoder == "av" else [])


@needs_av
def test_a_stream_whose_pictures_are_turned_in_the_middle_is_opened_again(tmp_path: Path) -> None:
    first = encoded("h264", count=30)[0]
    turned = encoded("h264", count=20, flags="-bsf:v h264_metadata=display_orientation=insert:rotate=90")[0]
    with RtspCamera([*first, *turned], "h264") as camera:
        (found,) = read("av", tmp_path, [camera])
    assert len(found) == 30

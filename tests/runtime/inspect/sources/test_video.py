"""Video files as a source."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from places import SHARED_DATA

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import DecoderFacts, DecoderSettings, DiedError, End, FakeDecoder, Shot
from edge_runtime.inspect.reader.opencv import OpenCvDecoder, as_bgr8
from edge_runtime.inspect.sources import VideoSource
from edge_runtime.inspect.sources.capture import FakeCapture

PICTURE = np.zeros((48, 64, 3), np.uint8)
REAL = SHARED_DATA / "videos"


def video(script: list[np.ndarray | None], declared: int = 0) -> VideoSource:
    return VideoSource("v.mp4", "v.mp4", "v", connect=lambda _: decoder(script, declared))


def decoder(script: list[np.ndarray | None], declared: int = 0) -> FakeDecoder:
    shots = [
        Shot(error="damaged", number=number) if picture is None else Shot(picture, number=number)
        for number, picture in enumerate(script)
    ]
    return FakeDecoder(shots, DecoderFacts("fake", fps=10, frames=declared or None))


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), number * 8 + 40, np.uint8))
    writer.release()
    return path


def test_a_video_is_read_to_its_end(tmp_path: Path) -> None:
    source = VideoSource(str(write_video(tmp_path / "v.mp4", 12)), "v.mp4", "v")
    frames = list(source)
    assert source.total == 12
    assert source.fps == 10
    assert [frame.frame_id for frame in frames] == list(range(12))
    assert all(frame.error is None for frame in frames)
    assert frames[3].stem == "v_000003"


def test_stride_keeps_the_numbers_of_the_file(tmp_path: Path) -> None:
    source = VideoSource(str(write_video(tmp_path / "v.mp4", 10)), "v.mp4", "v", 4)
    assert source.total == 3
    assert source.fps == 2.5
    assert [frame.frame_id for frame in source] == [0, 4, 8]


def test_a_frame_that_cannot_be_decoded_is_a_frame_with_an_error() -> None:
    frames = list(video([PICTURE, None, PICTURE], declared=3))
    assert [frame.error for frame in frames] == [None, "cannot decode: frame 1 of v.mp4: damaged", None]


def test_a_file_that_ends_well_before_its_declared_length_says_so() -> None:
    frames = list(video([PICTURE] * 50, declared=100))
    assert len(frames) == 51
    assert frames[-1].error == "cannot decode: v.mp4 ends after 50 of 100 frames (truncated)"


def test_a_count_that_is_off_by_two_is_no_failure() -> None:
    assert all(frame.error is None for frame in video([PICTURE] * 98, declared=100))


def test_a_video_without_any_frame_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="no frame"):
        list(video([]))


def test_a_file_that_is_no_video_is_a_source_error(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"nothing like a video")
    with pytest.raises(SourceError, match="cannot open the video"):
        VideoSource(str(tmp_path / "v.mp4"), "v.mp4", "v")


@pytest.mark.parametrize("count", [float("-inf"), -9.2e18, float("nan"), 1e300, 0.0])
def test_an_unknown_length_is_none(count: float) -> None:
    capture = FakeCapture([PICTURE])
    capture._properties[cv2.CAP_PROP_FRAME_COUNT] = count
    settings = DecoderSettings("v", "file")
    source = VideoSource("v", "v", "v", connect=lambda _: OpenCvDecoder(capture, settings))
    assert source.total is None
    assert source.fps is None
    assert len(list(source)) == 1


def test_closing_releases_the_file_and_ends_the_frames() -> None:
    opened = decoder([PICTURE] * 5)
    source = VideoSource("v", "v", "v", connect=lambda _: opened)
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert opened.closed
    assert list(frames) == []


def test_a_video_goes_on_after_a_frame_that_took_the_reading_process_with_it() -> None:
    lives = [decoder([PICTURE] * 3), decoder([PICTURE] * 6)]
    lives[0]._end = End("died of SIGSEGV", died=True)
    skipped = []

    def connect(settings: DecoderSettings) -> FakeDecoder:
        skipped.append(settings.skip)
        opened = lives.pop(0)
        opened._shots = iter(
            [shot for shot in opened._shots if isinstance(shot, Shot) and shot.number >= settings.skip]
        )
        return opened

    frames = list(VideoSource("v", "v.mp4", "v", connect=connect))
    assert skipped == [0, 4]
    assert [frame.frame_id for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert [frame.error for frame in frames if frame.error] == ["cannot decode: frame 3 of v.mp4: died of SIGSEGV"]


def test_a_video_that_takes_the_reading_process_with_it_again_and_again_ends_with_a_word_on_it() -> None:
    def connect(settings: DecoderSettings) -> FakeDecoder:
        return FakeDecoder([] if settings.skip else [Shot(PICTURE)], end=End("hung", died=True))

    frames = list(VideoSource("v", "v.mp4", "v", connect=connect))
    assert [frame.error for frame in frames] == [
        None,
        *(f"cannot decode: frame {number} of v.mp4: hung" for number in (1, 2, 3, 4)),
        "cannot decode: v.mp4 was not read from frame 5 on: hung",
    ]


def test_a_video_goes_on_though_another_source_takes_the_reading_process_with_it_several_times() -> None:
    lives: list[FakeDecoder | DiedError | SourceError] = [
        FakeDecoder([Shot(PICTURE)], end=End("died of SIGKILL", died=True)),
        DiedError("died of SIGKILL"),
        FakeDecoder([], end=End("died of SIGKILL", died=True)),
        FakeDecoder([Shot(PICTURE, number=3)], end=End("died of SIGKILL", died=True)),
        FakeDecoder([Shot(PICTURE, number=5)], end=End("died of SIGKILL", died=True)),
        SourceError("no such file"),
    ]

    def connect(settings: DecoderSettings) -> FakeDecoder:
        life = lives.pop(0)
        if isinstance(life, SourceError):
            raise life
        return life

    frames = list(VideoSource("v", "v.mp4", "v", connect=connect))
    assert [(frame.frame_id, frame.error is None) for frame in frames] == [
        (0, True), (1, False), (2, False), (3, True), (4, False), (5, True), (6, False), (7, False),
    ]  # fmt: skip
    assert frames[-1].error == "cannot decode: v.mp4 was not read from frame 7 on: no such file"


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (32, 32), (40 * number + 40, 0, 0)) for number in range(5)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=100)
    assert len(list(VideoSource(str(tmp_path / "a.gif"), "a.gif", "a"))) == 5


@pytest.mark.parametrize(
    "image",
    [PICTURE[..., 0], PICTURE[..., :1], PICTURE[..., [0, 1, 2, 0]], PICTURE.astype(np.uint16), PICTURE],
)
def test_every_kind_of_captured_picture_becomes_8_bit_bgr(image: np.ndarray) -> None:
    assert as_bgr8(image).shape == (48, 64, 3)
    assert as_bgr8(image).dtype == np.uint8


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/videos")
def test_a_real_video_cut_off_in_the_middle_is_not_silently_short(tmp_path: Path) -> None:
    data = (REAL / "intel_car-detection.mp4").read_bytes()
    (tmp_path / "v.mp4").write_bytes(data[: len(data) // 8])
    try:
        frames = list(VideoSource(str(tmp_path / "v.mp4"), "v.mp4", "v"))
    except SourceError:
        return  # its index is at the end: then it cannot be opened at all
    assert frames[-1].error is not None

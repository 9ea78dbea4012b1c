"""Lines on a stream."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import OutputError
from edge_runtime.inspect.fake_engine import fake_manifest, fake_ng, fake_ok
from edge_runtime.inspect.record import ModelIdentity, make_record
from edge_runtime.inspect.sinks import FakeSink, HumanSink, JsonSink
from edge_runtime.inspect.sinks.base import Sink
from edge_runtime.inspect.sinks.lines import human_line
from edge_runtime.inspect.sources import Frame
from edge_runtime.results import Box, Prediction, Result

IMAGE = np.zeros((40, 60, 3), np.uint8)
FRAME = Frame("boards", 2, "board-03", image=IMAGE, path=Path("boards/board-03.png"))
VIDEO = Frame("in/belt.mp4", 11, "belt_000011", image=IMAGE)
RECORD = make_record(FRAME, fake_ng(), ModelIdentity.of(fake_manifest(), "0"))


def found(name: str, box: Box | None = None, area: float | None = None) -> Prediction:
    return Prediction(name, 0, 0.93, box, area)


BOX = Box(0, 0, 1, 1)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (fake_ok(), "image 3/12 board-03.png: OK  14.2 ms"),
        (
            Result("NG", (), (found("open", BOX), found("spur", BOX), found("spur", BOX))),
            "image 3/12 board-03.png: NG  open x1, spur x2  14.2 ms",
        ),
        (Result("OK", (), (found("cat"),)), "image 3/12 board-03.png: OK  cat 0.93  14.2 ms"),
        (Result("NG", ("spur x2",), ()), "image 3/12 board-03.png: NG  spur x2  14.2 ms"),
        (Result("NG", (), (found("rust", BOX, 0.12),)), "image 3/12 board-03.png: NG  rust 12.0%  14.2 ms"),
        (Result("NG", (), (), score=0.9), "image 3/12 board-03.png: NG  score 0.900  14.2 ms"),
        (
            Result("NO_READ", ("cannot decode: x",), ()),
            "image 3/12 board-03.png: NO READ  cannot decode: x  14.2 ms",
        ),
        (
            Result("OK", (), (), tensors={"y": np.zeros((2, 3))}),
            "image 3/12 board-03.png: OK  y [2, 3]  14.2 ms",
        ),
    ],
)
def test_a_line_says_what_was_found(result: Result, expected: str) -> None:
    assert human_line(FRAME, result, "image", 12, 14.21) == expected


def test_a_video_frame_is_named_by_its_source() -> None:
    assert human_line(VIDEO, fake_ok(), "video", 100, 5.0) == "frame 12 belt.mp4: OK  5.0 ms"


@pytest.mark.parametrize(
    ("source", "name"),
    [("videos/belt.mp4", "belt.mp4"), ("rtsp://cam/1", "rtsp://cam/1"), ("/dev/video0", "/dev/video0"), ("0", "0")],
)
def test_a_video_in_real_time_is_named_by_its_file_and_a_camera_by_its_address(source: str, name: str) -> None:
    frame = Frame(source, 3, "stem", image=IMAGE)
    assert f" 4 {name}: OK" in human_line(frame, fake_ok(), "live", None, 1.0)


def test_colour_is_used_only_when_asked_for() -> None:
    assert "\x1b[" in human_line(FRAME, fake_ng(), "image", 12, 1.0, colour=True)
    assert "\x1b[" not in human_line(FRAME, fake_ng(), "image", 12, 1.0)


def test_json_lines_are_flushed_one_by_one() -> None:
    stream = io.StringIO()
    sink = JsonSink(stream)
    sink.write(FRAME, fake_ng(), RECORD)
    sink.write(FRAME, fake_ng(), RECORD)
    assert [json.loads(line)["verdict"] for line in stream.getvalue().splitlines()] == ["NG", "NG"]


class FailingStream(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize("human", [True, False])
def test_a_full_disk_behind_stdout_is_an_output_error(human: bool) -> None:
    stream = FailingStream(OSError(28, "No space left on device"))
    sink: Sink = HumanSink(stream, "image", 1, False) if human else JsonSink(stream)
    with pytest.raises(OutputError, match="No space left"):
        sink.write(FRAME, fake_ng(), RECORD)


def test_a_reader_that_went_away_is_no_output_error() -> None:
    with pytest.raises(BrokenPipeError):
        JsonSink(FailingStream(BrokenPipeError())).write(FRAME, fake_ng(), RECORD)


def test_the_fake_sink_remembers() -> None:
    sink = FakeSink()
    sink.write(FRAME, fake_ng(), RECORD)
    sink.close()
    assert sink.records == [RECORD]
    assert sink.closed == 1

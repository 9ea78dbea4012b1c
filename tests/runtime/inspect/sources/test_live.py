"""Cameras and streams: newest frame, reconnecting, silence."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources import Frame, LiveOptions, LiveSource, Source, SourceOptions, open_source
from edge_runtime.inspect.sources.capture import Capture, FakeCapture

FAST = LiveOptions(poll=0.001)


def picture(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, np.uint8)


class GatedCapture(FakeCapture):
    """Gives each frame after the first only once the test lets it through, and tells when it was asked."""

    def __init__(self, script: list[np.ndarray | None]) -> None:
        super().__init__(script)
        self.gate = threading.Semaphore(1)
        self.asked = threading.Semaphore(0)

    def grab(self) -> bool:
        self.asked.release()
        self.gate.acquire()
        return super().grab()


def live(
    connects: list[Capture | None],
    options: LiveOptions = FAST,
    stop: Callable[[], bool] = lambda: False,
    pauses: list[float] | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> LiveSource:
    """Return a source that connects to each of `connects` in turn, then to nothing, and never waits."""
    turns: Iterator[Capture | None] = itertools.chain(connects, itertools.repeat(None))

    def pause(seconds: float) -> bool:
        if pauses is not None:
            pauses.append(seconds)
        return False

    return LiveSource("cam", "cam", lambda: next(turns), "check the cable", options, stop, clock=clock, pause=pause)


def collect(source: Source, frames: list[Frame]) -> None:
    """Append the source's frames to `frames`, which keeps them when the source ends with an error."""
    frames.extend(source)


def test_a_camera_that_is_not_there_says_what_to_check() -> None:
    with pytest.raises(SourceError, match="cannot open cam: check the cable"):
        live([None])


def test_a_camera_that_opens_but_gives_nothing_is_released_and_refused() -> None:
    capture = FakeCapture([])
    with pytest.raises(SourceError, match="gives no picture"):
        live([capture])
    assert capture.released


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    capture = GatedCapture([picture(value) for value in range(5)])
    source = live([capture])
    # First grab, in the constructor; then the thread asks for the second: frame 0 lies in the slot.
    for _ in range(2):
        capture.asked.acquire()
    for _ in range(3):
        capture.gate.release()
        capture.asked.acquire()
    frame = next(iter(source))
    assert frame.image is not None
    assert frame.image[0, 0, 0] == 3
    assert source.dropped == 3
    capture.gate.release(10)
    source.close()
    assert capture.released


def test_every_failed_attempt_is_a_frame_with_an_error_and_the_camera_comes_back() -> None:
    pauses: list[float] = []
    back = GatedCapture([picture(9), picture(10)])
    source = live([FakeCapture([picture(1)]), None, FakeCapture([]), back], pauses=pauses)
    frames = list(itertools.islice(source, 5))
    assert [frame.error is None for frame in frames] == [True, False, False, False, True]
    assert frames[1].error == "cam lost: attempt 1 to reconnect in 0.5 s"
    assert pauses == [0.5, 1.0, 2.0]
    assert frames[4].image is not None
    assert frames[4].image[0, 0, 0] == 9
    assert [frame.frame_id for frame in frames] == [0, 1, 2, 3, 4]
    back.gate.release(10)
    source.close()


def test_a_frame_that_cannot_be_decoded_counts_as_lost() -> None:
    source = live([FakeCapture([picture(1), None])])
    frames = list(itertools.islice(source, 2))
    assert frames[1].error is not None
    source.close()


def test_back_off_doubles_up_to_its_limit() -> None:
    pauses: list[float] = []
    source = live([FakeCapture([picture(1)])], pauses=pauses)
    list(itertools.islice(source, 9))
    source.close()
    assert pauses[:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_reconnecting_is_given_up_in_time_with_a_last_error_frame() -> None:
    ticks = itertools.count(step=1.0)
    source = live(
        [FakeCapture([picture(1)])],
        LiveOptions(reconnect=30.0, silence=1e9, poll=0.001),
        clock=lambda: next(ticks),
    )
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="was lost and 30 s"):
        collect(source, frames)
    source.close()
    assert frames[-1].error is not None
    assert "given up" in frames[-1].error


def test_zero_seconds_of_reconnecting_still_show_the_loss_as_a_frame() -> None:
    source = live([FakeCapture([picture(1)])], LiveOptions(reconnect=0.0, poll=0.001))
    frames = iter(source)
    assert next(frames).error is None
    lost = next(frames)
    assert lost.error == "cam lost: given up after 0 attempts to reconnect"
    with pytest.raises(SourceError):
        next(frames)
    source.close()


def test_a_camera_that_hangs_is_reported_and_not_waited_for_in_silence() -> None:
    capture = GatedCapture([picture(1), picture(2)])
    ticks = itertools.count(step=4.0)
    source = live([capture], LiveOptions(silence=10.0, poll=0.001), clock=lambda: next(ticks))
    frames = iter(source)
    assert next(frames).error is None
    assert next(frames).error == "cam lost: no frame for 10 s"
    assert next(frames).error == "cam lost: no frame for 10 s"
    capture.gate.release(10)
    source.close()


def test_stop_ends_a_wait_for_a_frame() -> None:
    capture = GatedCapture([picture(1)])
    stopped: list[bool] = []
    source = live([capture], stop=lambda: bool(stopped))
    frames = iter(source)
    next(frames)
    stopped.append(True)
    assert list(frames) == []
    capture.gate.release(10)
    source.close()


def test_close_ends_a_thread_that_waits_for_its_error_to_be_taken() -> None:
    source = live([FakeCapture([picture(1)])])
    source.close()
    assert not source._thread.is_alive()


class _Mjpeg(BaseHTTPRequestHandler):
    """A camera of ten pictures, as web cameras send them."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for value in range(10):
            body = cv2.imencode(".jpg", np.full((48, 64, 3), value * 20, np.uint8))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body + b"\r\n")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Mjpeg)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_an_http_camera_is_read_and_its_end_is_a_loss(server: str) -> None:
    source = open_source(f"{server}/stream", SourceOptions(live=LiveOptions(reconnect=0.0)))
    frames: list[Frame] = []
    with pytest.raises(SourceError, match="was lost"):
        collect(source, frames)
    source.close()
    assert frames[0].image is not None
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[-1].error is not None
    assert sum(frame.error is None for frame in frames) + source.dropped == 10


def test_a_stream_that_nobody_serves_is_a_source_error(server: str) -> None:
    with pytest.raises(SourceError, match="check the address"):
        open_source("http://127.0.0.1:9/stream")

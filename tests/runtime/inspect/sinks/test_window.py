"""The window, with OpenCV's own functions replaced: the OpenCV of the tests has none."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from edge_runtime.inspect.fake_engine import fake_ok
from edge_runtime.inspect.sinks import WindowSink, window_possible
from edge_runtime.inspect.sources import Frame
from edge_runtime.inspect.stop import Stop
from edge_runtime.results import Result

FRAME = Frame("s", 0, "a", image=np.zeros((8, 8, 3), np.uint8))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the window functions called, in order; the key pressed is always q."""
    calls: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda *_: calls.append("show"))
    monkeypatch.setattr(cv2, "waitKey", lambda _: ord("q"))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: calls.append("close"))
    return calls


def test_q_ends_the_run_and_the_window_closes_once(shown: list[str]) -> None:
    stop = Stop()
    sink = WindowSink(stop)
    sink.write(FRAME, fake_ok(), {})
    assert stop()
    sink.close()
    sink.close()
    assert shown == ["show", "close"]


def test_a_frame_that_was_not_read_is_not_shown(shown: list[str]) -> None:
    WindowSink(Stop()).write(Frame("s", 0, "a", error="lost"), Result("NO_READ", ("lost",), ()), {})
    assert shown == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no DISPLAY")
def test_without_a_screen_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not window_possible()


def test_an_opencv_without_a_gui_has_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    assert not window_possible()

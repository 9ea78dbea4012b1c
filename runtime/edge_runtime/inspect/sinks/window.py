"""A window with the annotated frames, where OpenCV and the machine can show one."""

from __future__ import annotations

import os
import sys

import cv2

from edge_runtime.inspect.record import Record
from edge_runtime.inspect.sinks.base import Opened, Target
from edge_runtime.inspect.sources.base import Frame
from edge_runtime.inspect.stop import Stop
from edge_runtime.results import Result
from edge_runtime.vision.draw import draw

__all__ = ["WindowSink", "open_window", "window_possible"]

_TITLE = "edge-run (q ends)"


def window_possible() -> bool:
    """Return whether there is a screen and an OpenCV that can use it; opencv-python-headless never can."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL)
    except cv2.error:
        return False
    return True


class WindowSink:
    """Shows every frame; the key q ends the run."""

    def __init__(self, stop: Stop, title: str = _TITLE) -> None:
        self._stop, self._title = stop, title
        self._open = True

    def write(self, frame: Frame, result: Result, record: Record) -> None:
        """Show one frame."""
        if frame.shown is not None:
            cv2.imshow(self._title, draw(frame.shown, result))
        if cv2.waitKey(1) & 0xFF == ord("q"):
            self._stop.end()

    def close(self) -> None:
        """Close the window."""
        if self._open:
            cv2.destroyAllWindows()
            self._open = False


def open_window(target: Target) -> Opened | None:
    """Open a window where there can be one."""
    if not (target.settings.window and window_possible()):
        return None
    return Opened(WindowSink(target.stop, _TITLE if target.alone else f"edge-run {target.name} (q ends)"))

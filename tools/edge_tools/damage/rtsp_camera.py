"""A camera that speaks RTSP: rtsp_camera.py PORT FRAMES.bgr WIDTH HEIGHT RATE ENCODER CONTROL

FRAMES.bgr is played again and again. The word in the file CONTROL says what the camera does: play, freeze, black,
white, gray, stall, or size:WxH. ENCODER is a GStreamer pipeline that ends in a payloader called pay0. Nothing of this
project is imported: it runs under the system's Python, with Debian's python3-gi and gir1.2-gst-rtsp-server-1.0.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 (the versions come first)

Gst.init(None)
PORT, FRAMES, WIDTH, HEIGHT, _RATE, ENCODER, CONTROL = sys.argv[1:8]
RATE = Fraction(_RATE)  # 1/5: a picture each 5 s
SIZE = (int(WIDTH), int(HEIGHT))
FRAME_BYTES = SIZE[0] * SIZE[1] * 3
FILM = Path(FRAMES).read_bytes()
COUNT = len(FILM) // FRAME_BYTES
FLAT = {"black": 0, "white": 255, "gray": 128}


@functools.lru_cache(maxsize=64)
def scaled(place: int, width: int, height: int) -> bytes:
    """The nearest pixels of the frame at that place of the film, three bytes each."""
    frame = FILM[place : place + FRAME_BYTES]
    columns = [x * SIZE[0] // width * 3 for x in range(width)]
    rows = [y * SIZE[1] // height * SIZE[0] * 3 for y in range(height)]
    return b"".join(frame[row + column : row + column + 3] for row in rows for column in columns)


class Factory(GstRtspServer.RTSPMediaFactory):  # type: ignore[misc]
    """Makes the one stream that all callers share."""

    def __init__(self) -> None:
        super().__init__()
        self.set_shared(True)

    def do_create_element(self, url: Any) -> Any:
        """The pipeline from frames in memory to packets."""
        source = "appsrc name=src is-live=true block=true format=time max-bytes=8000000"
        return Gst.parse_launch(f"( {source} ! videoconvert ! {ENCODER} )")

    def do_configure(self, media: Any) -> None:
        """Begin to feed a new pipeline, until it ends."""
        source = media.get_element().get_by_name_recurse_up("src")
        stop = threading.Event()
        media.connect("unprepared", lambda _: stop.set())
        caps(source, *SIZE)
        threading.Thread(target=feed, args=(source, stop), daemon=True).start()


def caps(source: Any, width: int, height: int) -> None:
    """Say what size the next frames have."""
    text = f"video/x-raw,format=BGR,width={width},height={height},framerate={RATE.numerator}/{RATE.denominator}"
    source.set_property("caps", Gst.Caps.from_string(text))


def feed(source: Any, stop: threading.Event) -> None:
    """Push a frame each period, by the monotonic clock."""
    began, number, shown, told = time.monotonic(), 0, 0, SIZE
    while not stop.is_set():
        due = float(number / RATE)
        time.sleep(max(0.0, began + due - time.monotonic()))
        number += 1
        word = Path(CONTROL).read_text().strip() or "play"
        if word == "stall":
            continue
        shown += word != "freeze"
        place = shown % COUNT * FRAME_BYTES
        size = SIZE
        frame = bytes([FLAT[word]]) * FRAME_BYTES if word in FLAT else FILM[place : place + FRAME_BYTES]
        if word.startswith("size:"):
            width, height = word[5:].split("x")
            size = (int(width), int(height))
            frame = scaled(place, *size)
        if size != told:
            caps(source, *size)
            told = size
        buffer = Gst.Buffer.new_wrapped(frame)
        buffer.pts = buffer.dts = int(due * Gst.SECOND)
        buffer.duration = int(Gst.SECOND / RATE)
        if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
            return


server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(PORT)
factory = Factory()
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
GLib.MainLoop().run()

"""OpenCV's VideoCapture as a decoder."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import cv2
import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader import log
from edge_runtime.inspect.reader.containers import counts_fields
from edge_runtime.inspect.reader.decoder import DecoderFacts, DecoderSettings, End, Shot
from edge_runtime.inspect.reader.packets import AHEAD, Packets, codec_of, woven_stream
from edge_runtime.inspect.reader.sizes import Sizes
from edge_runtime.inspect.reader.wholeness import ALL_ZERO, COUNTING, LOST_WHILE_OPENED, PROBED_SECONDS, Wholeness
from edge_runtime.inspect.reader.zeros import zeros_told

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_bgr8", "open_opencv"]


# With frame threads, what is said of a picture would be said while another one is asked for.
_ONE_THREAD = (cv2.CAP_PROP_N_THREADS, 1) if hasattr(cv2, "CAP_PROP_N_THREADS") else ()
_FRAME_TYPE: int | None = getattr(cv2, "CAP_PROP_FRAME_TYPE", None)
_EXTRA = "pip install 'edgeline[video]' reads it"
_NO_KEY = "first frame is no keyframe"
_REORDERED = 4  # pictures
_MOST_FPS = 30.0  # where a stream's rate is not known
# OpenCV takes them from the environment alone, and its own transport where there are none.
_OPTIONS, _RTSP = "OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_transport;tcp|reorder_queue_size;{COUNTING}"
_DEVICES = {
    cv2.VIDEO_ACCELERATION_D3D11: "d3d11",
    cv2.VIDEO_ACCELERATION_VAAPI: "vaapi",
    cv2.VIDEO_ACCELERATION_MFX: "mfx",
}
_RTSP_UDP = "rtsp_transport;udp"
_WOVEN = f"woven of two fields, which were taken at two times (interlaced video); {_EXTRA}"


def open_opencv(settings: DecoderSettings) -> OpenCvDecoder:
    """Open a video file, stream or camera. Raises SourceError."""
    heard = log.captured() if settings.way != "camera" else None
    lost = heard.lost if heard is not None and heard.drain() >= 0 else 0
    sizes = Sizes(heard)
    capture = _camera(settings.address) if settings.way == "camera" else _ffmpeg(settings)
    if not capture.isOpened():
        capture.release()
        sizes.close()
        raise SourceError(
            "damaged, not a video, or a codec that OpenCV lacks" if settings.way == "file" else "no answer"
        )
    decoder = OpenCvDecoder(cast("Capture", capture), settings, sizes)
    if decoder.untold:
        decoder.close()
        raise SourceError(f"OpenCV alone does not tell damaged pictures of its codec from whole ones; {_EXTRA}")
    if heard is not None and heard.lost > lost and settings.way == "stream":
        decoder.lost_while_opened()
    return decoder


def _camera(device: str) -> cv2.VideoCapture:
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    # /dev/v4l/by-id/... are links that OpenCV does not follow
    capture = cv2.VideoCapture(int(device) if device.isdigit() else os.path.realpath(device), backend)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _ffmpeg(settings: DecoderSettings) -> cv2.VideoCapture:
    if "://" not in settings.address:
        # Other backends read what FFmpeg's does not (numbered pictures); of them nothing is heard.
        capture = cv2.VideoCapture(settings.address, cv2.CAP_FFMPEG, list(_ONE_THREAD))
        return capture if capture.isOpened() else cv2.VideoCapture(settings.address)
    ours = (_RTSP, _RTSP_UDP)
    if settings.address.lower().startswith("rtsp"):
        if os.environ.get(_OPTIONS) in (None, *ours):
            os.environ[_OPTIONS] = _RTSP_UDP if settings.extra.get("rtsp_transport") == "udp" else _RTSP
    elif os.environ.get(_OPTIONS) in ours:
        del os.environ[_OPTIONS]
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        round(settings.open_timeout * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        round(settings.read_timeout * 1000),
    ]
    if settings.hardware:
        # With threads: a device has its own.
        device = [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY]
        capture = cv2.VideoCapture(settings.address, cv2.CAP_FFMPEG, [*limits, *device])
        if capture.isOpened() and capture.get(cv2.CAP_PROP_HW_ACCELERATION) != cv2.VIDEO_ACCELERATION_NONE:
            return capture
        capture.release()
    return cv2.VideoCapture(settings.address, cv2.CAP_FFMPEG, [*limits, *_ONE_THREAD])


class Capture(Protocol):
    """The part of cv2.VideoCapture that is used here."""

    def grab(self) -> bool:
        """Wait for the next frame; False at the end or on failure."""
        ...

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Decode the grabbed frame."""
        ...

    def get(self, prop: int) -> float:
        """Return a property, 0 or less when it is not known."""
        ...

    def release(self) -> None:
        """Free the device."""
        ...


class OpenCvDecoder:
    """Gives what retrieve() gives, but for what FFmpeg says of it on stderr, where that is heard (log.py)."""

    def __init__(self, capture: Capture, settings: DecoderSettings, sizes: Sizes | None = None) -> None:
        self._capture: Capture | None = capture
        self._sizes = sizes or Sizes(None)
        self._settings = settings
        self._number = -1
        self._intra = True  # every picture so far was
        self._log = log.captured() if settings.way != "camera" else None
        self._sizes.changed()  # the first
        self._wholeness = Wholeness()
        self._packets = Packets.open(settings.address) if settings.way == "file" else None
        # What is said while a file is opened is of what was tried on its beginning: 4.8.1 says that a JPEG has no end.
        self._seen = self._log.drain() if self._log is not None else 0
        self._woven = settings.way == "stream" and woven_stream(capture)
        self._lost = 0  # packets of which perhaps no picture came, as they were damaged
        self._held: Shot | None = None
        self._end: Shot | End = End()
        count = 0.0 if counts_fields(settings.address) else capture.get(cv2.CAP_PROP_FRAME_COUNT)
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.facts = DecoderFacts(
            "opencv",
            codec_of(capture) if settings.way != "camera" else "",
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            fps=fps if math.isfinite(fps) and 0 < fps < 1000 else None,
            # OpenCV answers with huge negative or infinite numbers for what it does not know.
            frames=int(count) if math.isfinite(count) and 0 < count < 2**40 else None,
            clocked=settings.way == "stream",
            hardware=_DEVICES.get(int(capture.get(cv2.CAP_PROP_HW_ACCELERATION)), "") if settings.hardware else "",
        )

    @property
    def untold(self) -> bool:
        """Whether nothing would tell that a picture is damaged: of this codec no rule is known here."""
        return self._packets is not None and not zeros_told(self._packets.codec)

    def lost_while_opened(self) -> None:
        """Packets were: which pictures miss them is not told."""
        self._wholeness.damaged(round(PROBED_SECONDS * (self.facts.fps or _MOST_FPS)), LOST_WHILE_OPENED)

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Return the next shot that the stride takes.

        A file's is given when the next one has been read: data that end in the middle are noticed behind them.
        """
        capture, settings = self._capture, self._settings
        while capture is not None:
            good = capture.grab()
            self._number += 1
            heard = self._heard()
            if good and not self._number:
                self._sizes.begun()
            resized = self._sizes.changed()
            if resized and settings.way == "stream":
                self._end = End(resized)
                self.close()
                break
            held, self._held = self._held, None
            if held is not None and held.image is not None and heard:
                held = replace(held, image=None, error=heard)
            if not good:
                self._end = self._ended(heard)
                self.close()
                if held is not None:
                    return held
                break
            wrong, key = self._judge(capture, heard, resized)
            shot = None
            if self._number >= settings.skip and not (self._number - settings.skip) % settings.stride:
                shot = self._shot(capture, wrong, key)
            if settings.way == "file":
                self._held, shot = shot, held
            if shot is not None:
                return shot
        end, self._end = self._end, End()
        return end

    def _ended(self, heard: str | None) -> Shot | End:
        if self._settings.way != "file":
            return End("no frame came")
        if heard:  # OpenCV reads no further
            return Shot(error=f"not read from here on: {heard}", number=self._number, whole=False)
        if self._packets is not None and (left := self._packets.left(self._number)):
            reason = (
                f"no picture came of {left} of its packets" if self._number else f"OpenCV cannot decode it; {_EXTRA}"
            )
            return Shot(error=reason, number=self._number, whole=False)
        return End()

    def _shot(self, capture: Capture, wrong: str | None, key: bool) -> Shot:
        arrived = time.monotonic()
        if wrong is None and self._woven:
            wrong = _WOVEN
        before = self._no_picture()
        good, image = capture.retrieve()
        ms = (time.monotonic() - arrived) * 1000
        at = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        pts = at if self._settings.way != "camera" and math.isfinite(at) and (at > 0 or self._number == 0) else None
        if wrong is None and (not good or image is None):
            wrong = "OpenCV cannot decode it"
        elif wrong is None and self._no_picture() > before:
            # OpenCV 4.14 and 5.0 give True, and memory that holds zeros or something older, for interlaced 4:2:0.
            wrong = f"OpenCV made no picture of it: interlaced video, or a format of its own; {_EXTRA}"
        elif wrong is None and image is not None and not image.any():
            wrong = ALL_ZERO
        if wrong is not None or image is None:
            return Shot(error=wrong, pts=pts, arrived=arrived, number=self._number, whole=key, decode_ms=ms)
        return Shot(as_bgr8(image), None, pts, arrived, self._number, key, decode_ms=ms)

    def _no_picture(self) -> int:
        if self._log is None:
            return 0
        self._log.drain()
        return self._log.no_picture

    def _heard(self) -> str | None:
        """What FFmpeg said of damage since the last time."""
        if self._log is None or (seen := self._log.drain()) == self._seen:
            return None
        self._seen = seen
        if self.facts.codec == "h261" and self._log.last.endswith(_NO_KEY):  # which it has none of
            return None
        return f"FFmpeg says: {self._log.last}"

    def _judge(self, capture: Capture, heard: str | None, resized: str | None) -> tuple[str | None, bool]:
        """What is wrong with the grabbed picture, and whether it needs no other one."""
        key = capture.get(_FRAME_TYPE) == ord("I") if _FRAME_TYPE is not None else False
        self._intra = self._intra and key
        # Where pictures are shown in another order than they are decoded, one from before comes out after it.
        after = 0 if self._intra else _REORDERED
        if heard:
            self._wholeness.damaged(self._number + after, heard)
        if self._packets is not None:
            self._lost += AHEAD if heard else 0
            told = self._packets.tell(self._number, (1 if self._intra else AHEAD) + self._lost)
            self._woven = told.woven
            if told.damaged is not None:
                number, why = told.damaged
                self._wholeness.damaged(number + max(after, 1), why)
            resized = resized or told.resized
            key = key and not told.follows
            self._heard()  # what the packets' demuxer said, the pictures' has said or will say
        wrong = self._wholeness.judge(self._number, key)
        return wrong or (f"{resized}; {_EXTRA}" if resized else None), key

    def close(self) -> None:
        """Close the file or device."""
        self._sizes.close()
        if self._capture is not None:
            self._capture.release()
            self._capture = None
        if self._packets is not None:
            self._packets.close()


def as_bgr8(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a captured picture as uint8 [height, width, 3], BGR: some cameras deliver gray or 16 bits."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    if image.shape[2] == 4:
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGRA2BGR))
    return cast("NDArray[np.uint8]", image)

"""Cameras on the ribbon cable of a board (CSI): by what the board's makers provide, the first of these that is here.

A Raspberry Pi has picamera2, rpicam-vid, libcamera-vid; a Jetson GStreamer with nvarguscamerasrc; others libcamerasrc.
Programs give plain pixels by a pipe, so OpenCV needs no GStreamer of its own.
"""

from __future__ import annotations

import importlib
import os
import select
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import cv2
import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import Decoder, DecoderFacts, DecoderSettings, End, Shot

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CsiAddress", "PipeDecoder", "open_csi", "parse_csi", "way_to"]

_NAMES = ("width", "height", "fps")
_STEP = 128  # rows of such widths have no padding, whoever writes them
_END_S = 2.0
_PIPE = "{pipe}"  # in a command: the descriptor that pixels are written to


@dataclass(frozen=True)
class CsiAddress:
    """`csi:0?width=1280&height=720&fps=30`: which camera, and what is asked of it."""

    number: int = 0
    width: int = 1280
    height: int = 720
    fps: int = 30


Pixels = Literal["i420", "bgr"]


@dataclass(frozen=True)
class Way:
    """A program that writes pictures in `pixels` to its stdout, or, where `apart`, to a descriptor of their own."""

    name: str
    command: tuple[str, ...]
    pixels: Pixels
    apart: bool = False


def parse_csi(text: str) -> CsiAddress:
    """Read an address. Raises SourceError for what is none."""
    parts = urlsplit(text)
    values = {"number": parts.path or "0", **dict(parse_qsl(parts.query, keep_blank_values=True))}
    unknown = sorted(values.keys() - {"number", *_NAMES})
    wrong = sorted(name for name, value in values.items() if not (value.isascii() and value.isdigit()))
    if parts.scheme != "csi" or unknown or wrong:
        what = f"unknown: {', '.join(unknown)}" if unknown else f"no number: {', '.join(wrong)}"
        raise SourceError(f"{text} is no CSI camera ({what}); write csi:0, or csi:0?width=1280&height=720&fps=30")
    found = CsiAddress(**{name: int(value) for name, value in values.items()})
    if found.width % _STEP or not found.width or found.height % 2 or not found.height or not found.fps:
        raise SourceError(f"{text}: width is a multiple of {_STEP}, height of 2, and fps at least 1")
    return found


def way_to(asked: CsiAddress, which: Callable[[str], str | None] = shutil.which) -> Way | None:
    """Return the program that reads a camera here; None: there is none."""
    number, width, height, fps = map(str, (asked.number, asked.width, asked.height, asked.fps))
    for program in ("rpicam-vid", "libcamera-vid"):
        if which(program):
            words = [program, "--camera", number, "--codec", "yuv420", "--width", width, "--height", height]
            words += ["--framerate", fps, "--timeout", "0", "--nopreview", "--flush", "--output", "-"]
            return Way(program, tuple(words), "i420")
    if not (which("gst-launch-1.0") and which("gst-inspect-1.0")):
        return None
    size = f"width={width},height={height}"
    ends = ["!", "videoconvert", "!", f"video/x-raw,format=BGR,{size}", "!", "fdsink", f"fd={_PIPE}", "sync=false"]
    if _has("nvarguscamerasrc"):
        caps = f"video/x-raw(memory:NVMM),{size},framerate={fps}/1"
        words = ["nvarguscamerasrc", f"sensor-id={number}", "!", caps, "!", "nvvidconv", "!", "video/x-raw,format=BGRx"]
        return Way("nvarguscamerasrc", ("gst-launch-1.0", "-q", *words, *ends), "bgr", apart=True)
    if _has("libcamerasrc"):
        words = ["libcamerasrc", "!", f"video/x-raw,{size},framerate={fps}/1"]
        return Way("libcamerasrc", ("gst-launch-1.0", "-q", *words, *ends), "bgr", apart=True)
    return None


def _has(element: str) -> bool:
    found = subprocess.run(["gst-inspect-1.0", "--exists", element], capture_output=True, check=False, timeout=30)
    return found.returncode == 0


def open_csi(settings: DecoderSettings) -> Decoder:
    """Open a CSI camera. Raises SourceError where there is no way to one here."""
    asked = parse_csi(settings.address)
    if find_spec("picamera2") is not None:
        return Picamera2Decoder(asked)
    way = way_to(asked)
    if way is None:
        raise SourceError(
            "nothing here reads CSI cameras: looked for picamera2, rpicam-vid, libcamera-vid, and GStreamer's "
            "nvarguscamerasrc and libcamerasrc; on a Raspberry Pi: apt install rpicam-apps; a Jetson brings its own"
        )
    return PipeDecoder(way, asked, settings.read_timeout)


class PipeDecoder:
    """Reads pictures from a program's pipe."""

    def __init__(self, way: Way, asked: CsiAddress, silence: float) -> None:
        """`silence`: seconds without a byte after which the program is taken to hang. Raises SourceError."""
        self.facts = DecoderFacts(way.name, "raw", asked.width, asked.height, float(asked.fps))
        self._way, self._asked, self._silence = way, asked, silence
        self._size = asked.width * asked.height * 3 // (2 if way.pixels == "i420" else 1)
        self._data = bytearray()
        self._number = 0
        self._heard = time.monotonic()
        self._said: deque[str] = deque(maxlen=5)
        self._end: End | None = None
        self._pipe, self._process = self._started(way)
        told = self._process.stderr if self._process.stderr is not None else self._process.stdout
        self._listener = threading.Thread(target=self._listen, args=(told,), daemon=True)
        self._listener.start()

    def _started(self, way: Way) -> tuple[int, subprocess.Popen[bytes]]:
        reads, writes = os.pipe()
        try:
            command = [word.replace(_PIPE, str(writes)) for word in way.command]
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if way.apart else writes,
                stderr=subprocess.STDOUT if way.apart else subprocess.PIPE,
                pass_fds=(writes,) if way.apart else (),
            )
        except OSError as error:
            os.close(reads)
            raise SourceError(f"cannot start {way.name}: {error.strerror}") from error
        finally:
            os.close(writes)
        return reads, process

    def _listen(self, told: Any) -> None:
        with told:
            for line in told:
                if text := line.decode("utf-8", "replace").strip():
                    self._said.append(text[:200])

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Wait for the next picture."""
        until = None if timeout is None else time.monotonic() + timeout
        while self._end is None:
            if len(self._data) >= self._size:
                return self._shot()
            now = time.monotonic()
            if now - self._heard > self._silence:
                self._end = End(f"{self._way.name} gave nothing for {self._silence:g} s")
                break
            left = self._silence - (now - self._heard) if until is None else min(until - now, self._silence)
            if left <= 0:
                return None
            if not select.select([self._pipe], [], [], left)[0]:
                continue
            data = os.read(self._pipe, self._size - len(self._data))
            self._heard = time.monotonic()
            if not data:
                self._end = End(self._why())
                break
            self._data += data
        return self._end

    def _shot(self) -> Shot:
        asked, number = self._asked, self._number
        self._number += 1
        pixels = np.frombuffer(bytes(self._data), np.uint8)
        self._data = bytearray()
        if self._way.pixels == "i420":
            planes = pixels.reshape(asked.height * 3 // 2, asked.width)
            image = cast("NDArray[np.uint8]", cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420))
        else:
            image = pixels.reshape(asked.height, asked.width, 3)
        return Shot(image, arrived=self._heard, number=number)

    def _why(self) -> str:
        """What the program said last, and how it ended."""
        code = self._process.wait(_END_S)
        self._listener.join(_END_S)
        said = self._said[-1] if self._said else "it said nothing"
        half = f", {len(self._data)} bytes into a picture" if self._data else ""
        return f"{self._way.name} ended with {code}{half}: {said}"

    def close(self) -> None:
        """End the program."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        self._end = self._end or End()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._listener.join(_END_S)


class Picamera2Decoder:
    """picamera2, as the Raspberry Pi's system brings it (a venv needs --system-site-packages)."""

    def __init__(self, asked: CsiAddress) -> None:
        """Raises SourceError."""
        module = importlib.import_module("picamera2")  # of the system, no requirement of ours
        try:
            self._camera = module.Picamera2(asked.number)
            size = {"size": (asked.width, asked.height), "format": "RGB888"}  # which lies as B, G, R in memory
            self._camera.configure(self._camera.create_video_configuration(main=size, buffer_count=4))
            self._camera.set_controls({"FrameRate": asked.fps})
            self._camera.start()
        except (RuntimeError, IndexError, OSError) as error:
            raise SourceError(f"picamera2 cannot open camera {asked.number}: {error}") from error
        self.facts = DecoderFacts("picamera2", "raw", asked.width, asked.height, float(asked.fps))
        self._number, self._closed = 0, False

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Wait for the next picture."""
        if self._closed:
            return End()
        try:
            image = np.ascontiguousarray(self._camera.capture_array("main"))
        except (RuntimeError, OSError) as error:
            return End(f"picamera2: {error}")
        number, self._number = self._number, self._number + 1
        return Shot(image, number=number)

    def close(self) -> None:
        """Stop the camera."""
        if not self._closed:
            self._closed = True
            self._camera.close()

"""Machine vision cameras (GigE Vision, USB3 Vision, ...) by their makers' GenTL producers: the extra [genicam]."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

import cv2
import numpy as np

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import DecoderFacts, DecoderSettings, End, Shot

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GenicamDecoder", "as_bgr", "open_genicam", "producers"]

_PATH = "GENICAM_GENTL64_PATH"  # where makers' installers say that their producers are
_AT_ONCE_S = 0.5  # a fetch waits so long, and is made again
# By the names of GenICam's Pixel Format Naming Convention: what OpenCV makes BGR of them.
_COLOURS: Mapping[str, int | None] = {
    "BGR8": None,
    "RGB8": cv2.COLOR_RGB2BGR,
    "RGBa8": cv2.COLOR_RGBA2BGR,
    "BGRa8": cv2.COLOR_BGRA2BGR,
    # A Bayer pattern is named by its first two pixels there, by the second row's second and third in OpenCV.
    "BayerRG8": cv2.COLOR_BayerBG2BGR,
    "BayerGR8": cv2.COLOR_BayerGB2BGR,
    "BayerGB8": cv2.COLOR_BayerGR2BGR,
    "BayerBG8": cv2.COLOR_BayerRG2BGR,
}
_GRAY: Mapping[str, int] = {"Mono8": 0, "Mono10": 2, "Mono12": 4, "Mono14": 6, "Mono16": 8}  # bits beyond eight


def producers(asked: str | None, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the producers (.cti) that an address names, or else that are installed. Raises SourceError for none."""
    if asked is not None:
        if not Path(asked).is_file():
            raise SourceError(f"there is no GenTL producer {asked}")
        return [Path(asked)]
    folders = [Path(folder) for folder in environment.get(_PATH, "").split(os.pathsep) if folder]
    found = sorted(file for folder in folders if folder.is_dir() for file in folder.glob("*.cti"))
    if not found:
        raise SourceError(
            f"no GenTL producer: {_PATH} names no folder with a .cti; install the camera maker's, or name it: "
            "genicam:SERIAL?cti=/opt/maker/producer.cti"
        )
    return found


def open_genicam(settings: DecoderSettings) -> GenicamDecoder:
    """Open `genicam:NAME`: a camera's serial number, id or own name, or its place in the list, from 0."""
    try:
        from harvesters.core import Harvester
    except ImportError as error:
        raise SourceError("GenICam needs harvesters, not installed here: pip install 'edgeline[genicam]'") from error
    name, _, query = settings.address.partition(":")[2].partition("?")
    values = dict(parse_qsl(query))
    if values.keys() - {"cti"}:
        raise SourceError(f"{settings.address}: write genicam:NAME, or genicam:NAME?cti=/path/of/producer.cti")
    harvester = Harvester()
    try:
        for file in producers(values.get("cti")):
            harvester.add_file(str(file))
        harvester.update()
        acquirer = harvester.create(_place(harvester.device_info_list, name))
        try:
            return GenicamDecoder(harvester, acquirer, settings.read_timeout)
        except BaseException:
            acquirer.destroy()
            raise
    except SourceError:
        harvester.reset()
        raise
    except Exception as error:  # producers raise what they like
        harvester.reset()
        raise SourceError(f"the camera cannot be opened: {type(error).__name__}: {error}") from error


def _place(devices: Sequence[Any], name: str) -> int:
    """Where a camera stands among those that are there. Raises SourceError where none is called so, or several are."""
    known = [_names(device) for device in devices]
    found = [place for place, names in enumerate(known) if name in names]
    if len(found) == 1:
        return found[0]
    if not found and name.isascii() and name.isdigit() and int(name) < len(devices):
        return int(name)
    there = "; ".join(" ".join(names) for names in known) or "none"
    raise SourceError(f"{len(found) or 'no'} GenICam cameras are called {name!r}; there are: {there}")


def _names(device: Any) -> list[str]:
    names = []
    for key in ("id_", "serial_number", "user_defined_name"):
        try:
            value = str(getattr(device, key))
        except Exception:  # noqa: BLE001  # a producer raises an exception of its own for what it does not tell
            continue
        if value and value not in names:
            names.append(value)
    return names


class GenicamDecoder:
    """Gives whole buffers as pictures; of others it says that they are not."""

    def __init__(self, harvester: Any, acquirer: Any, silence: float) -> None:
        """`silence`: seconds without a buffer after which the camera is lost. Begins to acquire."""
        self._harvester, self._acquirer, self._silence = harvester, acquirer, silence
        nodes = acquirer.remote_device.node_map
        pixels = str(nodes.PixelFormat.value)
        if pixels not in _COLOURS and pixels not in _GRAY:
            known = ", ".join([*_GRAY, *_COLOURS])
            raise SourceError(f"the camera gives {pixels}; set its PixelFormat to one of {known}")
        rate = getattr(nodes, "AcquisitionFrameRate", None)
        fps = None if rate is None else float(rate.value)
        self.facts = DecoderFacts("genicam", pixels, int(nodes.Width.value), int(nodes.Height.value), fps or None)
        self._number = 0
        self._end: End | None = None
        self._heard = time.monotonic()
        acquirer.start()

    def read(self, timeout: float | None = None) -> Shot | End | None:
        """Wait for the next buffer."""
        until = None if timeout is None else time.monotonic() + timeout
        while self._end is None:
            now = time.monotonic()
            if now - self._heard > self._silence:
                self._end = End(f"no buffer for {self._silence:g} s")
                break
            left = _AT_ONCE_S if until is None else min(_AT_ONCE_S, until - now)
            if left <= 0:
                return None
            try:
                buffer = self._acquirer.try_fetch(timeout=left)
                if buffer is not None:
                    return self._shot(buffer)
            except Exception as error:  # noqa: BLE001  # of the producer, whatever it is: the camera is lost
                self._end = End(f"{type(error).__name__}: {error}")
        return self._end

    def _shot(self, buffer: Any) -> Shot:
        self._heard = time.monotonic()
        number, self._number = self._number, self._number + 1
        try:
            if not buffer.is_complete():
                return Shot(error="the buffer is not complete: packets were lost", arrived=self._heard, number=number)
            (part,) = buffer.payload.components
            image = as_bgr(part.data, str(part.data_format), int(part.width), int(part.height))
        except ValueError as error:
            return Shot(error=f"the buffer is no picture: {error}", arrived=self._heard, number=number)
        finally:
            buffer.queue()
        return Shot(image, arrived=self._heard, number=number)

    def close(self) -> None:
        """Let go of the camera."""
        self._end = self._end or End()
        acquirer, self._acquirer = self._acquirer, None
        if acquirer is None:
            return
        try:
            acquirer.stop()
            acquirer.destroy()
        finally:
            self._harvester.reset()


def as_bgr(data: NDArray[Any], pixels: str, width: int, height: int) -> NDArray[np.uint8]:
    """Return a buffer's pixels as a picture of its own. Raises ValueError for what is not as large as it should be."""
    if pixels in _GRAY:
        gray = data.reshape(height, width)
        eight = gray if gray.dtype == np.uint8 else (gray >> _GRAY[pixels]).astype(np.uint8)
        return cast("NDArray[np.uint8]", cv2.cvtColor(eight, cv2.COLOR_GRAY2BGR))
    if pixels not in _COLOURS:
        raise ValueError(f"its pixels are {pixels}")
    code = _COLOURS[pixels]
    if pixels.startswith("Bayer"):
        return cast("NDArray[np.uint8]", cv2.cvtColor(data.reshape(height, width), cast("int", code)))
    colours = data.reshape(height, width, 4 if "a8" in pixels else 3)
    return colours.copy() if code is None else cast("NDArray[np.uint8]", cv2.cvtColor(colours, code))

"""Opening a file or stream with PyAV, and whether packets were lost meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import av
import av.logging

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader import log
from edge_runtime.inspect.reader.decoder import DecoderSettings
from edge_runtime.inspect.reader.wholeness import COUNTING

__all__ = ["device_of", "open_container"]

_NOT_AHEAD = {"probesize": "65536", "analyzeduration": "0", "fpsprobesize": "0"}
# Microseconds of a stream that are looked at ahead: two pictures rather than twenty.
_HASTY = {"analyzeduration": "100000"}
_HASTY_TIMES = 2


def open_container(settings: DecoderSettings) -> tuple[Any, bool]:
    """Return what is open, and whether packets of it were lost, of which it is not told where. Raises SourceError."""
    heard = log.captured()
    if heard is not None:
        av.logging.restore_default_callback()
        av.logging.set_level(av.logging.WARNING)
    options = dict(settings.extra)
    rtsp = settings.address.lower().startswith("rtsp")
    if rtsp:
        options.setdefault("rtsp_transport", "tcp")
        if options["rtsp_transport"] == "tcp":
            options.setdefault("reorder_queue_size", COUNTING)
    try:
        said, lost = (heard.drain(), heard.lost) if heard is not None else (0, 0)
        container = _opened(settings, options)
        if heard is not None and heard.drain() > said and settings.way == "file":
            # Found while it was looked at ahead: where, is told only by a reading that does not look ahead.
            container.close()
            container = _opened(settings, {**options, **_NOT_AHEAD})
        for _ in range(_HASTY_TIMES if rtsp and "analyzeduration" not in options else 0):
            if heard is None or heard.lost == lost:
                break
            container.close()
            lost = heard.lost
            container = _opened(settings, {**options, **_HASTY})
            if not _told(container):  # who was in haste missed what the pictures are like
                container.close()
                container = _opened(settings, options)
            heard.drain()
    except (av.FFmpegError, OSError) as error:
        raise SourceError(f"damaged, not a video, or no answer: {error.strerror}") from None  # it names the address
    if not container.streams.video:
        container.close()
        raise SourceError("there is no video in it")
    return container, heard is not None and heard.lost > lost and settings.way == "stream"


def _opened(settings: DecoderSettings, options: Mapping[str, str]) -> Any:
    limits = (settings.open_timeout, settings.read_timeout) if "://" in settings.address else None
    address = settings.address if "://" in settings.address else f"file:{settings.address}"
    for accelerated in _devices() if settings.hardware else ():
        # Of a device that there is not, opening fails; one that cannot decode this stream leaves it to the processor.
        with contextlib.suppress(av.FFmpegError, OSError, RuntimeError):
            container = av.open(address, options=dict(options), timeout=limits, hwaccel=accelerated)
            if any(getattr(stream.codec_context, "is_hwaccel", False) for stream in container.streams.video):
                return container
            container.close()
    return av.open(address, options=dict(options), timeout=limits)


def _devices() -> list[Any]:
    """What may decode: of PyAV 14 and newer."""
    try:
        from av.codec.hwaccel import HWAccel, hwdevices_available
    except ImportError:
        return []
    return [HWAccel(device, allow_software_fallback=False) for device in hwdevices_available()]


def device_of(container: Any) -> str:
    """Return the kind of device that decodes, "" for none."""
    context = container.streams.video[0].codec_context
    if not getattr(context, "is_hwaccel", False):
        return ""
    chosen = getattr(context, "hwaccel", None)
    return str(getattr(chosen, "device_type", "a device"))


def _told(container: Any) -> bool:
    return any(stream.codec_context.width for stream in container.streams.video)

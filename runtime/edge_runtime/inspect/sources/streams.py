"""Cameras and URLs: what the user typed, and the source that it opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import SourceError
from edge_runtime.inspect.address import Address, parse_address
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.images import natural_key, safe_stem
from edge_runtime.inspect.sources.options import SourceOptions
from edge_runtime.inspect.suffixes import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings

__all__ = [
    "STREAM_SCHEMES",
    "is_camera",
    "is_stream",
    "is_url",
    "open_live_camera",
    "open_live_stream",
    "open_url_of_a_file",
]

STREAM_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})
_CSI, _GENICAM = "csi:", "genicam:"
_MEMORY = "/dev/shm/"  # of files, as other folders are


def is_camera(text: str) -> bool:
    """Whether this is a camera's number or device, a CSI or a GenICam camera."""
    device = text.startswith("/dev/") and not text.startswith(_MEMORY)
    return text.isdigit() or device or text.startswith((_CSI, _GENICAM))


def open_live_camera(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Open a camera: "0", "/dev/video0", "csi:0", "genicam:SERIAL". Raises SourceError."""
    from edge_runtime.inspect.reader.decoder import DecoderSettings  # which runs on pictures do without, as below
    from edge_runtime.inspect.sources.live import LiveSource

    kind = text.partition(":")[0] if text.startswith((_CSI, _GENICAM)) else ""
    settings = DecoderSettings(text, "camera", kind)
    name = f"camera {text}" if text.isdigit() else text
    return LiveSource(
        name, safe_stem(name), lambda: options.reader.open(settings), _camera_hint(text), options.live, stop
    )


def is_url(text: str) -> bool:
    """Whether this is a URL, of whatever."""
    return "://" in text


def is_stream(text: str) -> bool:
    """Whether this is the URL of something without an end. Raises ValueError for a bad URL."""
    return is_url(text) and not _names_a_file(parse_address(text))


def open_live_stream(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Open a stream. Raises SourceError."""
    from edge_runtime.inspect.reader.decoder import DecoderSettings
    from edge_runtime.inspect.sources.live import LiveSource

    address = _known(text)
    # TCP is what decoders take by themselves.
    extra = {"rtsp_transport": "udp"} if options.stream.transport == "udp" and address.scheme == "rtsp" else {}
    settings = DecoderSettings(
        address.url, "stream", poll=options.live.ask, extra=extra, hardware=options.stream.hardware
    )
    host = safe_stem(address.host or "stream")
    hint = "check the address, user and password, that the device is on, and that a player like ffplay shows it"
    return LiveSource(
        address.name, host, lambda: _opened(settings, address, options), hint, options.live, stop, hide=address.hide
    )


def _opened(settings: DecoderSettings, address: Address, options: SourceOptions) -> Decoder:
    decoder = options.reader.open(settings)
    if settings.hardware and not decoder.facts.hardware:
        options.notice(f"{address.name}: no device here decodes {decoder.facts.codec or 'it'}: it is done in software")
    return decoder


def open_url_of_a_file(text: str, options: SourceOptions, stop: Callable[[], bool]) -> Source:
    """Open a video behind a URL. (A picture there is a camera's: it is asked for again and again.)"""
    from edge_runtime.inspect.sources.video import VideoSource

    address = _known(text)
    return VideoSource(
        address.url, address.name, safe_stem(Path(address.path).stem), options.stride, options.reader.open
    )


def _known(text: str) -> Address:
    """The address, if its scheme is known. Raises SourceError; ValueError for a bad one."""
    address = parse_address(text)
    if address.scheme not in STREAM_SCHEMES:
        raise SourceError(f"unknown kind of URL: {address.name}; known are {', '.join(sorted(STREAM_SCHEMES))}")
    return address


def _names_a_file(address: Address) -> bool:
    """A file behind a URL has an end; taken for a stream it would be "reconnected" to its beginning for ever."""
    files = VIDEO_SUFFIXES - {".mjpg", ".mjpeg"}
    return address.scheme in ("http", "https") and Path(address.path).suffix.lower() in files


def _camera_hint(text: str) -> str:
    if text.startswith(_GENICAM):
        return "check its cable, its network address, and that the maker's own program shows it"
    if text.startswith(_CSI):
        return "check the ribbon cable, and that `rpicam-hello` or the board's own program shows the camera"
    cameras = sorted((str(p) for p in Path("/dev").glob("video*")), key=lambda name: natural_key(Path(name)))
    if not cameras:
        return "this machine has no /dev/video*; plug the camera in, check its cable and `dmesg`"
    wanted = f"/dev/video{text}" if text.isdigit() else text
    if wanted in cameras:
        return "it is there but cannot be used: another program has it, or your user is not in the group video"
    return f"the cameras here are {', '.join(cameras)}"

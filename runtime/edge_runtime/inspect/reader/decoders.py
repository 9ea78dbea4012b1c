"""The decoders that the reader's process knows: one table; a new one is a file and a row."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings
from edge_runtime.inspect.reader.size_limit import SizeLimit

__all__ = ["DECODERS", "best_decoder", "open_decoder", "warm_up"]

_MODULES = {"av": "edge_runtime.inspect.reader.pyav", "opencv": "edge_runtime.inspect.reader.opencv"}


def _av(settings: DecoderSettings) -> Decoder:
    from edge_runtime.inspect.reader.pyav import open_av

    return open_av(settings)


def _opencv(settings: DecoderSettings) -> Decoder:
    from edge_runtime.inspect.reader.opencv import open_opencv

    return open_opencv(settings)


def _webcam(settings: DecoderSettings) -> Decoder:
    from edge_runtime.inspect.reader.webcam import decode_picture, open_webcam

    decode = functools.partial(decode_picture, size=SizeLimit(settings.most_pixels))
    return open_webcam(settings, decode, lambda others: DECODERS[_best_video(others)](others))


def _csi(settings: DecoderSettings) -> Decoder:
    from edge_runtime.inspect.reader.csi import open_csi

    return open_csi(settings)


def _genicam(settings: DecoderSettings) -> Decoder:
    from edge_runtime.inspect.reader.genicam import open_genicam

    return open_genicam(settings)


# What each needs is imported when it is first opened, in the reader's process.
DECODERS: Mapping[str, Callable[[DecoderSettings], Decoder]] = {
    "av": _av,
    "opencv": _opencv,
    "webcam": _webcam,
    "csi": _csi,
    "genicam": _genicam,
}


def best_decoder(settings: DecoderSettings) -> str:
    """Return the decoder that tells most about what it reads: PyAV where it is installed (not for cameras)."""
    web = settings.way == "stream" and settings.address.lower().startswith(("http://", "https://"))
    return "webcam" if web else _best_video(settings)


def _best_video(settings: DecoderSettings) -> str:
    return "av" if settings.way != "camera" and find_spec("av") is not None else "opencv"


def open_decoder(settings: DecoderSettings) -> Decoder:
    """Open a video, stream or camera in this process. Raises SourceError."""
    name = settings.decoder or best_decoder(settings)
    if name not in DECODERS:
        raise SourceError(f"unknown decoder {name}; known are {', '.join(DECODERS)}")
    return DECODERS[name](settings)


def warm_up() -> None:
    """Import what the first decoder will need, while the other process does something else."""
    import_module(_MODULES[best_decoder(DecoderSettings("", "file"))])

"""Where frames come from."""

import importlib
from typing import TYPE_CHECKING, Any

from edge_runtime.inspect.sources.base import FakeSource, Frame, Source, SourceKind
from edge_runtime.inspect.sources.images import ImageSource, read_image
from edge_runtime.inspect.sources.open import in_real_time, looks_like_source, looks_live, open_source
from edge_runtime.inspect.sources.options import LiveOptions, SourceOptions
from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from edge_runtime.inspect.sources.live import LiveSource
    from edge_runtime.inspect.sources.realtime import RealtimeSource
    from edge_runtime.inspect.sources.video import VideoSource

__all__ = [
    "IMAGE_SUFFIXES",
    "FakeSource",
    "Frame",
    "ImageSource",
    "LiveOptions",
    "LiveSource",
    "RealtimeSource",
    "Source",
    "SourceKind",
    "SourceOptions",
    "VideoSource",
    "in_real_time",
    "looks_like_source",
    "looks_live",
    "open_source",
    "read_image",
]

_PLACES = {
    "LiveSource": "edge_runtime.inspect.sources.live",
    "RealtimeSource": "edge_runtime.inspect.sources.realtime",
    "VideoSource": "edge_runtime.inspect.sources.video",
}


def __getattr__(name: str) -> Any:
    """Load what videos and streams need when it is asked for: runs on pictures start without."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

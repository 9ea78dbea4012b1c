"""Where frames come from."""

from edge_runtime.inspect.sources.base import FakeSource, Frame, Source, SourceKind
from edge_runtime.inspect.sources.images import IMAGE_SUFFIXES, ImageSource, read_image
from edge_runtime.inspect.sources.live import LiveSource
from edge_runtime.inspect.sources.open import in_real_time, looks_like_source, looks_live, open_source
from edge_runtime.inspect.sources.options import LiveOptions, SourceOptions
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

"""Where frames come from."""

from edge_runtime.sources.base import FakeSource, Frame, Source, SourceKind
from edge_runtime.sources.images import IMAGE_SUFFIXES, ImageSource, read_image
from edge_runtime.sources.live import LiveOptions, LiveSource
from edge_runtime.sources.open import SourceOptions, in_real_time, looks_like_source, looks_live, open_source
from edge_runtime.sources.realtime import RealtimeSource
from edge_runtime.sources.video import VideoSource

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

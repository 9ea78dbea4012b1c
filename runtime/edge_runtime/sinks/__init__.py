"""Where records and pictures go."""

from edge_runtime.sinks.base import FakeSink, Sink
from edge_runtime.sinks.labels import CropSink, TextSink
from edge_runtime.sinks.lines import HumanSink, JsonSink
from edge_runtime.sinks.open import SaveOptions, open_many_sinks, open_sinks
from edge_runtime.sinks.pictures import ImageSink, VideoSink
from edge_runtime.sinks.window import WindowSink, window_possible

__all__ = [
    "CropSink",
    "FakeSink",
    "HumanSink",
    "ImageSink",
    "JsonSink",
    "SaveOptions",
    "Sink",
    "TextSink",
    "VideoSink",
    "WindowSink",
    "open_many_sinks",
    "open_sinks",
    "window_possible",
]

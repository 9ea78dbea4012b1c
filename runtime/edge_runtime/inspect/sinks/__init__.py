"""Where records and pictures go."""

from edge_runtime.inspect.sinks.base import FakeSink, OutputSettings, Sink
from edge_runtime.inspect.sinks.labels import CropSink, TextSink
from edge_runtime.inspect.sinks.lines import HumanSink, JsonSink
from edge_runtime.inspect.sinks.open import open_sinks
from edge_runtime.inspect.sinks.pictures import ImageSink, VideoSink
from edge_runtime.inspect.sinks.window import WindowSink, window_possible

__all__ = [
    "CropSink",
    "FakeSink",
    "HumanSink",
    "ImageSink",
    "JsonSink",
    "OutputSettings",
    "Sink",
    "TextSink",
    "VideoSink",
    "WindowSink",
    "open_sinks",
    "window_possible",
]

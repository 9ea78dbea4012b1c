"""Many video files served at a time by the real engine: does it keep the deadline, and do fixed batches?"""

from edge_tools.serving_bench.comparison import Report, Row, Setup, measure
from edge_tools.serving_bench.streams import LoopedVideo

__all__ = ["LoopedVideo", "Report", "Row", "Setup", "measure"]

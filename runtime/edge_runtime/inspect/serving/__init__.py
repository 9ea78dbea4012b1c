"""Many sources, one engine: the live half of batching (its decisions are edge_runtime.batching's)."""

from edge_runtime.inspect.serving.core import Batch, Core, Orders
from edge_runtime.inspect.serving.feed import Feed, Outcome, frames_held, unique_names
from edge_runtime.inspect.serving.measuring import measure_costs
from edge_runtime.inspect.serving.serve import ServeOptions, serve
from edge_runtime.inspect.serving.server import Server

__all__ = [
    "Batch",
    "Core",
    "Feed",
    "Orders",
    "Outcome",
    "ServeOptions",
    "Server",
    "frames_held",
    "measure_costs",
    "serve",
    "unique_names",
]

"""Many sources, one engine: the live half of batching (its decisions are edge_runtime.batching's)."""

from edge_runtime.inspect.serving.core import Batch, Core, Orders
from edge_runtime.inspect.serving.measuring import measure_costs
from edge_runtime.inspect.serving.outcome import Outcome, frames_held
from edge_runtime.inspect.serving.serve import Serving
from edge_runtime.inspect.serving.server import Server

__all__ = ["Batch", "Core", "Orders", "Outcome", "Server", "Serving", "frames_held", "measure_costs"]

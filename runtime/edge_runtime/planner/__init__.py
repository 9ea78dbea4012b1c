"""Making plans from measurements: a pure function, which blocks are held how, and where everything lies."""

from edge_runtime.planner.planner import plan

__all__ = ["plan"]

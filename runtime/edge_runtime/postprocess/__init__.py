"""From a model's output tensors to results in pixels of the original images."""

from edge_runtime.postprocess.interpret import interpret
from edge_runtime.postprocess.settings import Settings

__all__ = ["Settings", "interpret"]

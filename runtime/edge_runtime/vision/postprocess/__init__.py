"""From a model's output tensors to results in pixels of the original images."""

from edge_runtime.vision.postprocess.interpret import interpret

__all__ = ["interpret"]

"""Where a trained model comes from: an ONNX file, a Hugging Face folder, a PyTorch module."""

from edge_export.model.sources.load import load_source
from edge_export.model.sources.options import LoadOptions

__all__ = ["LoadOptions", "load_source"]

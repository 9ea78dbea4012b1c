"""Where a trained model comes from: an ONNX file, a Hugging Face folder, a PyTorch module."""

from edge_export.model.sources.load import load_source
from edge_export.model.sources.options import SourceOptions

__all__ = ["SourceOptions", "load_source"]

"""Where a trained model comes from: an ONNX file, a Hugging Face folder, a PyTorch module."""

from edge_export.model.sources.load import load_source
from edge_export.model.sources.model import SourceOptions
from edge_export.state import SourceModel

__all__ = ["SourceModel", "SourceOptions", "load_source"]

"""What each ONNX operator computes, in torch: one table, put together from three files."""

from edge_export.qat.ops.table import OPERATORS, SEVERAL_OUTPUTS

__all__ = ["OPERATORS", "SEVERAL_OUTPUTS"]

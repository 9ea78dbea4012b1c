"""Where onnxruntime ends the process over int8 weights without zero points, as older bundles have them."""

from __future__ import annotations

import pytest

from edge_runtime.ort.process import exact_products_abort

__all__ = ["opens_older_bundles"]

opens_older_bundles = pytest.mark.skipif(
    exact_products_abort(),
    reason="onnxruntime before 1.30 on x86 without VNNI ends the process over int8 weights without zero points",
)

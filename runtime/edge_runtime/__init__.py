"""The device half of Edgeline: opens a bundle and runs it (`open_bundle`, and the `edge-run` command)."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.batching.batcher import Batcher
    from edge_runtime.bundle.manifest import Manifest
    from edge_runtime.bundle.trust import TrustPolicy
    from edge_runtime.engine import Engine, open_bundle
    from edge_runtime.errors import EdgelineError
    from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result

__all__ = [
    "Batcher",
    "Box",
    "EdgelineError",
    "Engine",
    "Manifest",
    "Mask",
    "OrientedBox",
    "Point",
    "Prediction",
    "Result",
    "TrustPolicy",
    "open_bundle",
]

_PLACES = {
    "Batcher": "edge_runtime.batching.batcher",
    "Box": "edge_runtime.results",
    "EdgelineError": "edge_runtime.errors",
    "Engine": "edge_runtime.engine",
    "Manifest": "edge_runtime.bundle.manifest",
    "Mask": "edge_runtime.results",
    "OrientedBox": "edge_runtime.results",
    "Point": "edge_runtime.results",
    "Prediction": "edge_runtime.results",
    "Result": "edge_runtime.results",
    "TrustPolicy": "edge_runtime.bundle.trust",
    "open_bundle": "edge_runtime.engine",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: a command begins before numpy, OpenCV and onnxruntime are imported."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

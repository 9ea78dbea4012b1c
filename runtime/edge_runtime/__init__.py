"""The device half of Edgeline: opens a bundle and runs it (`open_bundle`, and the `edge-run` command)."""

from edge_runtime.batcher import Batcher
from edge_runtime.engine import Engine, open_bundle
from edge_runtime.errors import EdgelineError
from edge_runtime.manifest import Manifest
from edge_runtime.results import Box, Prediction, Result

__all__ = ["Batcher", "Box", "EdgelineError", "Engine", "Manifest", "Prediction", "Result", "open_bundle"]

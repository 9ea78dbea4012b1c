"""The device half of Edgeline: opens a bundle and runs it (`open_bundle`, and the `edge-run` command)."""

from typing import TYPE_CHECKING, Any

from edge_runtime.bundle.manifest import Manifest
from edge_runtime.engine import Engine, open_bundle
from edge_runtime.errors import EdgelineError
from edge_runtime.results import Box, Prediction, Result

if TYPE_CHECKING:
    from edge_runtime.batching.batcher import Batcher

__all__ = ["Batcher", "Box", "EdgelineError", "Engine", "Manifest", "Prediction", "Result", "open_bundle"]


def __getattr__(name: str) -> Any:
    """Load the Batcher when it is asked for: a start without it is a tenth shorter."""
    if name == "Batcher":
        from edge_runtime.batching.batcher import Batcher

        return Batcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

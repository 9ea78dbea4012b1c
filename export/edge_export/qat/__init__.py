"""Quantization-aware fine-tuning: train a model with exactly the quantizers that export will write.

    qat = prepare("model.onnx", "photos/")
    print(distill(qat, DistillOptions(steps=300)).text())
    export(qat, "model-qat.onnx")          # then: edge-export model-qat.onnx -o model.edge

torch is loaded with the first name that is asked for, so that `python -m edge_export.qat` can say what is missing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edge_export.qat.sparsity import CubicSparsity
from edge_runtime.errors import DependencyError

if TYPE_CHECKING:
    from edge_export.qat.distilling import DistillOptions, DistillReport, Fidelity, distill
    from edge_export.qat.exporting import export
    from edge_export.qat.model import QatModel
    from edge_export.qat.plan import PrepareOptions
    from edge_export.qat.preparing import prepare

__all__ = [
    "CubicSparsity",
    "DistillOptions",
    "DistillReport",
    "Fidelity",
    "PrepareOptions",
    "QatModel",
    "distill",
    "export",
    "prepare",
]

_HOMES = {
    "DistillOptions": "distilling",
    "DistillReport": "distilling",
    "Fidelity": "distilling",
    "PrepareOptions": "plan",
    "QatModel": "model",
    "distill": "distilling",
    "export": "exporting",
    "prepare": "preparing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "torch":
            raise
        raise DependencyError("QAT needs torch, which is not installed; pip install 'edgeline[torch]'") from error

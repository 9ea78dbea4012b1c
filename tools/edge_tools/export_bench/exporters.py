"""The exporters: edgeline's efforts, and others with the recipe that their own documentation gives first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["ENVIRONMENTS", "EXPORTERS", "Environment", "Exporter"]

# The processor build of torch, named by its version: a bare `torch` would pull gigabytes of CUDA.
_TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Environment:
    """A virtual environment: `installs` are pip's arguments, one call after the other; `package` tells the version."""

    package: str
    installs: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Exporter:
    """`environment` and `script` (in workers/) of another exporter; for edgeline both are "" and `effort` is set."""

    environment: str = ""
    script: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    effort: Literal["", "fast", "good", "best"] = ""


ENVIRONMENTS: dict[str, Environment] = {
    "onnxruntime": Environment("onnxruntime", (("onnx", "onnxruntime", "sympy"),)),
    "nncf": Environment("nncf", (("nncf", "onnx", "onnxruntime"),)),
    "olive": Environment("olive-ai", ((_TORCH,), ("olive-ai", "onnxruntime", "requests", _TORCH))),
    "aimet": Environment("aimet-onnx", ((_TORCH,), ("aimet-onnx", "onnxruntime", _TORCH))),
}

EXPORTERS: dict[str, Exporter] = {
    "edgeline-fast": Exporter(effort="fast"),
    "edgeline-good": Exporter(effort="good"),
    "edgeline-best": Exporter(effort="best"),
    "ort-minmax": Exporter("onnxruntime", "with_onnxruntime.py", {"method": "MinMax"}),
    "nncf-mixed": Exporter("nncf", "with_nncf.py", {"preset": "mixed"}),
    "nncf-default": Exporter("nncf", "with_nncf.py", {"preset": "performance"}),
    "ort-percentile": Exporter("onnxruntime", "with_onnxruntime.py", {"method": "Percentile"}),
    "ort-entropy": Exporter("onnxruntime", "with_onnxruntime.py", {"method": "Entropy"}),
    "olive": Exporter("olive", "with_olive.py"),
    "aimet": Exporter("aimet", "with_aimet.py"),
}

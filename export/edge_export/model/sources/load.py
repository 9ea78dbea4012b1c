"""Decide what a source is by looking at it, and load it."""

from __future__ import annotations

import re
from pathlib import Path

from edge_export.model.sources.hugging_face import load_folder
from edge_export.model.sources.onnx_file import load_onnx
from edge_export.model.sources.options import LoadOptions
from edge_export.model.sources.torch_module import load_module
from edge_export.state import SourceModel
from edge_runtime.bundle.bundle import MANIFEST
from edge_runtime.errors import UsageError

__all__ = ["load_source"]

_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def load_source(spec: str, options: LoadOptions) -> SourceModel:
    """Load a model from an .onnx file, a Hugging Face model folder, or a PyTorch `package.module:factory`.

    Raises UsageError for a source that is none of these, ModelError for one that is damaged, DependencyError
    when the packages that read it are not installed.
    """
    path = Path(spec)
    try:
        folder, there = path.is_dir(), path.exists()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UsageError(f"{spec[:80]}: cannot be looked at: {error.strerror}; check the path") from error
    if folder:
        if (path / MANIFEST).is_file() and (path / "weights.bin").is_file():
            raise UsageError(f"{spec} is a bundle already; give the model that it was made from")
        return load_folder(path, options)
    if there:
        return load_onnx(path)
    if _FACTORY.fullmatch(spec):
        return load_module(spec, options)
    raise UsageError(
        f"{spec}: expected an .onnx file, a Hugging Face model folder or a PyTorch package.module:factory, "
        f"found no such file; check the path"
    )

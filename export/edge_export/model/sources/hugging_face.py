"""A Hugging Face model folder on disk: its model.onnx, or what optimum writes of its weights; nothing is downloaded, no
code of the folder runs.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from edge_export.model.metadata import facts_of_folder, facts_of_onnx
from edge_export.model.metadata.hugging_face import task_of
from edge_export.model.parse import read_json
from edge_export.model.sources.onnx_file import joined_sha256, load_onnx, read_onnx
from edge_export.model.sources.options import LoadOptions
from edge_export.model.sources.quiet import quiet
from edge_export.run import one_line
from edge_export.state import KnownFacts, SourceModel
from edge_runtime.errors import DependencyError, ModelError, UsageError

__all__ = ["load_folder"]

_WEIGHTS = ("*.safetensors", "*.bin")
_READY = ("model.onnx", "onnx/model.onnx")
_NAMED = 3
_TASKS = ("image-classification", "object-detection", "semantic-segmentation", "feature-extraction")
_DEFAULT_SIZE = 224


def load_folder(folder: Path, options: LoadOptions) -> SourceModel:
    """Read the model.onnx of a folder, or export its weights, the image size fixed to what its processor (or
    `input_shapes`, or `size`) says.

    Weights beside a model.onnx are exported where that takes images of one size, and another is asked for.
    """
    facts = facts_of_folder(folder, options.task)
    weights = sorted(file for pattern in _WEIGHTS for file in folder.glob(pattern))
    ready = _ready(folder, facts)
    if ready is not None and not (weights and _another_size(ready.proto, options)):
        return _beside_weights(ready, weights)
    if not weights:
        raise ModelError(
            f"{folder}: expected weights (*.safetensors, *.bin) or model.onnx beside config.json, found "
            f"neither; copy the whole folder"
        )
    task = options.task or task_of(read_json(folder / "config.json") or {})
    if task not in _TASKS:
        raise UsageError(
            f"{folder}: expected one of the tasks {', '.join(_TASKS)}, found "
            f"{task or 'an architecture of none of them'}; export the model to ONNX yourself and give that file"
        )
    height, width = _size(folder, facts, options)
    facts = _resized(facts, height, width)
    with tempfile.TemporaryDirectory(prefix="edgeline-") as temporary:
        path = _export(folder, Path(temporary), task, height, width, options.opset)
        model, files = read_onnx(path)
        size = sum(file.stat().st_size for file in files)
    _fix_size(model, height, width)
    named = sorted([folder / "config.json", *weights], key=lambda file: file.name)
    facts = facts_of_onnx(model, known=facts)
    return SourceModel(model, str(folder), joined_sha256(named), size, facts)


def _ready(folder: Path, facts: KnownFacts) -> SourceModel | None:
    """The ONNX model that the folder holds, as optimum and the hub lay it there; None where it holds none."""
    path = next((place for name in _READY if (place := folder / name).is_file()), None)
    return None if path is None else dataclasses.replace(load_onnx(path, facts), origin=str(folder))


def _another_size(model: onnx.ModelProto, options: LoadOptions) -> bool:
    """Whether it takes images of one size, and the user asks for another."""
    shape = options.input_shapes.get("pixel_values", ())
    wanted = tuple(shape[2:]) if len(shape) == 4 else options.size[::-1] if options.size is not None else ()
    image = next((value for value in model.graph.input if value.name == "pixel_values"), None)
    dims = [] if image is None else [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    return bool(wanted) and len(dims) == 4 and all(dims[2:]) and tuple(dims[2:]) != wanted


def _beside_weights(ready: SourceModel, weights: list[Path]) -> SourceModel:
    """Say which of the two was taken: nothing tells whether they are of the same training."""
    if not weights:
        return ready
    names = ", ".join(file.name for file in weights[:_NAMED]) + (", ..." if len(weights) > _NAMED else "")
    note = (
        f"the folder's model.onnx was taken as it is, not {names} beside it: where these are newer, remove model.onnx, "
        "and they are exported"
    )
    return dataclasses.replace(ready, facts=dataclasses.replace(ready.facts, notes=(*ready.facts.notes, note)))


def _resized(facts: KnownFacts, height: int, width: int) -> KnownFacts:
    """The pre-processing at the size that was asked for; a crop keeps its share of the image."""
    pre = facts.preprocess
    if pre is None or (pre.height, pre.width) == (height, width):
        return facts
    short = round(pre.resize_short * max(height, width) / max(pre.height, pre.width))
    changed = dataclasses.replace(pre, height=height, width=width, resize_short=short)
    notes = tuple(note for note in facts.notes if "chooses another" not in note)
    return dataclasses.replace(facts, preprocess=changed, notes=notes)


def _size(folder: Path, facts: KnownFacts, options: LoadOptions) -> tuple[int, int]:
    """Height and width of the exported graph."""
    shape = options.input_shapes.get("pixel_values")
    if shape is not None:
        if len(shape) != 4 or not isinstance(shape[2], int) or not isinstance(shape[3], int):
            raise UsageError(f"--input-shape pixel_values: expected 1,3,HEIGHT,WIDTH, found {list(shape)}")
        return shape[2], shape[3]
    if options.size is not None:
        return options.size[1], options.size[0]
    if facts.preprocess:
        return facts.preprocess.height, facts.preprocess.width
    size = (read_json(folder / "config.json") or {}).get("image_size", _DEFAULT_SIZE)
    if isinstance(size, int) and not isinstance(size, bool) and 0 < size <= 16384:
        return size, size
    if isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and 0 < side <= 16384 for side in size):
        return size[0], size[1]
    raise UsageError(
        f"{folder}: the image size is not known; give it with --input-shape "
        f"pixel_values:1,3,{_DEFAULT_SIZE},{_DEFAULT_SIZE}"
    )


def _export(folder: Path, target: Path, task: str, height: int, width: int, opset: int) -> Path:
    with quiet() as noise, _offline():
        exporter = _exporter()
        try:
            exporter.main_export(
                str(folder),
                target,
                task=task,
                opset=opset,
                device="cpu",
                framework="pt",
                local_files_only=True,
                trust_remote_code=False,
                do_validation=False,
                library_name="transformers",
                height=height,
                width=width,
            )
        except Exception as error:
            hint = (noise.getvalue().strip().splitlines() or [""])[-1]
            reason = one_line(error) or one_line(hint) or type(error).__name__
            raise ModelError(
                f"{folder}: optimum cannot export this model for {task}: {reason}; check the folder, or "
                f"export it to ONNX yourself"
            ) from error
    path = target / "model.onnx"
    if not path.is_file():
        found = ", ".join(sorted(file.name for file in target.glob("*.onnx"))) or "none"
        raise ModelError(f"{folder}: expected one graph from optimum for {task}, found {found}; give one .onnx file")
    return path


def _exporter() -> Any:
    """optimum's exporter module, imported only here: it pulls in torch and transformers."""
    for package in ("torch", "transformers", "optimum.exporters.onnx"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise DependencyError(
                f"a Hugging Face folder needs {package} ({error}); install it with: pip install 'edgeline[optimum]'"
            ) from error
    return importlib.import_module("optimum.exporters.onnx")


@contextmanager
def _offline() -> Iterator[None]:
    """The hub's switches for this block of code; what was set before comes back."""
    wanted = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _fix_size(model: onnx.ModelProto, height: int, width: int) -> None:
    """Write the traced size into the input: optimum leaves it free, and many graphs take no other."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name == "pixel_values" and len(dims) == 4:
            for index, size in ((2, height), (3, width)):
                dims[index].ClearField("dim_param")
                dims[index].dim_value = size
            if not dims[1].dim_value:
                dims[1].ClearField("dim_param")
                dims[1].dim_value = _channels(model, value.name)


def _channels(model: onnx.ModelProto, name: str) -> int:
    """Channels that the first convolution on the input takes; 3 when there is none."""
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[0] == name and node.input[1] in weights:
            return int(weights[node.input[1]][1])
    return 3

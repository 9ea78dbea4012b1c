"""Calibration for the tables' models: a folder of images where one fits, else tensors written to an .npz."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from edge_export.evaluate.data import RandomCalibration
from edge_export.evaluate.data.images import find_images, read_image, spread
from edge_export.state import Feeds
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError
from edge_runtime.vision.preprocess import Preprocessor
from edge_tools.known_models import KnownModel

__all__ = ["calibration_path", "graph_inputs", "image_folder", "write_npz"]

_FOLDERS = {"imagenet": "imagenet", "coco128": "coco128"}


def image_folder(known: KnownModel, data: Path) -> Path | None:
    """Return the folder of images this model is calibrated on, or None when that is noise."""
    if known.data == "noise":
        return None
    folder = data / _FOLDERS[known.data]
    if not folder.is_dir():
        raise DataError(f"{folder} is not there; --data takes the folder that holds {known.data}")
    return folder


def calibration_path(model: Path, known: KnownModel, data: Path, work: Path, samples: int) -> Path:
    """Return what to give to --calibrate; tensors are written into the folder `work`.

    The file's name says what it holds, because the name becomes part of the bundle's provenance.
    """
    folder = image_folder(known, data)
    if folder is not None and known.preprocess is not None:
        return folder
    inputs = [_filled(spec, known) for spec in graph_inputs(model)]
    drawn: list[Feeds] = [dict(sample) for sample in RandomCalibration(tuple(inputs), count=samples)]
    for name, value in known.constants.items():
        for sample in drawn:
            sample[name] = np.full_like(sample[name], value)
    for name, spec in known.more_inputs.items():
        for sample, picture in zip(drawn, _pictures(folder, samples, spec), strict=True):
            sample[name] = picture
    arrays = {spec.name: np.stack([sample[spec.name] for sample in drawn]) for spec in inputs}
    path = work / ("images.npz" if known.more_inputs else "random-noise.npz")
    write_npz(path, arrays)
    return path


def graph_inputs(model: Path) -> tuple[TensorSpec, ...]:
    """Return the inputs of an ONNX file that are not weights.

    Raises DataError for a file that cannot be read and for an input that is no tensor of numbers.
    """
    try:
        graph = onnx.load(str(model), load_external_data=False).graph
    except (DecodeError, OSError) as error:
        raise DataError(f"{model} cannot be read as an ONNX file: {error}") from error
    weights = {weight.name for weight in graph.initializer}
    specs = []
    for value in graph.input:
        if value.name in weights:
            continue
        tensor = value.type.tensor_type
        if tensor.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
            raise DataError(f"{model.name}: input {value.name!r} is no tensor of numbers")
        dims = tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param or "?" for dim in tensor.shape.dim)
        specs.append(TensorSpec(value.name, str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), dims))
    return tuple(specs)


def _filled(spec: TensorSpec, known: KnownModel) -> TensorSpec:
    return TensorSpec(spec.name, spec.dtype, known.input_shapes.get(spec.name, spec.shape))


def _pictures(folder: Path | None, count: int, spec: Preprocess) -> Sequence[NDArray[np.generic]]:
    paths = find_images(folder) if folder is not None else []
    images = [image for i in spread(len(paths), count, 0) if (image := read_image(paths[i])) is not None]
    if len(images) < count:
        raise DataError(f"{folder} has {len(images)} readable images, {count} are needed; give fewer --samples")
    tensor, _ = Preprocessor(spec).batch(images)
    return [tensor[index : index + 1] for index in range(count)]


def write_npz(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """numpy.savez takes names as keywords, so an input named "file" could not be written with it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                # ascontiguousarray would turn a scalar into a row.
                np.lib.format.write_array(member, np.require(array, requirements="C"), allow_pickle=False)

"""An .onnx file, with the external data that lies beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from edge_export.model.metadata import facts_beside, facts_of_onnx
from edge_export.model.sources.tensors import check_tensors, tensors_of
from edge_export.probe import PROTO_LIMIT
from edge_export.state import KnownFacts, SourceModel
from edge_runtime.errors import ModelError
from edge_runtime.files.atomic import sha256_file

__all__ = ["joined_sha256", "load_onnx", "read_onnx"]

# What people give by mistake: (offset, bytes, what it is, what to do instead).
_FACTORY = "give package.module:factory or convert it to ONNX first"
_OTHERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"PK\x03\x04", "a zip archive, as PyTorch (.pt, .pth) and Keras write", _FACTORY),
    (0, b"\x80\x02", "a Python pickle, as older PyTorch files are", _FACTORY),
    (0, b"\x89HDF", "an HDF5 file, as Keras (.h5) writes", "convert it to ONNX first"),
    (4, b"TFL3", "a TensorFlow Lite model", "convert it to ONNX first, with tf2onnx"),
    (4, b"ORTM", "onnxruntime's own .ort format", "give the .onnx file it was made from"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the model itself", "run `git lfs pull`"),
    (0, b"<?xml", "XML, as OpenVINO's .xml is", "give the model as ONNX"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"{", "JSON text", "give the .onnx file"),
    (0, b"\x89PNG", "a PNG image", "give the .onnx file"),
    (0, b"\xff\xd8\xff", "a JPEG image", "give the .onnx file"),
    (8, b'{"', "a safetensors file: weights without a network", "give its model folder, with config.json"),
)


def load_onnx(path: Path, known: KnownFacts | None = None) -> SourceModel:
    """Load an ONNX file, its weights and the facts in its metadata, after those `known` already.

    Raises ModelError naming what is wrong.
    """
    model, files = read_onnx(path)
    known = known or facts_beside(path.parent, model)
    size = sum(file.stat().st_size for file in files)
    return SourceModel(model, str(path), joined_sha256(files), size, facts_of_onnx(model, path.stem, known))


def joined_sha256(files: list[Path]) -> str:
    """SHA-256 of one file; of several, that of their digests joined by line breaks, in the files' order."""
    digests = [sha256_file(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def read_onnx(path: Path) -> tuple[onnx.ModelProto, list[Path]]:
    """Parse an ONNX file and pull its external data inside; returns the model and the files read."""
    try:
        if not path.is_file():
            raise ModelError(f"{path}: expected an ONNX file, found something that is no regular file")
        size = path.stat().st_size
        if size == 0:
            raise ModelError(f"{path}: expected an ONNX file, found an empty one; copy or export it again")
        if size > PROTO_LIMIT:
            raise ModelError(f"{path}: an ONNX file has at most 2 GB, found {size / 1e9:.1f} GB; use external data")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error
    for offset, magic, what, remedy in _OTHERS:
        if data[offset : offset + len(magic)] == magic:
            raise ModelError(f"{path}: expected an ONNX model, found {what}; {remedy}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(
            f"{path}: expected an ONNX model, found {size} bytes that do not parse: the file is truncated, "
            f"damaged or of another format; copy or export it again"
        ) from error
    if not model.HasField("graph") or not (model.ir_version or model.opset_import):
        raise ModelError(f"{path}: expected an ONNX model, found a file without an ONNX graph; give another file")
    files = _pull_external_data(model, path, size)
    try:
        check_tensors(model)
    except ValueError as error:
        raise ModelError(f"{path}: {error}: the file is damaged; copy or export it again") from error
    return model, files


def _pull_external_data(model: onnx.ModelProto, path: Path, size: int) -> list[Path]:
    """Read every external tensor into the proto. Only regular files inside the model's folder are opened."""
    folder = path.resolve().parent
    tensors = [tensor for tensor in tensors_of(model) if tensor.data_location == TensorProto.EXTERNAL]
    spans = [_span(tensor, folder, path) for tensor in tensors]
    total = size + sum(length for _, _, length in spans)
    if total > PROTO_LIMIT:
        raise ModelError(f"{path}: at most 2 GB can be exported, found {total / 1e9:.1f} GB; use a smaller variant")
    for tensor, (file, offset, length) in zip(tensors, spans, strict=True):
        with file.open("rb") as stream:
            stream.seek(offset)
            raw = stream.read(length)
        if len(raw) != length:
            raise ModelError(f"{path}: external data {file.name} became shorter while it was read; try again")
        tensor.raw_data = raw
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT
    return [path, *sorted({file for file, _, _ in spans})]


def _span(tensor: onnx.TensorProto, folder: Path, path: Path) -> tuple[Path, int, int]:
    """File, offset and length of one external tensor, checked before anything is read."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    where = f"{path}: external data of {tensor.name!r}"
    if not location or "\0" in location:
        raise ModelError(f"{where} names no file; export the model again")
    file = (folder / location).resolve()
    if Path(location).is_absolute() or not file.is_relative_to(folder):
        raise ModelError(f"{where} lies at {location!r}, outside the model's folder; copy it beside the model")
    if not file.is_file():
        raise ModelError(f"{where} is in {location!r}, which is not there; copy it beside the model")
    available = file.stat().st_size
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries["length"]) if entries.get("length") else available - offset
    except ValueError as error:
        raise ModelError(f"{where} has an offset or a length that is no number; export the model again") from error
    if offset < 0 or length < 0 or offset + length > available:
        raise ModelError(
            f"{where} needs bytes {offset} to {offset + length} of {location!r}, which has {available}: "
            f"the file is truncated; copy it again"
        )
    return file, offset, length

"""Open a bundle the way a hostile file is read: everything is checked before anything is parsed as a graph.

Order: no links and no path that leaves the folder -> the manifest's size, JSON and schema -> every file is listed
and every listed file is there -> sizes -> SHA-256 -> ranges of the block table. Only then are graphs loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_devices.ownership import is_ours
from edge_runtime.bundle.calls import check_calls
from edge_runtime.bundle.external_data import check_external_data
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.bundle.operators import check_operators
from edge_runtime.bundle.seal import sealed
from edge_runtime.bundle.signature import SIGNATURE
from edge_runtime.bundle.versions import check_needs, check_schema, is_newer, name_ignored
from edge_runtime.errors import BundleError
from edge_runtime.files.atomic import file_stamp, sha256_file
from edge_runtime.files.schema import SchemaError, from_json

__all__ = [
    "BLOCK_ALIGNMENT",
    "MANIFEST",
    "REPORT",
    "TENSOR_ALIGNMENT",
    "Bundle",
    "bundle_sha256",
    "folder_stamp",
    "read_bundle",
]

MANIFEST = "manifest.json"
# The export's report for people: no part of the bundle, never read here; it may be changed or deleted.
REPORT = "report.html"
BLOCK_ALIGNMENT = 4096
TENSOR_ALIGNMENT = 64
_MAX_MANIFEST = 8 << 20
_MAX_REPORT = 16 << 20
_MAX_GRAPH = 64 << 20  # weights lie in weights.bin, a graph is small
_MAX_ELEMENTS = 1 << 31
_MAX_DIMENSION = 1 << 24
_MAX_FILES = 4096
_MOST_LABELS, _LONGEST_LABEL = 1 << 16, 1024  # ImageNet-21k has 21,841
_DTYPES = (
    *("bool", "float16", "float32", "float64", "complex64", "complex128"),
    *(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")),
)
_ORT_FORMAT = b"ORTM"  # where onnxruntime looks for it, whatever the file is called
_BLOCK_NAME = re.compile(r"block-[0-9]{2,4}\.onnx")  # a block called x.ort would be read as onnxruntime's own format
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REQUIRED = ("model.onnx", "weights.bin", "golden.npz")
_ADVICE = "copy it again, or export it again with edge-export"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are what its manifest says. `sha256` is the manifest's own, and so stands for all."""

    path: Path
    manifest: Manifest
    sha256: str

    def file(self, name: str) -> Path:
        """Return the path of one of the bundle's files."""
        return self.path / name

    def graph(self, name: str) -> bytes:
        """Return a graph's bytes, which have the manifest's SHA-256: to be opened, and not the file again.

        Raises BundleError.
        """
        path = self.path / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror}; check the storage it lies on") from error
        _same_hash(hashlib.sha256(data).hexdigest(), self.manifest, self.path, name)
        return data

    def check_hashes(self) -> None:
        """Check the SHA-256 of every file, as read_bundle does. Raises BundleError."""
        _check_hashes(self.manifest, self.path)

    def check_small(self) -> None:
        """Check the SHA-256 of every file but weights.bin. Raises BundleError."""
        for name in self.manifest.files:
            if name != "weights.bin":
                _check_hash(self.manifest, self.path, name)

    def file_stamps(self) -> dict[str, str]:
        """Return size, modification time and identity of every file: the same again is the same file, unread."""
        return {name: file_stamp(self.file(name)) for name in (MANIFEST, *self.manifest.files)}

    def check_weights(self) -> None:
        """Check the SHA-256 of weights.bin alone: graphs are checked as they are read. Raises BundleError."""
        _check_hash(self.manifest, self.path, "weights.bin")


def read_bundle(path: Path | str, check_hashes: bool = True) -> Bundle:
    """Check a bundle folder completely and return it. Raises BundleError with one line that says what is wrong.

    `check_hashes=False` skips only the SHA-256 of what is not a graph (sizes are still checked): for who checks what it
    uses of it, as it uses it.
    """
    folder = Path(path)
    _check_folder(folder)
    payload = _read_manifest(folder)
    manifest = _parse(payload, folder)
    _check_names(manifest, folder)
    _check_tensors(manifest, folder)
    _check_labels(manifest, folder)
    _check_files(manifest, folder)
    if check_hashes:
        _check_hashes(manifest, folder)
    _check_blocks(manifest, folder)
    _check_graphs(manifest, folder)
    return Bundle(folder, manifest, hashlib.sha256(payload).hexdigest())


def bundle_sha256(path: Path | str) -> str:
    """Return what names the exact bytes of a bundle, of which nothing else is checked. Raises BundleError."""
    _check_folder(Path(path))
    return hashlib.sha256(_read_manifest(Path(path))).hexdigest()


def folder_stamp(path: Path | str) -> dict[str, str]:
    """Return size, time and identity of every file that lies in a folder but the report: others are other files.

    Empty for what is no folder that can be read.
    """
    try:
        return {entry.name: file_stamp(Path(entry)) for entry in os.scandir(path) if entry.name != REPORT}
    except (OSError, ValueError):  # ValueError: a NUL byte
        return {}


def _check_folder(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL byte
        reason = getattr(error, "strerror", None) or error
        raise BundleError(
            f"no bundle at {folder} ({reason}): expected a folder made by edge-export (NAME.edge)"
        ) from error
    if not stat.S_ISDIR(mode):
        raise BundleError(f"{folder} is not a bundle: expected a folder made by edge-export, found a file")


def _read_manifest(folder: Path) -> bytes:
    path = folder / MANIFEST
    size = _regular_size(path)
    if size > _MAX_MANIFEST:
        raise BundleError(f"{path} has {size} bytes; at most {_MAX_MANIFEST} are allowed; {_ADVICE}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; check the storage it lies on") from error


def _regular_size(path: Path) -> int:
    """Return a plain file's size; links, devices and folders are refused."""
    try:
        status = path.lstat()
    except OSError as error:
        raise BundleError(f"no bundle: {path} is missing or cannot be read ({error.strerror}); {_ADVICE}") from error
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{path} is not a plain file: a bundle holds no links, folders or devices; {_ADVICE}")
    if status.st_nlink > 1 and not is_ours(status):  # package managers link files of one's own
        raise BundleError(f"{path} has another name elsewhere (a hard link), through which another user may change it; "
                          f"{_ADVICE}")  # fmt: skip
    return status.st_size


def _parse(payload: bytes, folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        data = json.loads(payload, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not valid JSON ({error}); {_ADVICE}") from error
    check_schema(data, path)
    if not sealed(payload):
        raise BundleError(f"{path} is damaged, or was edited by hand: its digest does not fit; {_ADVICE}")
    ignored: list[str] = []
    try:
        check_needs(data, path)
        manifest = from_json(Manifest, data, ignored=ignored)
    except SchemaError as error:
        advice = "it is of a newer format: update edgeline on this device" if is_newer(data) else _ADVICE
        raise BundleError(f"{path}: {error}; {advice}") from error
    name_ignored(ignored, data, folder, hashlib.sha256(payload).hexdigest())
    return manifest


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of one JSON text may take different ones of two equal keys."""
    found = dict(pairs)
    if len(found) != len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!r} occurs twice")
    return found


def _check_names(manifest: Manifest, folder: Path) -> None:
    if len(manifest.files) > _MAX_FILES:
        raise BundleError(f"{folder} lists {len(manifest.files)} files; at most {_MAX_FILES} are allowed")
    for name in (*manifest.files, *(block.file for block in manifest.blocks)):
        if not _NAME.fullmatch(name) or name in (MANIFEST, SIGNATURE):
            raise BundleError(f"{folder / MANIFEST} names the file {name!r}: only plain names in the bundle's own "
                              f"folder are allowed; do not use this bundle")  # fmt: skip
    if strange := [block.file for block in manifest.blocks if not _BLOCK_NAME.fullmatch(block.file)]:
        raise BundleError(
            f"{folder / MANIFEST} names the block {strange[0]!r}, expected block-00.onnx and so on; {_ADVICE}"
        )
    folded = Counter(name.lower() for name in (*manifest.files, MANIFEST))
    if twins := [name for name in manifest.files if folded[name.lower()] > 1]:
        raise BundleError(
            f"{folder / MANIFEST} names {twins[0]!r} and another file that differs only by case; {_ADVICE}"
        )
    missing = [name for name in (*_REQUIRED, *(b.file for b in manifest.blocks)) if name not in manifest.files]
    if missing:
        raise BundleError(f"{folder / MANIFEST} does not list {missing[0]}; {_ADVICE}")


def _check_files(manifest: Manifest, folder: Path) -> None:
    try:
        present = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise BundleError(f"cannot list {folder}: {error.strerror}") from error
    if REPORT in present - set(manifest.files) and (size := _regular_size(folder / REPORT)) > _MAX_REPORT:
        raise BundleError(f"{folder / REPORT} has {size} bytes; at most {_MAX_REPORT} are allowed; delete it")
    if strangers := sorted(present - set(manifest.files) - {MANIFEST, REPORT, SIGNATURE}):
        raise BundleError(f"{folder} holds {strangers[0]!r}, which its manifest does not list; remove it or {_ADVICE}")
    for name, entry in manifest.files.items():
        size = _regular_size(folder / name)
        if size != entry.size:
            raise BundleError(f"{folder / name} has {size} bytes, the manifest says {entry.size}; {_ADVICE}")


def _check_hashes(manifest: Manifest, folder: Path) -> None:
    for name in manifest.files:
        _check_hash(manifest, folder, name)


def _check_hash(manifest: Manifest, folder: Path, name: str) -> None:
    try:
        found = sha256_file(folder / name)
    except OSError as error:
        raise BundleError(f"cannot read {folder / name}: {error.strerror}; check the storage") from error
    _same_hash(found, manifest, folder, name)


def _same_hash(found: str, manifest: Manifest, folder: Path, name: str) -> None:
    wanted = manifest.files[name].sha256
    if found != wanted:
        raise BundleError(
            f"{folder / name} is damaged: SHA-256 is {found[:12]}..., the manifest says {wanted[:12]}...; {_ADVICE}"
        )


def _check_tensors(facts: ModelFacts, folder: Path) -> None:
    """Check the inputs and outputs: known types, sizes that can be allocated, an input that fits the pre-processing."""
    where = folder / MANIFEST
    for spec in (*facts.inputs, *facts.outputs):
        sizes = [dim for dim in spec.shape if isinstance(dim, int)]
        if any(not 1 <= size <= _MAX_DIMENSION for size in sizes) or math.prod(sizes) > _MAX_ELEMENTS:
            raise BundleError(
                f"{where}: {spec.name!r} has the shape {list(spec.shape)}, allowed are sizes of 1..{_MAX_DIMENSION} "
                f"and {_MAX_ELEMENTS} elements; {_ADVICE}"
            )
        if spec.dtype not in _DTYPES:
            raise BundleError(f"{where}: {spec.name!r} has the type {spec.dtype!r}, known are {', '.join(_DTYPES)}")
    if facts.preprocess is None or not facts.inputs or not facts.inputs[0].shape:
        return
    made: tuple[int, ...] = facts.preprocess.shape
    wanted = facts.inputs[0].shape[1:]
    if len(wanted) != 3 or any(isinstance(dim, int) and dim != size for dim, size in zip(wanted, made, strict=True)):
        raise BundleError(
            f"{where}: the pre-processing makes images {list(made)}, the input {facts.inputs[0].name!r} takes "
            f"{list(facts.inputs[0].shape)}; {_ADVICE}"
        )


def _check_labels(facts: ModelFacts, folder: Path) -> None:
    longest = max(map(len, facts.labels), default=0)
    if len(facts.labels) > _MOST_LABELS or longest > _LONGEST_LABEL:
        raise BundleError(
            f"{folder / MANIFEST} has {len(facts.labels)} labels of up to {longest} characters; at most {_MOST_LABELS} "
            f"of {_LONGEST_LABEL} are allowed; {_ADVICE}"
        )


def _check_graphs(manifest: Manifest, folder: Path) -> None:
    """Check that no graph reads another file than weights.bin, before onnxruntime opens what it names."""
    total = manifest.files["weights.bin"].size
    for name in dict.fromkeys(("model.onnx", *(block.file for block in manifest.blocks))):
        path = folder / name
        if manifest.files[name].size > _MAX_GRAPH:
            raise BundleError(
                f"{path} has {manifest.files[name].size} bytes; at most {_MAX_GRAPH} are allowed; {_ADVICE}"
            )
        try:
            data = path.read_bytes()
            _same_hash(hashlib.sha256(data).hexdigest(), manifest, folder, name)
            if data[4:8] == _ORT_FORMAT:
                raise ValueError("it is of onnxruntime's own format, or can be read as that, expected ONNX alone")
            check_external_data(data, "weights.bin", total)
            check_operators(check_calls(data))
        except OSError as error:
            raise BundleError(f"cannot read {path}: {error.strerror}; check the storage it lies on") from error
        except ValueError as error:
            raise BundleError(f"{path}: {error}; do not use this bundle") from error


def _check_blocks(manifest: Manifest, folder: Path) -> None:
    """Check the block table: aligned, inside weights.bin, ascending without overlap, every value made before use."""
    total = manifest.files["weights.bin"].size
    where = folder / MANIFEST
    if not manifest.blocks:
        raise BundleError(f"{where} lists no blocks; {_ADVICE}")
    if not manifest.inputs or not manifest.outputs:
        raise BundleError(f"{where} declares no inputs or no outputs; {_ADVICE}")
    end = 0
    known = {spec.name for spec in manifest.inputs}
    for block in manifest.blocks:
        if block.offset < end or block.size < 0 or block.offset + block.size > total:
            raise BundleError(
                f"{where}: block {block.file} claims bytes {block.offset}..{block.offset + block.size} of "
                f"weights.bin, allowed are {end}..{total}; {_ADVICE}"
            )
        if block.offset % BLOCK_ALIGNMENT:
            raise BundleError(
                f"{where}: block {block.file} starts at {block.offset}, not a multiple of 4096; {_ADVICE}"
            )
        if unknown := [name for name in block.inputs if name not in known]:
            raise BundleError(f"{where}: block {block.file} reads {unknown[0]!r} before any block makes it; {_ADVICE}")
        known |= set(block.outputs)
        end = block.offset + block.size
    _check_outputs(manifest, known, where)


def _check_outputs(manifest: Manifest, known: set[str], where: Path) -> None:
    if unmade := [spec.name for spec in manifest.outputs if spec.name not in known]:
        raise BundleError(f"{where}: no block makes the output {unmade[0]!r}; {_ADVICE}")

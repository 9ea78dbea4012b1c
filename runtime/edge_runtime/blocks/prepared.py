"""The prepared folder: the bundle's graphs as this machine runs them.

    bundle.json          class CheckedBundle: the bundle's files as they were when their hashes were checked
    prepared.json        class Prepared: the blocks that are here
    cut-00.onnx          a block of the whole graph, cut after onnxruntime's optimizer for this CPU
    cut-00.bin           its weights: first what its kernels read at every run, in pages (PreparedBlock)
    block-00.onnx        where that cannot be had: a block of the bundle after the optimizer
    block-00.bin         its weights, as that graph reads them
    block-00.bin.zst     the same, compressed, where that was measured to load faster
    whole.onnx, .bin     the whole graph after the optimizer
    whole.json           class PreparedWhole: written when the whole graph is here
    graphs.json          class sums.Sums: checksums of the graphs; weights have theirs in the files that name them
    measured-*.json      class measured.Measured: for a number of threads and a batch
    plan-*.json          plan.Plan: made from one of them for one limit
    providers-*.json     prepare.provider_times.MeasuredProviders: of one list of providers, which computes which blocks
    engines/             what providers compiled (TensorRT's engines and timings), in files of their own

Every JSON file is written last and atomically, so what it names is there, and holds a checksum of itself. Nothing of
the folder is loaded that is not what was written: a CRC-32 finds every rotten bit, and who could change files on
purpose is kept out by their owner and mode (prepare/cache.py).
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from edge_runtime.errors import EngineError
from edge_runtime.files.atomic import write_text
from edge_runtime.files.schema import SchemaError, from_json, to_json

__all__ = [
    "CHECKED",
    "ENGINES",
    "PREPARED",
    "WHOLE",
    "CheckedBundle",
    "Prepared",
    "PreparedBlock",
    "PreparedWhole",
    "Rest",
    "StoredWeights",
    "checked_before",
    "measurements_name",
    "note_checked",
    "read_json",
    "write_json",
]

T = TypeVar("T")
PREPARED = "prepared.json"
WHOLE = "whole.json"
ENGINES = "engines"
CHECKED = "bundle.json"
_SUM = "crc32"  # of the rest of a JSON file, as one text without spaces


@dataclass(frozen=True)
class StoredWeights:
    """A weight file: `size` bytes with this CRC-32; `packed` names the zstd file to read instead, "" for none."""

    file: str
    size: int
    crc32: int
    packed: str = ""
    packed_bytes: int = 0


@dataclass(frozen=True)
class Rest:
    """`size` bytes at `offset` of a block's file, with this CRC-32, that are read only when its session is made."""

    file: str
    offset: int
    size: int
    crc32: int


@dataclass(frozen=True)
class PreparedBlock:
    """One lowered block: `file` names it, `graph` is its graph, `inputs` and `outputs` are what it takes and gives.

    `weights`: what is streamed; None: its weights lie in the graph. Where `pages` are told, (offset, bytes) of whole
    pages, they are all of `weights`, and onnxruntime reads them where its session has mapped them from the file;
    `rest` lies behind them.
    """

    file: str
    graph: str
    weights: Union[StoredWeights, None]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pages: tuple[tuple[int, int], ...] = ()
    rest: Union[Rest, None] = None


@dataclass(frozen=True)
class Prepared:
    """prepared.json: the blocks that the model runs in.

    `portable`: why they are the bundle's own, "" where they are cut from the whole lowered graph.
    """

    schema: Literal[1]
    blocks: tuple[PreparedBlock, ...]
    portable: str = ""


@dataclass(frozen=True)
class CheckedBundle:
    """bundle.json: size, modification time and identity of the bundle's files; others want all hashes checked anew.

    The same again say that nobody changed the bundle, and nothing of rot: what is loaded is hashed as it is loaded.
    """

    schema: Literal[1]
    files: dict[str, str]


@dataclass(frozen=True)
class PreparedWhole:
    """whole.json: the whole lowered graph, in a file of the folder. `weights` None: all in the graph."""

    schema: Literal[1]
    graph: str
    weights: Union[StoredWeights, None] = None


def measurements_name(threads: int, batch: int) -> str:
    """Return the file of the measurements with so many threads for calls of up to `batch` images."""
    return f"measured-t{threads}-b{batch}.json"


def checked_before(folder: Path, stamps: dict[str, str]) -> bool:
    """Tell whether the hashes of exactly these files (Bundle.file_stamps) were checked before."""
    checked = read_json(CheckedBundle, folder / CHECKED)
    return checked is not None and checked.files == stamps


def note_checked(folder: Path, stamps: dict[str, str]) -> None:
    """Note that the hashes of exactly these files were checked. Raises OutputError."""
    write_json(CheckedBundle(1, stamps), folder / CHECKED)


def read_json(kind: type[T], path: Path) -> T | None:
    """Read one of the folder's JSON files; None where it is missing, damaged or of another version: prepare again."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(data, dict) and data.pop(_SUM, None) not in (None, _sum_of(data)):
            return None
        return from_json(kind, data)
    except (OSError, ValueError, RecursionError, SchemaError):
        return None


def write_json(value: Any, path: Path, checked: bool = True) -> None:
    """Write one of them, with its checksum unless `checked` is False (a file that a user may edit).

    Raises EngineError for a value that JSON does not hold (a bug).
    """
    try:
        data = to_json(value)
        if checked:
            data = {**data, _SUM: _sum_of(data)}
        write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")
    except ValueError as error:
        raise EngineError(f"{path.name} cannot be written: {error}") from error


def _sum_of(data: Any) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True, separators=(",", ":")).encode())

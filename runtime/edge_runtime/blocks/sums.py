"""What the graphs of a prepared folder were when they were written, so that rot is found before one is opened.

    graphs.json          class Sums: the CRC-32 of every lowered graph

Weights have theirs beside their names (prepared.StoredWeights).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_runtime.blocks.prepared import Rest, StoredWeights, read_json, write_json
from edge_runtime.blocks.storage import FileStorage
from edge_runtime.errors import EngineError

__all__ = ["SUMS", "Sums", "note_graph", "sound", "sound_graph"]

SUMS = "graphs.json"


@dataclass(frozen=True)
class Sums:
    """graphs.json: the CRC-32 of each graph, by its name in the folder."""

    schema: Literal[1]
    graphs: dict[str, int]


def note_graph(path: Path) -> None:
    """Note what a graph is that was just written. Raises OSError, OutputError."""
    known = read_json(Sums, path.parent / SUMS)
    here = {path.name: zlib.crc32(path.read_bytes())}
    write_json(Sums(1, {**(known.graphs if known else {}), **here}), path.parent / SUMS)


def sound_graph(path: Path) -> bytes:
    """Return the bytes of a lowered graph, which are to be opened and not the file again.

    Raises EngineError for ones that are not as they were written.
    """
    known = read_json(Sums, path.parent / SUMS)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}; remove its folder and start again") from error
    if known is None or known.graphs.get(path.name) != zlib.crc32(data):
        raise EngineError(f"{path} is damaged (CRC-32); remove its folder and start again")
    return data


def sound(folder: Path, graph: str, weights: StoredWeights | None, rest: Rest | None = None) -> bool:
    """Whether a lowered graph and its weights are as they were written; both are read for that."""
    storage = FileStorage(folder)
    try:
        sound_graph(folder / graph)
        if weights is not None:
            storage.check_rest(Rest(weights.file, 0, weights.size, weights.crc32))
        if rest is not None:
            storage.check_rest(rest)
    except EngineError:
        return False
    return True

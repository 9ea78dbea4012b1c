"""A table of measured times, kept in a file: the same machine measures a shape once, so that the same export chooses
the same precisions again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import onnxruntime

from edge_devices import processor_name, usable_cores
from edge_export.text import printable
from edge_runtime.errors import DataError
from edge_runtime.files.atomic import write_text

__all__ = ["LatencyTable", "Times", "machine_words", "open_table", "this_machine_file"]

_VERSION = 1


@dataclass(frozen=True)
class Times:
    """Microseconds of one kernel, as floats and as integers; inf where onnxruntime has no such integer kernel."""

    float_us: float
    int8_us: float


@dataclass
class LatencyTable:
    """`kernels` by signature, `edges`: microseconds (start, per element) of turning a tensor to integers and back,
    `graphs`: milliseconds of whole graphs by digest. `path` None: nothing is kept.
    """

    machine: str
    threads: int
    path: Path | None = None
    kernels: dict[str, Times] = field(default_factory=dict)
    edges: dict[str, tuple[float, float]] = field(default_factory=dict)
    graphs: dict[str, float] = field(default_factory=dict)
    measurable: bool = True  # False: it is of another machine, what is missing stays missing

    def save(self) -> None:
        """Write the file; a cache that cannot be written is not an error, only measured again."""
        if self.path is None:
            return
        data = {
            "version": _VERSION,
            "machine": self.machine,
            "threads": self.threads,
            "edges": {key: list(value) for key, value in sorted(self.edges.items())},
            "kernels": {key: [one.float_us, one.int8_us] for key, one in sorted(self.kernels.items())},
            "graphs": dict(sorted(self.graphs.items())),
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.path, json.dumps(data, indent=1))
        except OSError:
            self.path = None


def machine_words() -> str:
    """Return what the times belong to: the processor, threads, and onnxruntime's version."""
    return f"{printable(processor_name())}, {usable_cores()} threads, onnxruntime {onnxruntime.__version__}"


def this_machine_file() -> Path:
    """Return where this machine's table is kept: $XDG_CACHE_HOME/edgeline/latency, ~/.cache without that."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    words = "".join(char if char.isalnum() or char in ".-" else "_" for char in machine_words())
    return folder / "edgeline" / "latency" / f"{words}.json"


def open_table(target: str) -> LatencyTable | None:
    """Open the table of `target`: "this-machine", "none" (None is returned), or a file of another machine's times.

    Raises DataError for a file that is missing or damaged; a damaged cache of this machine is begun anew.
    """
    if target == "none":
        return None
    if target == "this-machine":
        path = this_machine_file()
        try:
            table = _read(path)
        except (OSError, DataError):
            table = LatencyTable(machine_words(), usable_cores(), path)
        return table
    path = Path(target)
    try:
        table = _read(path)
    except OSError as error:
        raise DataError(
            f"--target {target}: no file of latencies can be read there ({error.strerror}); give this-machine, none, "
            "or a file that an export on the device wrote to its cache folder (edgeline/latency)"
        ) from error
    table.path, table.measurable = None, False
    return table


def _read(path: Path) -> LatencyTable:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["version"] != _VERSION:
            raise ValueError(f"version {data['version']}, expected {_VERSION}")
        return LatencyTable(
            machine=str(data["machine"]),
            threads=int(data["threads"]),
            path=path,
            kernels={str(key): Times(float(a), float(b)) for key, (a, b) in data["kernels"].items()},
            edges={str(key): (float(a), float(b)) for key, (a, b) in data["edges"].items()},
            graphs={str(key): float(value) for key, value in data["graphs"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no table of latencies ({error}); delete it, or give another --target") from error

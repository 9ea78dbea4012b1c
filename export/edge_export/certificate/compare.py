"""Two bundles side by side (`--compare OLD.edge`): what changed in size, speed, accuracy, precision and answers.

Each side is read completely when it is opened: an export may replace the very bundle that it is compared with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_export.certificate.findings import part_bytes, precision_counts
from edge_export.evaluate.metrics.fidelity import signal_noise
from edge_export.run import open_session, run
from edge_export.text import printable
from edge_runtime.bundle.bundle import MANIFEST, read_bundle
from edge_runtime.bundle.manifest import Accuracy, Manifest, Stage
from edge_runtime.errors import BundleError, EdgelineError
from edge_runtime.files.schema import SchemaError, from_json, to_json
from edge_runtime.verify.golden import load_golden, read_golden

__all__ = ["Answer", "BundleComparison", "Layer", "Side", "compare_bundles", "is_bundle", "open_side", "stages_of"]

# Equal tensors have no noise; a figure must be finite to be written as JSON.
SAME_DB = 200.0
_MAX_MANIFEST = 8 << 20


@dataclass(frozen=True)
class Side:
    """One of two bundles. `damage` says why it is refused by devices, "" for a good one."""

    path: Path
    name: str
    manifest: Manifest
    parts: dict[str, int]
    damage: str = ""
    golden: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """The size of the bundle, without the report."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Layer:
    """A layer whose precision is not the same; "" where a bundle has no such layer."""

    node: str
    old: str
    new: str
    reason: str  # the new bundle's, or the old one's where it is gone


@dataclass(frozen=True)
class Answer:
    """How far the new bundle's answers to the old one's golden inputs are from the old one's, output by output."""

    output: str
    samples: int
    sqnr_db: float  # SAME_DB where nothing differs
    largest: float


@dataclass(frozen=True)
class BundleComparison:
    """Both sides and what differs; `remarks` say what could not be compared, and why."""

    old: Side
    new: Side
    layers: tuple[Layer, ...]
    answers: tuple[Answer, ...]
    remarks: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Tell whether the bundles run alike: the same graphs and weights, the same facts of the model."""
        same_files = self.old.manifest.files == self.new.manifest.files
        return same_files and not self.damaged and not _unlike(self.old.manifest, self.new.manifest)

    @property
    def damaged(self) -> bool:
        """Tell whether a device would refuse one of them."""
        return bool(self.old.damage or self.new.damage)

    def accuracy(self) -> tuple[tuple[str, str, Accuracy | None, Accuracy | None], ...]:
        """Return (metric, data, old, new) for every figure that either has; None where one has it not."""
        left = {(row.metric, row.data): row for row in self.old.manifest.accuracy}
        right = {(row.metric, row.data): row for row in self.new.manifest.accuracy}
        keys = dict.fromkeys((*right, *left))
        return tuple((*key, left.get(key), right.get(key)) for key in keys)

    def as_json(self) -> dict[str, Any]:
        """Return everything as one object for scripts."""
        return {
            "equal": self.equal,
            "old": _side_json(self.old),
            "new": _side_json(self.new),
            "bytes_ratio": round(self.new.total_bytes / max(1, self.old.total_bytes), 4),
            "accuracy": [
                {"metric": metric, "data": data, "old": to_json(old), "new": to_json(new)}
                for metric, data, old, new in self.accuracy()
            ],
            "layers": to_json(self.layers),
            "answers": to_json(self.answers),
            "remarks": list(self.remarks),
        }


def is_bundle(source: str) -> bool:
    """Tell whether a SOURCE is a bundle's folder rather than a model: it has a manifest, or is called NAME.edge."""
    path = Path(source)
    try:
        return path.is_dir() and ((path / MANIFEST).is_file() or path.suffix == ".edge")
    except OSError:  # a name too long, a folder that may not be entered: the export says so in its own words
        return False


def open_side(path: Path) -> Side:
    """Read a bundle for a comparison. One that is damaged is still compared as far as its manifest can be read.

    Raises BundleError where not even that is possible.
    """
    name = printable(path.name or path.resolve().name)
    try:
        manifest = read_bundle(path).manifest
        return Side(path, name, manifest, _sizes(path, manifest), "", load_golden(path / "golden.npz"))
    except BundleError as error:
        manifest = _manifest_alone(path, error)
        return Side(path, name, manifest, _sizes(path, manifest), printable(str(error)))


def compare_bundles(old: Side, new: Side) -> BundleComparison:
    """Compare two opened bundles; nothing is written."""
    remarks = [f"{side.name} is damaged: {side.damage}" for side in (old, new) if side.damage]
    if old.manifest.model.sha256 != new.manifest.model.sha256:
        remarks.append(
            f"the bundles were made from different models ({_model(old)}, {_model(new)}): figures may not be comparable"
        )
    if unlike := _unlike(old.manifest, new.manifest):
        remarks.append(f"what they say of the model differs: {', '.join(unlike)}")
    answers: tuple[Answer, ...] = ()
    if hindrance := _incomparable(old, new):
        remarks.append(f"answers were not compared: {hindrance}")
    else:
        try:
            answers = tuple(_answers(old, new))
        except EdgelineError as error:
            remarks.append(f"answers were not compared: {error}")
    return BundleComparison(old, new, tuple(_layers(old.manifest, new.manifest)), answers, tuple(remarks))


def _manifest_alone(path: Path, refusal: BundleError) -> Manifest:
    """The manifest of a bundle that was refused; what cannot be read at all is refused as before."""
    file = path / MANIFEST
    try:
        if file.is_symlink() or file.stat().st_size > _MAX_MANIFEST:
            raise refusal
        return from_json(Manifest, json.loads(file.read_bytes()), ignored=[])
    except (OSError, ValueError, RecursionError, SchemaError) as error:
        raise refusal from error


def _sizes(path: Path, manifest: Manifest) -> dict[str, int]:
    return part_bytes(manifest, (path / MANIFEST).stat().st_size)


def _unlike(old: Manifest, new: Manifest) -> tuple[str, ...]:
    """Names of the facts that a device goes by and that are not the same in both."""
    names = ("inputs", "outputs", "preprocess", "postprocess", "labels", "thresholds", "verdict")
    return tuple(name for name in names if getattr(old, name) != getattr(new, name))


def _model(side: Side) -> str:
    return f"{side.name}: {side.manifest.model.name} {side.manifest.model.sha256[:12]}"


def _side_json(side: Side) -> dict[str, Any]:
    manifest = side.manifest
    return {
        "bundle": printable(str(side.path)),
        "damage": side.damage,
        "model": to_json(manifest.model),
        "bytes": {**side.parts, "total": side.total_bytes},
        "precision": precision_counts(manifest.precision),
        "certificate": to_json(manifest.certificate),
        "provenance": to_json(manifest.provenance),
    }


def _layers(old: Manifest, new: Manifest) -> Iterator[Layer]:
    before = {node.node: node for node in old.precision}
    after = {node.node: node for node in new.precision}
    for name in dict.fromkeys((*after, *before)):
        one, other = before.get(name), after.get(name)
        if one is None or other is None or one.precision != other.precision:
            reason = other.reason if other else one.reason if one else ""
            yield Layer(name, one.precision if one else "", other.precision if other else "", reason)


def _incomparable(old: Side, new: Side) -> str:
    """Why the answers of the two cannot be compared, or ""."""
    if old.damage or new.damage:
        return "a damaged bundle is not run"
    if old.manifest.inputs != new.manifest.inputs:
        return "their inputs differ"
    if not {spec.name for spec in old.manifest.outputs} & {spec.name for spec in new.manifest.outputs}:
        return "they have no output in common"
    return "" if old.golden else f"{old.name} holds no golden inputs"


def _answers(old: Side, new: Side) -> Iterator[Answer]:
    """Yield one figure for each output; images go through the new bundle's own pre-processing."""
    session = open_session(new.path / "model.onnx")
    sums: dict[str, list[tuple[float, float, float]]] = {}
    for sample in read_golden(old.golden, new.manifest.inputs[0], new.manifest.preprocess):
        found = run(session, sample.feeds)
        for name, expected in sample.expected.items():
            flat = np.asarray(found[name]).reshape(-1) if name in found else np.empty(0)
            positions = sample.positions[name]
            index = np.arange(len(expected)) if positions is None else np.asarray(positions, np.int64)
            # An output whose size depends on the data may be shorter now.
            fits = index < len(flat)
            if flat.size and fits.any():
                sums.setdefault(name, []).append(signal_noise(expected[fits], flat[index[fits]]))
    for name, rows in sums.items():
        signal, noise = sum(row[0] for row in rows), sum(row[1] for row in rows)
        yield Answer(name, len(rows), _decibels(signal, noise), max(row[2] for row in rows))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return SAME_DB
    if signal == 0.0 or not math.isfinite(noise):
        return -SAME_DB
    return round(min(max(10.0 * math.log10(signal / noise), -SAME_DB), SAME_DB), 2)


def stages_of(manifest: Manifest) -> dict[str, Stage]:
    """Return a bundle's steps by name; a name that occurs again gets a number."""
    found: dict[str, Stage] = {}
    for stage in manifest.certificate.stages if manifest.certificate else ():
        name, count = stage.name, 2
        while name in found:
            name, count = f"{stage.name} ({count})", count + 1
        found[name] = stage
    return found

"""What a certificate is written from: the manifest, and what of the export does not fit into it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edge_export.quant.schemes import SCHEMES
from edge_export.quant.select import COMPUTE_OPS
from edge_export.state import Comparison, Draft, Flips, Score
from edge_runtime.bundle.manifest import Manifest, NodePrecision

__all__ = ["Findings", "findings_of", "part_bytes", "precision_counts"]

_PARTS = (("weights", "weights.bin"), ("whole graph", "model.onnx"), ("golden inputs", "golden.npz"))


@dataclass(frozen=True)
class Findings:
    """Everything that the report tells. `parts` are bytes by part of the bundle, without the report itself."""

    manifest: Manifest
    parts: dict[str, int]
    comparison: Comparison | None = None
    flips: Flips | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    blind: bool = False  # FP32 finds nothing in any picture: that the bundle agrees proves nothing
    order: dict[str, int] = field(default_factory=dict)  # of nodes in the graph, by name; {}: as the manifest lists

    @property
    def layers(self) -> tuple[NodePrecision, ...]:
        """The layers whose precision was chosen, in graph order; not those that merely go along with others."""
        chosen = [node for node in self.manifest.precision if node.op in COMPUTE_OPS]
        return tuple(sorted(chosen, key=lambda node: self.order.get(node.node, len(self.order))))

    @property
    def followers(self) -> tuple[NodePrecision, ...]:
        """The other nodes with a precision: int8 between int8 layers, tables stored as FP16."""
        return tuple(node for node in self.manifest.precision if node.op not in COMPUTE_OPS)

    @property
    def total_bytes(self) -> int:
        """The size of the bundle."""
        return sum(self.parts.values())

    @property
    def size_ratio(self) -> float:
        """The bundle's bytes over those of the FP32 model."""
        return self.total_bytes / max(1, self.manifest.model.fp32_bytes)

    @property
    def time_ratio(self) -> float | None:
        """The bundle's time over FP32's; None where it was not measured."""
        latency = self.manifest.certificate.latency if self.manifest.certificate else None
        return latency.bundle_ms / latency.fp32_ms if latency and latency.fp32_ms > 0 else None

    @property
    def leading(self) -> tuple[Score, Score, Score] | None:
        """FP32's, the bundle's and the change of the leading task metric, where labels were given."""
        if self.comparison is None or not math.isfinite(self.comparison.difference[0].value):
            return None
        return self.comparison.fp32[0], self.comparison.bundle[0], self.comparison.difference[0]


def findings_of(draft: Draft, manifest: Manifest, manifest_bytes: int) -> Findings:
    """Return the findings of a finished export; `manifest_bytes` is the size of manifest.json."""
    parts = part_bytes(manifest, manifest_bytes)
    order = {node.name: index for index, node in enumerate(draft.reference.graph.node)}
    return Findings(manifest, parts, draft.comparison, draft.flips, draft.notes, draft.warnings, draft.blind, order)


def part_bytes(manifest: Manifest, manifest_bytes: int) -> dict[str, int]:
    """Return the bytes of each part of a bundle, in the order of a report."""
    parts = {title: manifest.files[name].size for title, name in _PARTS if name in manifest.files}
    blocks = (manifest.files[block.file].size for block in manifest.blocks if block.file in manifest.files)
    return {**parts, "blocks": sum(blocks), "manifest": manifest_bytes}


def precision_counts(precision: tuple[NodePrecision, ...]) -> dict[str, int]:
    """Return how many nodes have each precision, in the order of the table of precisions."""
    found = [node.precision for node in precision]
    return {scheme.name: found.count(scheme.name) for scheme in SCHEMES if scheme.name in found}

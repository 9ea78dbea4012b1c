"""Which initializers are stored as FP16: those of nodes chosen to be so, and other big ones where it is harmless."""

from __future__ import annotations

from dataclasses import replace

from edge_export.graph import Graph
from edge_export.quant.fp16 import fits_fp16
from edge_export.quant.noise_bench import NoiseBench
from edge_export.quant.schemes import is_narrow
from edge_export.state import Draft, Mix
from edge_runtime.bundle.manifest import NodePrecision

__all__ = ["store_halves"]

# Smaller than this, the Cast and the names of a constant cost more than half of it saves.
SMALL_BYTES = 4096
# Weights of a node that was chosen to be FP16 are stored so from here on: the user asked, or a measurement did.
TINY_BYTES = 256
# FP16 storage of other constants must be this harmless, or they stay FP32 (they may be coordinates, not weights).
HARMLESS_DB = 50.0


def store_halves(draft: Draft, bench: NoiseBench) -> Draft:
    """Make FP32 of the mix's FP16 nodes whose weights cannot be so, FP16 of other constants, and tell both."""
    mix = draft.mix
    of_nodes = {item.weight: mix.precision(item.name) for item in bench.candidates}
    by_bytes = {name: values.nbytes for name, values in bench.cache.arrays.items()}
    wanted = [name for name, kind in of_nodes.items() if kind == "fp16" and by_bytes[name] >= TINY_BYTES]
    others = [name for name, size in by_bytes.items() if name not in of_nodes and size >= SMALL_BYTES]
    taken = {item.weight for item in bench.candidates if is_narrow(mix.precision(item.name))}
    fitting = {name for name in [*wanted, *others] if name not in taken and fits_fp16(bench.cache.arrays[name])}
    notes = draft.notes
    extra = fitting.intersection(others)
    if extra and bench.worst(Mix(halves=frozenset(extra))) > 10 ** (-HARMLESS_DB / 10):
        notes = (*notes, f"{len(extra)} constants stay FP32: as FP16 they would move the outputs")
        fitting, extra = fitting - extra, set()
    weights = {item.name: item.weight for item in bench.candidates}
    floats = {name for name in mix.named("fp16") if weights[name] not in fitting}
    changed = tuple(
        replace(
            node,
            precision="fp32",
            reason=f"{node.reason}; its weights stay FP32: too small or outside FP16's range",
        )
        if node.node in floats
        else node
        for node in draft.precision
    )
    mix = replace(mix.given("fp32", floats), halves=frozenset(extra))
    return replace(draft, mix=mix, precision=changed + _other_readers(draft, fitting), notes=notes)


def _other_readers(draft: Draft, halves: set[str]) -> tuple[NodePrecision, ...]:
    """Nodes of other kinds whose weights are stored as FP16 too: a table of embeddings, an LSTM."""
    reason = "no int8 form" if draft.options.quantize == "int8" else f"--quantize {draft.options.quantize}"
    listed = {node.node for node in draft.precision}
    return tuple(
        NodePrecision(node.name, node.op_type, "fp16", f"stored as FP16: {reason}")
        for node in draft.model.graph.node
        if node.name not in listed and not halves.isdisjoint(Graph.reads(node))
    )

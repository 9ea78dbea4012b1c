"""Every precision that a node with weights can have: the one table. A new one is a row here and its quantizer.

A row's name is the word in manifests and reports; edge_runtime.bundle.manifest lists the words that a bundle may hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_export.graph import Graph
from edge_export.quant.fp16 import write_fp16
from edge_export.quant.int4 import int4_able, write_int4
from edge_export.quant.int8 import int8_able, int8_weights_able, write_int8, write_int8_weights
from edge_export.quant.select import Compute
from edge_export.quant.writer import GraphWriter
from edge_export.state import Mix
from edge_runtime.bundle.manifest import Precision

__all__ = ["SCHEMES", "Scheme", "integer_nodes", "is_narrow", "scheme_of"]


@dataclass(frozen=True)
class Scheme:
    """One precision. `meaning` is what reports say of it, `colours` what they draw it in on white and on black; `bits`
    is what a weight takes without its scales.

    `able` tells whether a node can have it, `write` gives it to one. `integers`: it computes in integers, so its
    activations need calibrated ranges; others compute in floats. `offered`: --quantize can ask for it.
    """

    name: Precision
    meaning: str
    bits: int
    colours: tuple[str, str]
    able: Callable[[Graph, Compute], bool]
    write: Callable[[GraphWriter, Compute], None]
    integers: bool = False
    offered: bool = False


def _always(graph: Graph, item: Compute) -> bool:
    return True


def _as_it_is(writer: GraphWriter, item: Compute) -> None:
    pass


_FP16_BITS = 16

# In the order in which they are written and reports count them. Colours are Okabe and Ito's (2008), darkened or
# lightened until they stand out 3:1 from a report's card.
SCHEMES: tuple[Scheme, ...] = (
    Scheme(
        name="int8",
        meaning="computes in integers",
        bits=8,
        colours=("#0069a8", "#5fb0ea"),
        able=int8_able,
        write=write_int8,
        integers=True,
        offered=True,
    ),
    Scheme(
        name="int8-weights",
        meaning="int8 weights, computes in floats",
        bits=8,
        colours=("#2f8fc4", "#a5d8f7"),
        able=int8_weights_able,
        write=write_int8_weights,
    ),
    Scheme(
        name="int4-weights",
        meaning="int4 weights, computes in floats",
        bits=4,
        colours=("#8a4fa3", "#d1a6e3"),
        able=int4_able,
        write=write_int4,
    ),
    Scheme(
        name="fp16",
        meaning="FP16 weights",
        bits=_FP16_BITS,
        colours=("#c25400", "#ff9d61"),
        able=_always,
        write=write_fp16,
        offered=True,
    ),
    Scheme(
        name="fp32",
        meaning="FP32 weights",
        bits=32,
        colours=("#6a7280", "#9ba4b0"),
        able=_always,
        write=_as_it_is,
        offered=True,
    ),
)


def scheme_of(name: Precision) -> Scheme:
    """Return the row of a precision."""
    return next(scheme for scheme in SCHEMES if scheme.name == name)


def is_narrow(name: Precision) -> bool:
    """Tell whether weights are stored in fewer bits than FP16 has: they are rounded to a few steps."""
    return scheme_of(name).bits < _FP16_BITS


def integer_nodes(mix: Mix) -> frozenset[str]:
    """Return the nodes that compute in integers."""
    return mix.named(*(scheme.name for scheme in SCHEMES if scheme.integers))

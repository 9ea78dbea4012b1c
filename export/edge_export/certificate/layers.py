"""The report's section about precision: what each layer is stored as and why, worst first, and a picture of it."""

from __future__ import annotations

import math

from edge_export.certificate.charts import layer_chart
from edge_export.certificate.findings import Findings, precision_counts
from edge_export.certificate.markup import Markup, fold, join, table, tag
from edge_export.certificate.words import decibel, plural
from edge_export.quant.schemes import SCHEMES
from edge_runtime.bundle.manifest import NodePrecision

__all__ = ["precision_section", "worst_first"]

THRESHOLD_DB = 20.0
_SHOWN = 10
_MEANING: dict[str, str] = {scheme.name: scheme.meaning for scheme in SCHEMES}


def worst_first(nodes: tuple[NodePrecision, ...]) -> list[NodePrecision]:
    """Return the layers by what int8 does to them, the most sensitive first, then those not measured."""
    return sorted(nodes, key=lambda node: math.inf if node.sqnr_db is None else node.sqnr_db)


def precision_section(findings: Findings) -> Markup:
    """Return counts, the picture and the table of layers."""
    nodes = findings.manifest.precision
    heading = tag("h2", "Precision of each layer")
    if not nodes:
        return tag("section", heading, tag("p", "No layer was changed: the weights are stored as they came."))
    legend = tag("ul", *(_key(kind, count) for kind, count in precision_counts(nodes).items()), attributes=_LEGEND)
    if len({(node.precision, node.reason, node.sqnr_db) for node in nodes}) == 1 and len(nodes) > 1:
        same = tag("p", f"{plural(len(nodes), 'layer')}, all for the same reason: {nodes[0].reason}.")
        return tag("section", heading, legend, same, fold("Their names", _table(list(nodes), "Layers")))
    ordered = [*worst_first(findings.layers), *findings.followers]
    shown, rest = ordered[:_SHOWN], ordered[_SHOWN:]
    folded = fold(f"{plural(len(rest), 'more layer')}", _table(rest, "The other layers")) if rest else Markup("")
    caption = "The most sensitive layers first" if any(node.sqnr_db is not None for node in nodes) else "Layers"
    picture = tag(
        "div", tag("div", legend, _note(findings.layers)), _picture(findings.layers), attributes={"class": "split"}
    )
    parts = (heading, picture, _table(shown, caption), folded)
    return tag("section", *parts, attributes={"class": "long"})


def _picture(nodes: tuple[NodePrecision, ...]) -> Markup:
    if all(node.sqnr_db is None for node in nodes):
        return Markup("")
    return tag("figure", layer_chart(nodes, THRESHOLD_DB))


def _note(nodes: tuple[NodePrecision, ...]) -> Markup:
    missing = sum(node.sqnr_db is None for node in nodes)
    if missing == len(nodes):
        note = "No layer's sensitivity was measured, so there is no picture of the error by layer."
    else:
        note = (
            "Each bar is one layer in graph order: the outputs' signal over noise when that layer alone is int8. Low "
            "bars are layers that int8 hurts; their colour says what they are stored as. At the dashed line the noise "
            "is a tenth of the signal."
        )
    if 0 < missing < len(nodes):
        note += f" {plural(missing, 'layer')} without a bar {'was' if missing == 1 else 'were'} not measured."
    return tag("p", note, attributes={"class": "soft"})


def _table(nodes: list[NodePrecision], caption: str) -> Markup:
    measured = any(node.sqnr_db is not None for node in nodes)
    rows = [
        (
            tag("span", node.node, attributes={"class": "name"}),
            node.op,
            tag("span", _swatch(node.precision), node.precision, attributes={"class": "badge"}),
            *([] if not measured else ["-" if node.sqnr_db is None else decibel(node.sqnr_db)]),
            node.reason,
        )
        for node in nodes
    ]
    if not measured:
        return table(("layer", "operator", "stored as", "why"), rows, caption)
    return table(("layer", "operator", "stored as", "SQNR in int8", "why"), rows, caption, numbers=(3,))


def _key(kind: str, count: int) -> Markup:
    return tag("li", join((_swatch(kind), f"{kind}: {count} ({_MEANING[kind]})")))


def _swatch(kind: str) -> Markup:
    return tag("span", attributes={"class": f"key p-{kind}", "aria-hidden": "true"})


_LEGEND = {"class": "legend"}

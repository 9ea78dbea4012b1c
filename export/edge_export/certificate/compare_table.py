"""A comparison of two bundles as tables for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_export.certificate.compare import SAME_DB, BundleComparison, Side, stages_of
from edge_export.certificate.findings import precision_counts
from edge_export.certificate.words import decibel, machine, milliseconds, percent, plural, ratio, score, signed
from edge_export.text import printable
from edge_runtime.bundle.manifest import Accuracy, Stage

__all__ = ["print_comparison"]

_MOST_LAYERS = 12


def print_comparison(found: BundleComparison, console: Console) -> None:
    """Print both bundles side by side."""
    if found.equal:
        console.print(
            "The bundles are equal: the same graphs, weights and settings.", style="bold green", highlight=False
        )
    console.print(_overview(found))
    for table in (_sizes(found), _accuracy(found), _stages(found), _layers(found), _answers(found)):
        if table is not None:
            console.print(table)
    for remark in found.remarks:
        console.print(f"- {printable(remark)}", highlight=False, markup=False, style="bold yellow")


def _overview(found: BundleComparison) -> Table:
    table = _table(found, "", "Two bundles")
    for title, old, new in zip(_TITLES, _facts(found.old), _facts(found.new), strict=True):
        if old or new:
            table.add_row(title, _plain(old), _plain(new) if new != old else "[dim]same[/]")
    return table


_TITLES = (
    "model",
    "source",
    "task",
    "thresholds",
    "precision",
    "latency",
    "machine",
    "calibration",
    "effort",
    "made with",
)


def _facts(side: Side) -> tuple[str, ...]:
    manifest = side.manifest
    made, certificate = manifest.provenance, manifest.certificate
    latency = certificate.latency if certificate else None
    counts = ", ".join(f"{kind} {count}" for kind, count in precision_counts(manifest.precision).items())
    times = ""
    if latency and latency.fp32_ms > 0:
        share = ratio(latency.bundle_ms / latency.fp32_ms)
        times = f"{milliseconds(latency.bundle_ms)}, {share} of FP32's {milliseconds(latency.fp32_ms)}"
    return (
        f"{manifest.model.name} {manifest.model.version}",
        f"{made.source} {manifest.model.sha256[:12]}",
        manifest.postprocess.task,
        f"confidence {manifest.thresholds.confidence:g}, overlap {manifest.thresholds.iou:g}",
        counts,
        times,
        machine(latency) if latency else "",
        made.calibration,
        f"{certificate.effort}, allowed drop {percent(certificate.max_drop)}" if certificate else "",
        f"edgeline {made.edgeline}, onnx {made.onnx}, onnxruntime {made.onnxruntime}",
    )


def _sizes(found: BundleComparison) -> Table:
    table = _table(found, "bytes", "Sizes", "new / old", numbers=(1, 2, 3))
    for part in dict.fromkeys((*found.new.parts, *found.old.parts)):
        _size_row(table, part, found.old.parts.get(part, 0), found.new.parts.get(part, 0))
    table.add_section()
    _size_row(table, "bundle", found.old.total_bytes, found.new.total_bytes)
    return table


def _size_row(table: Table, part: str, old: int, new: int) -> None:
    table.add_row(part, f"{old:,}", f"{new:,}", ratio(new / old) if old else "-")


def _accuracy(found: BundleComparison) -> Table | None:
    rows = found.accuracy()
    if not rows:
        return None
    table = _table(found, "measure", "Accuracy", "change", "on", numbers=(1, 2, 3))
    for metric, data, old, new in rows:
        change = signed(new.bundle - old.bundle) if old and new else ""
        table.add_row(_plain(metric), _figure(metric, old), _figure(metric, new), change, _plain(data))
    return table


def _figure(metric: str, row: Accuracy | None) -> str:
    return "-" if row is None else score(metric, row.bundle)


def _stages(found: BundleComparison) -> Table | None:
    old, new = stages_of(found.old.manifest), stages_of(found.new.manifest)
    if not old and not new:
        return None
    table = _table(found, "step", "Steps: agreement, SQNR", numbers=(1, 2))
    for name in dict.fromkeys((*new, *old)):
        table.add_row(_plain(name), _stage(old.get(name)), _stage(new.get(name)))
    return table


def _stage(stage: Stage | None) -> str:
    if stage is None:
        return "-"
    parts = [
        *([percent(stage.agreement)] if stage.agreement is not None else []),
        *([decibel(stage.sqnr_db)] if stage.sqnr_db is not None else []),
        *([] if stage.kept else ["undone"]),
    ]
    return ", ".join(parts) or "kept"


def _layers(found: BundleComparison) -> Table | None:
    if not found.layers:
        return None
    title = f"Precision: {plural(len(found.layers), 'layer')} changed"
    table = _table(found, "layer", title, "why")
    for layer in found.layers[:_MOST_LAYERS]:
        table.add_row(_plain(layer.node[-44:]), layer.old or "-", layer.new or "-", _plain(layer.reason))
    if len(found.layers) > _MOST_LAYERS:
        table.add_row(f"... {len(found.layers) - _MOST_LAYERS} more", "", "", "all of them are in --json")
    return table


def _answers(found: BundleComparison) -> Table | None:
    if not found.answers:
        return None
    title = "The new bundle's answers against the old one's, on its golden inputs"
    table = Table("output", "samples", "SQNR", "largest difference", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for answer in found.answers:
        level = "the same" if answer.sqnr_db >= SAME_DB else decibel(answer.sqnr_db)
        table.add_row(_plain(answer.output), str(answer.samples), level, f"{answer.largest:.4g}")
    return table


def _table(found: BundleComparison, first: str, title: str, *more: str, numbers: tuple[int, ...] = ()) -> Table:
    names = (f"old: {found.old.name}", f"new: {found.new.name}")
    table = Table(first, *(_plain(name) for name in names), *more, title=title, title_justify="left")
    for index in numbers:
        table.columns[index].justify = "right"
    return table


def _plain(words: str) -> str:
    return escape(printable(words))

"""What an export ends with: size, precision, accuracy before and after, and where the bytes went."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_export.certificate.findings import Findings, findings_of, part_bytes, precision_counts
from edge_export.certificate.headline import headline
from edge_export.certificate.text import print_advice, print_certificate, print_headline
from edge_export.search.targets import TARGET_DB
from edge_export.state import Draft
from edge_export.text import printable
from edge_runtime.bundle.bundle import MANIFEST, REPORT
from edge_runtime.bundle.manifest import Accuracy, Manifest
from edge_runtime.files.schema import to_json

__all__ = ["as_json", "bundle_bytes", "print_report"]


def bundle_bytes(manifest: Manifest, draft: Draft) -> dict[str, int]:
    """Return the bytes of each part of the written bundle; "total" is their sum: the report is no part of it."""
    parts = part_bytes(manifest, (draft.options.output / MANIFEST).stat().st_size)
    return {**parts, "total": sum(parts.values())}


def as_json(manifest: Manifest, draft: Draft) -> dict[str, Any]:
    """Return the report as one object for scripts."""
    sizes = bundle_bytes(manifest, draft)
    findings = _findings(manifest, draft)
    said = headline(findings)
    flips = draft.flips
    return {
        "bundle": printable(str(draft.options.output)),
        "verdict": {"tone": said.tone, "word": said.word, "sentence": said.sentence},
        "model": to_json(manifest.model),
        "fp32_bytes": manifest.model.fp32_bytes,
        "bundle_bytes": sizes["total"],
        "ratio": round(sizes["total"] / max(1, manifest.model.fp32_bytes), 4),
        "bytes": sizes,
        "report_bytes": _report_bytes(draft),
        "task": manifest.postprocess.task,
        "blocks": len(manifest.blocks),
        "precision": precision_counts(manifest.precision),
        "kept_fp16": [to_json(node) for node in manifest.precision if node.precision == "fp16"],
        "accuracy": to_json(manifest.accuracy),
        "change": {
            score.metric: {"value": score.value, "low": score.low, "high": score.high, "images": score.images}
            for score in (draft.comparison.difference if draft.comparison else ())
            if math.isfinite(score.value) and math.isfinite(score.low) and math.isfinite(score.high)
        },
        "certificate": to_json(manifest.certificate),
        "changed_answers": None
        if flips is None
        else {
            "data": flips.data,
            "images": flips.images,
            "changed": flips.changed,
            "verdicts": flips.verdicts,
            "worst": [
                {"name": flip.name, "change": flip.change, "verdict_changed": flip.verdict_changed}
                for flip in flips.worst
            ],
        },
        "notes": list(draft.notes),
        "warnings": list(draft.warnings),
    }


def _findings(manifest: Manifest, draft: Draft) -> Findings:
    return findings_of(draft, manifest, (draft.options.output / MANIFEST).stat().st_size)


def _report_bytes(draft: Draft) -> int:
    path = draft.options.output / REPORT
    return path.stat().st_size if path.is_file() else 0


def print_report(manifest: Manifest, draft: Draft, console: Console) -> None:
    """Print the report as tables."""
    sizes = bundle_bytes(manifest, draft)
    ratio = sizes["total"] / max(1, manifest.model.fp32_bytes)
    name, version = escape(printable(manifest.model.name)), escape(printable(manifest.model.version))
    console.print(f"[bold]{name}[/] {version} -> ", end="")
    console.print(printable(str(draft.options.output)), highlight=False, markup=False)
    findings = _findings(manifest, draft)
    print_headline(findings, console)
    console.print(_sizes_table(manifest, sizes, ratio, _report_bytes(draft)))
    console.print(_precision_table(manifest, draft))
    if manifest.accuracy:
        console.print(_accuracy_table(manifest, draft))
    print_certificate(findings, console)
    for note in draft.notes:
        console.print(f"- {printable(note)}", highlight=False, markup=False, style="dim")
    for warning in draft.warnings:
        console.print(f"warning: {printable(warning)}", highlight=False, markup=False, style="bold red")
    print_advice(manifest, console)


def _sizes_table(manifest: Manifest, sizes: dict[str, int], ratio: float, report: int) -> Table:
    table = Table("part", "bytes", "of FP32", title="Where the bytes went", title_justify="left")
    table.columns[1].justify = table.columns[2].justify = "right"
    source = max(1, manifest.model.fp32_bytes)
    table.add_row("FP32 ONNX", f"{manifest.model.fp32_bytes:,}", "1.00x")
    for title, size in sizes.items():
        if title == "total":
            table.add_section()
            table.add_row("[bold]bundle[/]", f"[bold]{size:,}[/]", f"[bold]{ratio:.3f}x[/]")
        else:
            name = f"blocks ({len(manifest.blocks)})" if title == "blocks" else title
            table.add_row(name, f"{size:,}", f"{size / source:.3f}x")
    if report:
        table.add_row(f"[dim]{REPORT} (not needed on the device)[/]", f"[dim]{report:,}[/]", "")
    return table


def _precision_table(manifest: Manifest, draft: Draft, most: int = 8) -> Table:
    counts = (
        ", ".join(f"{count} {kind}" for kind, count in precision_counts(manifest.precision).items())
        or "no nodes with weights"
    )
    table = Table("layer", "op", "stored", "why", title=f"Precision: {counts}", title_justify="left")
    other = [node for node in manifest.precision if node.precision != "int8"]
    other.sort(key=lambda node: node.sqnr_db if node.sqnr_db is not None else 1e9)
    for node in other[:most]:
        table.add_row(escape(_short(node.node)), node.op, node.precision.upper(), escape(node.reason))
    if len(other) > most:
        table.add_row(f"... {len(other) - most} more", "", "", "all of them are in manifest.json")
    if not other and manifest.precision:
        table.add_row("all layers with weights", "", "INT8", _why_int8(draft))
    return table


def _why_int8(draft: Draft) -> str:
    if draft.mix_db is None:
        return "as it arrived"
    met = "auto" in draft.options.keep_fp16 and draft.mix_db >= TARGET_DB
    return "none needs more" if met else "as asked for"


def _accuracy_table(manifest: Manifest, draft: Draft) -> Table:
    table = Table("measure", "FP32", "bundle", "change (95 %)", "data", title="Accuracy", title_justify="left")
    changes = {score.metric: score for score in draft.comparison.difference} if draft.comparison else {}
    for row in manifest.accuracy:
        change = changes.get(row.metric) if row.fp32 is not None else None
        words = f"{change.value:+.4f} ({change.low:+.4f} .. {change.high:+.4f})" if change else ""
        if row.fp32 is None and row.low is not None:
            words = f"at least {row.low:.4g}"
        table.add_row(row.metric, _number(row, row.fp32), _number(row, row.bundle), words, row.data)
    return table


def _number(row: Accuracy, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if row.metric.startswith("sqnr") else f"{value:.4g}"


def _short(name: str, most: int = 44) -> str:
    return name if len(name) <= most else f"...{name[-(most - 3) :]}"

"""The report's sections about the way: from FP32 step by step to the bundle, and where its bytes are."""

from __future__ import annotations

from collections.abc import Sequence

from edge_export.certificate.charts import bar, stage_chart
from edge_export.certificate.figures import is_arrived, reference_name, whole_stage
from edge_export.certificate.findings import Findings
from edge_export.certificate.markup import Markup, join, table, tag
from edge_export.certificate.words import decibel, percent, ratio
from edge_runtime.bundle.manifest import Stage

__all__ = ["bytes_section", "stages_section"]

_TITLES = {
    "weights": "weights",
    "whole graph": "whole graph (model.onnx)",
    "golden inputs": "golden inputs and answers",
    "manifest": "manifest",
}


def stages_section(findings: Findings) -> Markup:
    """Return every step with what it brought; steps that were undone stay in the list, marked as such."""
    certificate = findings.manifest.certificate
    stages = certificate.stages if certificate else ()
    last = whole_stage(findings.manifest)
    listed = (*stages, last) if last else stages
    if not listed:
        return Markup("")
    reference = reference_name(findings.manifest)
    held = f"Measured on {certificate.held_back}, against {reference}." if certificate and stages else ""
    said = held or f"Nothing was searched for this bundle: only the finished graph was measured, against {reference}."
    rows: list[Sequence[str]] = [(reference, "100 %", "same", "")]
    rows += [_row(index, stage) for index, stage in enumerate(listed, 1)]
    figures = table(("step", "agreement", "SQNR", "note"), rows, said, numbers=(1, 2))
    drawn = [stage for stage in listed if stage.sqnr_db is not None or stage.agreement is not None]
    picture = tag("figure", stage_chart(listed)) if len(drawn) > 1 else Markup("")
    words = tag(
        "p",
        "SQNR is the signal over the noise, of the part of the outputs that suffers most. At 20 dB the noise is a "
        "tenth of the signal, at 40 dB a hundredth."
        + ("" if all(stage.kept for stage in stages) else " A step that gained nothing was undone."),
        attributes={"class": "soft"},
    )
    split = tag("div", picture, tag("div", words), attributes={"class": "split"}) if picture else words
    return tag("section", tag("h2", f"From {reference} to the bundle"), split, figures)


def _row(index: int, stage: Stage) -> tuple[str, ...]:
    state = () if stage.kept else (" ", tag("span", "undone", attributes={"class": "badge"}))
    return (
        join((f"{index}. {stage.name}", *state)),
        "-" if stage.agreement is None else percent(stage.agreement),
        "-" if stage.sqnr_db is None else decibel(stage.sqnr_db),
        stage.note,
    )


def bytes_section(findings: Findings) -> Markup:
    """Return the bytes of each part of the bundle, with a bar for its share."""
    whole = max(1, findings.total_bytes)
    source = max(1, findings.manifest.model.fp32_bytes)
    arrived = is_arrived(findings.manifest)
    rows: list[Sequence[str]] = []
    for part, size in findings.parts.items():
        title = f"blocks ({len(findings.manifest.blocks)})" if part == "blocks" else _TITLES.get(part, part)
        share = size / whole
        rows.append(
            (join((title, bar(share, "p-int8", f"{percent(share)} of the bundle"))), f"{size:,}", _times(size, source))
        )
    rows.append((tag("b", "bundle"), tag("b", f"{whole:,}"), tag("b", _times(whole, source))))
    rows.append(("model as it arrived" if arrived else "FP32 model", f"{source:,}", "1.00x"))
    words = tag("p", "This page is not needed on a device and not counted.", attributes={"class": "soft"})
    figures = table(
        ("part", "bytes", f"of {'source' if arrived else 'FP32'}"),
        rows,
        "Bars show the share of the bundle.",
        numbers=(1, 2),
    )
    return tag("section", tag("h2", "Where the bytes went"), figures, words)


def _times(size: int, source: int) -> str:
    return ratio(size / source) if size >= 0.005 * source else f"{size / source:.4f}x"

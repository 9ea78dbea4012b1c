"""report.html: the certificate as one page that needs no other file, no script and no network.

The same findings gives the same bytes. Whatever comes from a model, a label or a file name is escaped (markup.py), and
the page's own policy forbids scripts and loads in any case.
"""

from __future__ import annotations

import re

from edge_export.certificate.colours import PRECISION_CSS
from edge_export.certificate.document import document, tile
from edge_export.certificate.evidence import accuracy_section, flips_section, speed_section
from edge_export.certificate.figures import final_agreement, reference_name
from edge_export.certificate.findings import Findings
from edge_export.certificate.headline import headline
from edge_export.certificate.layers import precision_section
from edge_export.certificate.markup import Markup, join, tag
from edge_export.certificate.steps import bytes_section, stages_section
from edge_export.certificate.words import milliseconds, percent, ratio
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.files.sizes import format_size

__all__ = ["render_page"]

_FLAG = re.compile(r"((?<![\w-])--[a-z][a-z0-9-]*)")
_WHOLE = {"class": "flag"}


def render_page(findings: Findings) -> str:
    """Return the whole page."""
    manifest = findings.manifest
    title = f"{manifest.model.name}: what the export did"
    parts = (
        _header(manifest),
        _verdict(findings),
        _tiles(findings),
        _list_section("Warnings", findings.warnings),
        _advice(manifest),
        stages_section(findings),
        accuracy_section(findings),
        flips_section(findings),
        precision_section(findings),
        _pair(speed_section(findings), bytes_section(findings)),
        _provenance(findings),
    )
    return document(title, join(parts), PRECISION_CSS)


def _header(manifest: Manifest) -> Markup:
    task = manifest.postprocess.task
    words = f"version {manifest.model.version}, {'raw tensors' if task == 'raw' else task}, {manifest.model.precision}"
    return tag("header", tag("h1", manifest.model.name), tag("p", words))


def _verdict(findings: Findings) -> Markup:
    said = headline(findings)
    parts = (
        tag("p", said.word, attributes={"class": "word"}),
        tag("p", said.sentence, attributes={"class": "sentence"}),
    )
    return tag("div", *parts, attributes={"class": f"verdict {said.tone}"})


def _tiles(findings: Findings) -> Markup:
    model = findings.manifest.model
    sizes = f"{format_size(findings.total_bytes)} of {format_size(model.fp32_bytes)}"
    tiles = [tile("Size", ratio(findings.size_ratio), sizes)]
    certificate = findings.manifest.certificate
    if certificate and certificate.latency and findings.time_ratio is not None:
        latency = certificate.latency
        times = f"{milliseconds(latency.bundle_ms)} against {milliseconds(latency.fp32_ms)}"
        tiles.append(tile("Time", ratio(findings.time_ratio), times))
    agreement, _, data = final_agreement(findings.manifest)
    if agreement is not None:
        tiles.append(tile(f"Agreement with {reference_name(findings.manifest)}", percent(agreement), data))
    if findings.leading:
        before, after, _ = findings.leading
        tiles.append(tile(after.metric, f"{after.value:.3f}", f"FP32 {before.value:.3f}, {after.images} images"))
    if findings.flips:
        words = f"of {findings.flips.images} images looked at"
        tiles.append(tile("Changed answers", str(findings.flips.changed), words))
    return tag("div", *tiles, attributes={"class": "tiles"})


def _pair(*sections: Markup) -> Markup:
    """Return sections side by side where there is room; one alone has the whole width."""
    present = [section for section in sections if section]
    return tag("div", *present, attributes={"class": "pair"}) if len(present) > 1 else join(present)


def _list_section(title: str, lines: tuple[str, ...]) -> Markup:
    return (
        tag("section", tag("h2", title), tag("ul", *(tag("li", _flags(line)) for line in lines)))
        if lines
        else Markup("")
    )


def _flags(sentence: str) -> Markup:
    """Set flags in a command's letters, and never apart at their hyphens."""
    parts = _FLAG.split(sentence)
    return join(tag("code", part, attributes=_WHOLE) if index % 2 else part for index, part in enumerate(parts))


def _advice(manifest: Manifest) -> Markup:
    advice = manifest.certificate.advice if manifest.certificate else ()
    return _list_section("What to try next", advice or ("Nothing: no measurement was found wanting.",))


def _provenance(findings: Findings) -> Markup:
    manifest = findings.manifest
    made, model, certificate = manifest.provenance, manifest.model, manifest.certificate
    rows = [
        ("Source", made.source),
        ("SHA-256 of the source", model.sha256),
        ("Calibrated on", made.calibration),
        ("Held back", certificate.held_back if certificate else ""),
        ("Effort", f"{certificate.effort}, allowed drop {percent(certificate.max_drop)}" if certificate else ""),
        ("Command", made.command),
        ("Made with", f"edgeline {made.edgeline}, onnx {made.onnx}, onnxruntime {made.onnxruntime}"),
        ("Opset", str(model.opset)),
        ("Written", made.created_utc),
    ]
    code = {"SHA-256 of the source", "Command"}
    items = [
        join((tag("dt", title), tag("dd", tag("code", value) if title in code else value)))
        for title, value in rows
        if value
    ]
    notes = (
        (tag("h3", "Notes"), tag("ul", *(tag("li", _flags(note)) for note in findings.notes))) if findings.notes else ()
    )
    return tag("section", tag("h2", "Where it comes from"), tag("dl", *items), *notes)

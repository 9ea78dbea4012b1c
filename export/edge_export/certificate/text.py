"""The certificate as text for a terminal: the same figures as report.html, in rich's tables."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge_export.certificate.figures import reference_name, whole_stage
from edge_export.certificate.findings import Findings
from edge_export.certificate.headline import headline
from edge_export.certificate.words import decibel, machine, milliseconds, percent, plural, ratio
from edge_export.text import printable
from edge_runtime.bundle.manifest import Manifest, Stage

__all__ = ["latency_line", "print_advice", "print_certificate", "print_headline", "stages_table"]

_STYLES = {"good": "bold green", "check": "bold yellow", "bad": "bold red"}


def print_headline(findings: Findings, console: Console) -> None:
    """Print the verdict: in a word, and in one sentence of figures."""
    said = headline(findings)
    console.print(f"{said.word}.", style=_STYLES[said.tone], highlight=False, markup=False)
    console.print(printable(said.sentence), highlight=False, markup=False)


def print_certificate(findings: Findings, console: Console) -> None:
    """Print the steps, the time and the changed answers."""
    manifest = findings.manifest
    if (steps := stages_table(manifest)) is not None:
        console.print(steps)
    if line := latency_line(manifest):
        console.print(line, highlight=False, markup=False)
    if findings.flips and findings.flips.images:
        flips = findings.flips
        words = f"changed answers: {flips.changed} of {plural(flips.images, 'image')} ({flips.data})"
        if flips.worst:
            words += ", the worst: " + ", ".join(flip.name for flip in flips.worst[:3])
        console.print(printable(words), highlight=False, markup=False)


def print_advice(manifest: Manifest, console: Console) -> None:
    """Print what to try next; nothing where nothing was found wanting."""
    advice = manifest.certificate.advice if manifest.certificate else ()
    if advice:
        console.print("What to try next", style="italic")
        for sentence in advice:
            console.print(f"- {printable(sentence)}", highlight=False, markup=False)


def stages_table(manifest: Manifest) -> Table | None:
    """Return the steps from FP32 to the bundle; None where nothing was measured."""
    certificate = manifest.certificate
    last = whole_stage(manifest)
    stages = (*(certificate.stages if certificate else ()), *((last,) if last else ()))
    if not certificate or not certificate.stages:
        return None
    title = f"From {reference_name(manifest)} to the bundle, on {escape(printable(certificate.held_back))}"
    table = Table("step", "agreement", "SQNR", "", "note", title=title, title_justify="left")
    table.columns[1].justify = table.columns[2].justify = "right"
    for stage in stages:
        table.add_row(*_cells(stage), style="" if stage.kept else "dim")
    return table


def latency_line(manifest: Manifest) -> str:
    """Return both times in one line, "" where they were not measured."""
    latency = manifest.certificate.latency if manifest.certificate else None
    if latency is None or latency.fp32_ms <= 0:
        return ""
    return printable(
        f"latency: {milliseconds(latency.bundle_ms)} against {milliseconds(latency.fp32_ms)} of FP32 "
        f"({ratio(latency.bundle_ms / latency.fp32_ms)}), {machine(latency)}"
    )


def _cells(stage: Stage) -> tuple[str, ...]:
    return (
        escape(printable(stage.name)),
        "-" if stage.agreement is None else percent(stage.agreement),
        "-" if stage.sqnr_db is None else decibel(stage.sqnr_db),
        "" if stage.kept else "undone",
        escape(printable(stage.note)),
    )

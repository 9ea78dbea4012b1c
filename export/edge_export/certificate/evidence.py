"""The report's sections of evidence: accuracy with its intervals, speed, and the images whose answer changed."""

from __future__ import annotations

import base64
import math

from edge_export.certificate.charts import bar, change_chart, value_chart
from edge_export.certificate.figures import reference_name
from edge_export.certificate.findings import Findings
from edge_export.certificate.markup import Markup, join, table, tag
from edge_export.certificate.words import machine, milliseconds, plural, ratio, score, signed
from edge_export.evaluate.data.truth import Part
from edge_export.evaluate.metrics.parts import parts_of
from edge_export.state import Flip, Score
from edge_runtime.bundle.manifest import Accuracy
from edge_runtime.bundle.postprocess_spec import Postprocess

__all__ = ["accuracy_section", "flips_section", "speed_section"]

_MOST_CHARTED = 8
_MARKS = {
    "detect": " Ringed is what one reported and the other did not{}.",
    "segment": " Pixels of another class are magenta in both pictures.",
}
_PART_WORDS: dict[Part, str] = {
    "masks": "another mask (what differs is magenta)",
    "points": "other points",
    "oriented": "another turn",
}


def accuracy_section(findings: Findings) -> Markup:
    """Return the measured figures as a table, those of labelled images as whiskers too."""
    rows = findings.manifest.accuracy
    if not rows:
        return Markup("")
    heading, reference = tag("h2", "Accuracy"), reference_name(findings.manifest)
    parts = [heading]
    comparison = findings.comparison
    if comparison:
        allowed = findings.manifest.certificate.max_drop if findings.manifest.certificate else 0.0
        finite = [
            (before, after, change)
            for before, after, change in zip(comparison.fp32, comparison.bundle, comparison.difference, strict=True)
            if all(math.isfinite(one.value) for one in (before, after, change))
        ][:_MOST_CHARTED]
        if finite:
            before, after, change = zip(*finite, strict=True)
            parts.append(tag("div", _values(before, after), _changes(change, allowed), attributes={"class": "split"}))
        parts.append(_compared(comparison.difference, rows))
        parts += [_plain([row for row in rows if row.fp32 is None], reference)]
    else:
        parts.append(_plain(list(rows), reference))
    return tag("section", *parts)


def _values(before: tuple[Score, ...], after: tuple[Score, ...]) -> Markup:
    key = tag(
        "ul",
        tag("li", tag("span", attributes={"class": "key p-fp32"}), "FP32 (dot)"),
        tag("li", tag("span", attributes={"class": "key p-int8"}), "bundle (square)"),
        tag("li", "lines: 95 % intervals"),
        attributes={"class": "legend"},
    )
    return tag("div", tag("h3", "Both models"), tag("figure", value_chart(before, after), key))


def _changes(change: tuple[Score, ...], allowed: float) -> Markup:
    words = "Bundle less FP32 on the same images: an interval that reaches across the upright line may be chance."
    figure = tag("figure", change_chart(change, allowed), tag("figcaption", words))
    return tag("div", tag("h3", "What changed"), figure)


def _compared(changes: tuple[Score, ...], rows: tuple[Accuracy, ...]) -> Markup:
    by_metric = {change.metric: change for change in changes}
    cells = [
        (
            row.metric,
            score(row.metric, row.fp32),
            score(row.metric, row.bundle),
            _interval(row),
            _change(by_metric, row),
        )
        for row in rows
        if row.fp32 is not None
    ]
    data = next((row.data for row in rows if row.fp32 is not None), "")
    headings = ("measure", "FP32", "bundle", "95 %", "change (95 %)")
    return table(headings, cells, f"On {data}", numbers=(1, 2, 3, 4))


def _plain(rows: list[Accuracy], reference: str) -> Markup:
    if not rows:
        return Markup("")
    cells = [(row.metric, join((score(row.metric, row.bundle), _small(_interval(row)))), row.data) for row in rows]
    return table(
        ("measure", "bundle", "on"), cells, f"How near the bundle's answers are to those of {reference}", numbers=(1,)
    )


def _small(words: str) -> Markup:
    return tag("small", words) if words else Markup("")


def _interval(row: Accuracy) -> str:
    if row.low is None:
        return ""
    return f"at least {row.low:.4f}" if row.high is None else f"{row.low:.4f} to {row.high:.4f}"


def _change(changes: dict[str, Score], row: Accuracy) -> str:
    found = changes.get(row.metric)
    if found is None or not math.isfinite(found.value):
        return ""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return signed(found.value)
    return join((signed(found.value), _small(f"{signed(found.low)} to {signed(found.high)}")))


def speed_section(findings: Findings) -> Markup:
    """Return both times as bars, with the machine that they are true of."""
    certificate = findings.manifest.certificate
    heading = tag("h2", "Speed")
    latency = certificate.latency if certificate else None
    if latency is None or findings.time_ratio is None:
        words = "Not measured during the export: time the bundle on the device that it is for, with edge-bench."
        return tag("section", heading, tag("p", words))
    slowest = max(latency.fp32_ms, latency.bundle_ms)
    rows = [
        (join((name, bar(time / slowest, style, f"{name} {milliseconds(time)}"))), milliseconds(time), times)
        for name, time, style, times in (
            ("FP32", latency.fp32_ms, "p-fp32", "1.00x"),
            ("bundle", latency.bundle_ms, "p-int8", ratio(findings.time_ratio)),
        )
    ]
    where = f"On {machine(latency)}"
    figures = table(("graph", "median", "of FP32"), rows, where, numbers=(1, 2))
    words = tag(
        "p",
        "Both whole graphs in plain onnxruntime, alternating. Another machine has other times and often another ratio.",
        attributes={"class": "soft"},
    )
    return tag("section", heading, figures, words)


def flips_section(findings: Findings) -> Markup:
    """Return the images whose answer changed, FP32 beside the bundle, the worst first."""
    flips = findings.flips
    if flips is None or not flips.images:
        return Markup("")
    heading = tag("h2", "Images whose answer changed")
    looked = f"{plural(flips.images, 'image')} looked at ({flips.data})"
    if not flips.changed:
        return tag("section", heading, tag("p", f"None of {looked}."))
    judged = findings.manifest.verdict.rule != "none"
    verdicts = f", {flips.verdicts or 'none'} of them with another verdict" if judged else ""
    words = f"{flips.changed} of {looked}{verdicts}."
    words += _marks(findings.manifest.postprocess)
    if flips.changed > len(flips.worst):
        words += f" The {len(flips.worst)} worst:"
    pictures = tag("div", *(_flip(flip) for flip in flips.worst), attributes={"class": "flips"})
    return tag("section", heading, tag("p", words), pictures, attributes={"class": "long"})


def _marks(post: Postprocess) -> str:
    """What is marked in the pictures."""
    parts = [_PART_WORDS[part] for part in parts_of(post)]
    return _MARKS.get(post.task, "").format(f", or with {' or '.join(parts)}" if parts else "")


def _flip(flip: Flip) -> Markup:
    sides = (
        tag("div", tag("span", title), tag("img", attributes={"src": _data(jpeg), "alt": f"{title}: {flip.name}"}))
        for title, jpeg in (("FP32", flip.fp32), ("bundle", flip.bundle))
    )
    badge = tag("span", "verdict", attributes={"class": "badge bad"}) if flip.verdict_changed else ""
    words = tag("figcaption", tag("span", flip.name, attributes={"class": "name"}), " ", badge, " ", flip.change)
    return tag("figure", tag("div", *sides, attributes={"class": "sides"}), words, attributes={"class": "flip"})


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"

"""Pictures as inline SVG. Drawn 480 units wide: their text stays readable on a phone and modest on a desk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edge_export.certificate import svg
from edge_export.certificate.markup import Markup, join, tag
from edge_export.certificate.svg import WIDTH
from edge_export.certificate.words import decibel, percent, signed
from edge_export.state import Score
from edge_runtime.bundle.manifest import NodePrecision, Stage

__all__ = ["bar", "change_chart", "layer_chart", "stage_chart", "value_chart"]

_Words = Callable[[float], str]

_LEFT, _RIGHT, _TOP = 44, 10, 22
_ROW = 44
_LABELS = 110


def bar(fraction: float, style: str, title: str) -> Markup:
    """Return a bar for a table's cell, as long as `fraction` (0..1) of it."""
    width = svg.number(100 * min(max(fraction, 0.0), 1.0))
    box = {"class": style, "x": "0", "y": "0", "width": width, "height": "10"}
    frame = {"class": "bar", "viewBox": "0 0 100 10", "preserveAspectRatio": "none", "role": "img"}
    return tag("svg", tag("title", title), tag("rect", attributes=box), attributes=frame)


def layer_chart(nodes: Sequence[NodePrecision], threshold: float) -> Markup:
    """Return each layer's sqnr_db as a bar, in graph order; a layer that was not measured leaves a gap."""
    known = [node.sqnr_db for node in nodes if node.sqnr_db is not None]
    top = _ceiling(max([*known, threshold * 1.5]))
    height, bottom = 240, 204
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(nodes))
    bars = []
    for index, node in enumerate(nodes):
        if node.sqnr_db is None:
            continue
        # A sliver stays of what is at 0 dB or below: it is the worst of all and must be seen.
        y = min(_y(node.sqnr_db, 0, top, _TOP, bottom), bottom - 2)
        place = {
            "x": svg.number(_LEFT + slot * index + slot * 0.1),
            "y": svg.number(y),
            "width": svg.number(max(slot * 0.8, 0.6)),
        }
        title = tag("title", f"{index + 1}. {node.node} ({node.op}): {decibel(node.sqnr_db)}, {node.precision}")
        attributes = {"class": f"p-{node.precision}", **place, "height": svg.number(bottom - y)}
        bars.append(tag("rect", title, attributes=attributes))
    line = _y(threshold, 0, top, _TOP, bottom)
    parts = (
        _levels(0, top, bottom, lambda value: f"{value:g}"),
        *bars,
        svg.line(_LEFT, line, WIDTH - _RIGHT, line, "limit"),
        svg.label(WIDTH - _RIGHT, 14, f"dashed: {threshold:g} dB", "limit-name", "end"),
        svg.label(_LEFT, 14, "dB (higher is better)", "dim"),
        svg.label(_LEFT, height - 14, "1: first layer", "dim"),
        svg.label(WIDTH - _RIGHT, height - 14, f"last of {len(nodes)}", "dim", "end"),
    )
    return svg.picture(
        height, f"Signal to noise of the outputs with one layer at a time in int8, {len(nodes)} layers", parts
    )


def stage_chart(stages: Sequence[Stage]) -> Markup:
    """Return the signal-to-noise ratio, or the agreement where that is all there is, after each numbered step."""
    by_level = any(stage.sqnr_db is not None for stage in stages)
    values = [stage.sqnr_db if by_level else stage.agreement for stage in stages]
    known = [value for value in values if value is not None]
    bottom_value = 0.0 if by_level else math.floor(min(known, default=0.0) * 10) / 10
    bottom_value = min(bottom_value, 0.9)
    top_value = _ceiling(max(known, default=1.0) * 1.25) if by_level else 1.0
    height, bottom = 200, 160
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(stages))
    points, marks = [], []
    for index, (stage, value) in enumerate(zip(stages, values, strict=True)):
        x = _LEFT + step * (index + 0.5)
        marks.append(svg.label(x, bottom + 18, str(index + 1), "dim", "middle"))
        if value is None:
            continue
        y = _y(value, bottom_value, top_value, _TOP, bottom)
        said = decibel(value) if by_level else percent(value)
        title = tag("title", f"{index + 1}. {stage.name}: {said}{'' if stage.kept else ', undone'}")
        if stage.kept:
            points.append(f"{svg.number(x)},{svg.number(y)}")
            marks.append(
                tag("circle", title, attributes={"class": "after", "cx": svg.number(x), "cy": svg.number(y), "r": "5"})
            )
        else:
            cross = f"M{svg.number(x - 5)} {svg.number(y - 5)}l10 10m0-10l-10 10"
            marks.append(tag("path", title, attributes={"class": "undone", "d": cross}))
        if len(stages) <= 9:
            marks.append(svg.label(x, y - 10, f"{value:.1f}" if by_level else f"{value * 100:.1f}", "", "middle"))
    parts = (
        _levels(bottom_value, top_value, bottom, (lambda v: f"{v:g}") if by_level else (lambda v: f"{v * 100:g}")),
        tag("polyline", attributes={"class": "kept", "points": " ".join(points)}),
        *marks,
        svg.label(_LEFT, 14, "dB (higher is better)" if by_level else "agreement, %", "dim"),
        svg.label(WIDTH - _RIGHT, height - 4, "step", "dim", "end"),
    )
    return svg.picture(height, "Nearness to FP32 after each step; a cross is a step that was undone", parts)


def value_chart(before: Sequence[Score], after: Sequence[Score]) -> Markup:
    """Return both models' metrics with their 95 % intervals."""
    ends = [end for score in (*before, *after) for end in (score.value, score.low, score.high) if math.isfinite(end)]
    low = math.floor(min(ends, default=0.0) * 10 + 1e-9) / 10
    high = max(math.ceil(max(ends, default=1.0) * 10 - 1e-9) / 10, low + 0.1)
    bottom = _ROW * len(before) + 6
    rows = [
        join(
            (
                svg.label(0, _ROW * index + 28, _short(one.metric), ""),
                _whisker(one, low, high, _ROW * index + 16, "before", f"FP32 {one.metric}"),
                _whisker(other, low, high, _ROW * index + 31, "after", f"bundle {other.metric}"),
            )
        )
        for index, (one, other) in enumerate(zip(before, after, strict=True))
    ]
    axis = _axis(low, high, bottom, lambda value: f"{value:.1f}")
    return svg.picture(bottom + 26, "FP32 and the bundle with 95 % intervals", (axis, *rows))


def change_chart(changes: Sequence[Score], allowed: float) -> Markup:
    """Return what changed from FP32 to the bundle, with 95 % intervals, and the drop that was allowed."""
    ends = [end for score in changes for end in (score.value, score.low, score.high) if math.isfinite(end)]
    low, high = min([*ends, -allowed, 0.0]), max([*ends, 0.0])
    margin = max(0.12 * (high - low), 1e-3)
    low, high = low - margin, high + margin
    top = 20
    bottom = top + 30 * len(changes) + 6
    zero, limit = _x(0.0, low, high), _x(-allowed, low, high)
    rows = [
        join(
            (
                svg.label(0, top + 30 * index + 20, _short(score.metric), ""),
                _whisker(score, low, high, top + 30 * index + 15, "after", f"change of {score.metric}"),
            )
        )
        for index, score in enumerate(changes)
    ]
    parts = (
        svg.line(_LABELS, bottom, WIDTH - _RIGHT, bottom, "axis"),
        svg.line(zero, top, zero, bottom, "axis"),
        svg.label(zero, bottom + 18, "as FP32", "dim", "middle" if low < -0.2 * (high - low) else "start"),
        *(
            (
                svg.line(limit, top, limit, bottom, "limit"),
                svg.label(limit, 14, f"allowed {-allowed:g}", "limit-name", "middle"),
            )
            if allowed > 0
            else ()
        ),
        *rows,
    )
    return svg.picture(bottom + 26, "Change from FP32 to the bundle with 95 % intervals", parts)


def _whisker(score: Score, low: float, high: float, y: float, style: str, title: str) -> Markup:
    value = f"{title}: {score.value:.4f}"
    if not math.isfinite(score.value):
        return Markup("")
    x = _x(score.value, low, high)
    if style == "before":
        dot = tag("circle", attributes={"class": style, "cx": svg.number(x), "cy": svg.number(y), "r": "4.5"})
    else:
        box = {"class": style, "x": svg.number(x - 4), "y": svg.number(y - 4), "width": "8", "height": "8"}
        dot = tag("rect", attributes=box)
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return tag("g", tag("title", value), dot)
    left, right = _x(score.low, low, high), _x(score.high, low, high)
    caps = (svg.line(end, y - 5, end, y + 5, style) for end in (left, right))
    title = f"{value} ({signed(score.low)} to {signed(score.high)})"
    return tag("g", tag("title", title), svg.line(left, y, right, y, style), *caps, dot)


def _axis(low: float, high: float, bottom: float, words: _Words) -> Markup:
    marks = []
    tenths = round((high - low) * 10)
    every = 1 if tenths <= 5 else 2
    # From the right, where scores crowd: every tenth, or every second one where there are many.
    for index in range(0, tenths + 1, every):
        value = high - index / 10
        x = _x(value, low, high)
        marks.append(svg.line(x, 4, x, bottom, "grid"))
        marks.append(svg.label(x, bottom + 18, words(value), "dim", "middle" if index else "end"))
    return join((*marks, svg.line(_LABELS, bottom, WIDTH - _RIGHT, bottom, "axis")))


def _levels(low: float, high: float, bottom: float, words: _Words) -> Markup:
    """Return horizontal lines with their values: four spaces between the ends."""
    marks = []
    for index in range(5):
        value = low + (high - low) * index / 4
        y = _y(value, low, high, _TOP, bottom)
        marks.append(svg.line(_LEFT, y, WIDTH - _RIGHT, y, "grid" if index else "axis"))
        marks.append(svg.label(_LEFT - 6, y + 5, words(value), "dim", "end"))
    return join(marks)


def _ceiling(level: float) -> float:
    """The next multiple of 20 dB, so that four spaces have round values."""
    return max(20.0, math.ceil(min(level, 120.0) / 20) * 20.0)


def _x(value: float, low: float, high: float) -> float:
    return _LABELS + (WIDTH - _RIGHT - 4 - _LABELS) * (value - low) / (high - low)


def _y(value: float, low: float, high: float, top: float, bottom: float) -> float:
    return bottom - (bottom - top) * min(max((value - low) / (high - low), 0.0), 1.0)


def _short(metric: str) -> str:
    return metric if len(metric) <= 15 else f"{metric[:14]}..."

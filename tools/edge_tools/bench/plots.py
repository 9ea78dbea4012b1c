"""The report's pictures: latency by case, memory against the limit, speed over time, time per image by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from edge_export.certificate import svg
from edge_export.certificate.markup import Markup, join, tag
from edge_export.certificate.svg import WIDTH
from edge_runtime.files.sizes import format_size
from edge_tools.bench.cases import Row
from edge_tools.bench.compare import over_base
from edge_tools.bench.words import MARK, marked

__all__ = ["PLOT_CSS", "batch_plot", "case_words", "latency_plot", "memory_plot", "on_scale", "sustained_plot"]

_LEFT, _RIGHT, _TOP = 48, 14, 14
_ROW = 46
_LINES = 6  # colours that are told apart; further lines are dashed
_NAME = 62  # letters of a case's name that fit above its bar

# Lines take the colours of precisions, which stand out 3:1 from the card in both schemes.
PLOT_CSS = """
svg .s0,svg .s1,svg .s2,svg .s3,svg .s4,svg .s5{stroke-width:2;fill:none}
svg .s0{stroke:var(--int8)}svg .s1{stroke:var(--fp16)}svg .s2{stroke:var(--good)}
svg .s3{stroke:var(--int4-weights)}svg .s4{stroke:var(--fp32)}svg .s5{stroke:var(--check)}
svg circle.s0{fill:var(--int8)}svg circle.s1{fill:var(--fp16)}svg circle.s2{fill:var(--good)}
svg circle.s3{fill:var(--int4-weights)}svg circle.s4{fill:var(--fp32)}svg circle.s5{fill:var(--check)}
svg .dashed{stroke-dasharray:6 4}
.key.s0{background:var(--int8)}.key.s1{background:var(--fp16)}.key.s2{background:var(--good)}
.key.s3{background:var(--int4-weights)}.key.s4{background:var(--fp32)}.key.s5{background:var(--check)}
svg .ours{fill:var(--int8)}svg .theirs{fill:var(--fp32)}svg .base{fill:var(--line);stroke:var(--soft);stroke-width:.5}
.key.ours{background:var(--int8)}.key.theirs{background:var(--fp32)}
.key.base{background:var(--line);outline:1px solid var(--soft)}
.key.limit{background:var(--bad)}.under{display:block;color:var(--soft);font-size:.8125rem;font-weight:400}
.said{white-space:normal;display:block;text-align:left;min-width:11rem}
tbody th:has(.under){min-width:13rem}tbody td:nth-child(2){white-space:nowrap}
""".strip()


def case_words(row: Row, batch: bool = True) -> str:
    """Return what tells a row from the others, in words."""
    limit = "no limit" if row.memory_limit_bytes is None else format_size(row.memory_limit_bytes)
    model = " ".join(part for part in (row.model, f"({row.precision})" if row.precision else "") if part)
    return ", ".join([f"{row.engine} {model}".strip(), limit, *[f"batch {row.batch}"] * batch])


def latency_plot(rows: Sequence[Row], label: str) -> Markup:
    """Return p50 as a bar's end, p95 and p99 as marks on a line beyond it; rows of one batch size that are "ok"."""
    top = _round_up(max([row.latency_ms.p99 or 0.0 for row in rows], default=1.0))

    def draw(row: Row, y: float) -> Markup:
        p50, p95, p99 = (value or 0.0 for value in (row.latency_ms.p50, row.latency_ms.p95, row.latency_ms.p99))
        words = f"{case_words(row)}: p50 {p50:.3g} ms, p95 {p95:.3g} ms, p99 {p99:.3g} ms{marked(label)}"
        x50, x95, x99 = (_x(value, top) for value in (p50, p95, p99))
        style = _style(row)
        stroke = "after" if style == "ours" else "before"
        return tag(
            "g",
            tag("title", words),
            _box(_x(0, top), y, x50, 14, style),
            svg.line(x50, y + 7, x99, y + 7, stroke),
            *(svg.line(x, y + 1, x, y + 13, stroke) for x in (x95, x99)),
        )

    return _bars(rows, top, draw, "ms; bar: p50, marks: p95 and p99", label)


def memory_plot(rows: Sequence[Row], label: str) -> Markup:
    """Return each row's peak as a bar, the interpreter's share of it apart, and its limit as a dashed line."""
    limits = [row.memory_limit_bytes or 0 for row in rows if on_scale(row, rows)]
    top = _round_up(max([*limits, *(row.peak_bytes or 0 for row in rows)], default=1) / 1e6)
    beyond = any(row.memory_limit_bytes is not None and not on_scale(row, rows) for row in rows)

    def draw(row: Row, y: float) -> Markup:
        peak, base = (row.peak_bytes or 0) / 1e6, (row.base_bytes or 0) / 1e6
        limit = row.memory_limit_bytes
        above = format_size(over_base(row) or 0)
        words = f"{case_words(row)}: peak {format_size(row.peak_bytes or 0)}, {above} over base{marked(label)}"
        mark = Markup("")
        if limit is not None and on_scale(row, rows):
            mark = svg.line(_x(limit / 1e6, top), y - 3, _x(limit / 1e6, top), y + 17, "limit")
        bars = (_box(_x(0, top), y, _x(base, top), 14, "base"), _box(_x(base, top), y, _x(peak, top), 14, _style(row)))
        return tag("g", tag("title", words), *bars, mark)

    return _bars(rows, top, draw, f"MB, peak memory of the process{'; limit: beyond the scale' * beyond}", label)


def on_scale(row: Row, rows: Sequence[Row]) -> bool:
    """Tell whether a row's limit is drawn: one far beyond all that is needed would press the bars to the edge."""
    most = max((each.peak_bytes or 0 for each in rows), default=0)
    return row.memory_limit_bytes is not None and row.memory_limit_bytes <= 4 * most


def sustained_plot(rows: Sequence[Row], label: str) -> Markup:
    """Return images/s by window for each row that ran on."""
    ran = [(index, row, row.sustained) for index, row in enumerate(rows) if row.sustained]
    top = _round_up(max([max(found.images_per_s) for _, _, found in ran], default=1.0))
    last = max([found.seconds for _, _, found in ran], default=1.0)
    height, bottom = 266, 206
    parts = [_levels(top, bottom), svg.line(_LEFT, bottom, WIDTH - _RIGHT, bottom, "axis")]
    for index, row, found in ran:
        span = found.seconds / len(found.images_per_s)
        places = [
            (_across((number + 0.5) * span, last), _down(rate, top, bottom))
            for number, rate in enumerate(found.images_per_s)
        ]
        words = f"{case_words(row)}: first {found.first:.4g}, steady {found.steady:.4g} images/s{marked(label)}"
        parts.append(_path(index, places, words))
    step = _round_up(last / 5)
    for number in range(int(last / step) + 1):
        parts.append(svg.label(_across(number * step, last), bottom + 18, f"{number * step:g}", "dim", "middle"))
    parts.append(svg.label(_LEFT, 11, "images/s", "dim"))
    parts.append(svg.label(WIDTH - _RIGHT, bottom + 37, "seconds without a pause", "dim", "end"))
    parts.append(_stamp(_LEFT, bottom + 56, label))
    return svg.picture(height, f"Images per second over time{marked(label)}", parts)


def batch_plot(groups: Mapping[str, Sequence[Row]], label: str) -> Markup:
    """Return milliseconds per image by batch size, a line for each group's rows."""
    per_image = {
        name: [((row.latency_ms.p50 or 0.0) / row.batch, row) for row in rows] for name, rows in groups.items()
    }
    batches = sorted({row.batch for rows in groups.values() for row in rows})
    top = _round_up(max([ms for rows in per_image.values() for ms, _ in rows], default=1.0))
    height, bottom = 266, 206
    slot = {batch: (number + 0.5) / len(batches) for number, batch in enumerate(batches)}
    parts = [_levels(top, bottom), svg.line(_LEFT, bottom, WIDTH - _RIGHT, bottom, "axis")]
    for index, (name, rows) in enumerate(per_image.items()):
        places = [(_across(slot[row.batch], 1.0), _down(ms, top, bottom)) for ms, row in rows]
        told = ", ".join(f"batch {row.batch}: {ms:.3g} ms" for ms, row in rows)
        parts.append(_path(index, places, f"{name}: {told} per image{marked(label)}", dots=True))
    parts += [svg.label(_across(slot[batch], 1.0), bottom + 18, str(batch), "dim", "middle") for batch in batches]
    parts.append(svg.label(_LEFT, 11, "ms per image (p50)", "dim"))
    parts.append(svg.label(WIDTH - _RIGHT, bottom + 37, "images in one call", "dim", "end"))
    parts.append(_stamp(_LEFT, bottom + 56, label))
    return svg.picture(height, f"Milliseconds per image by batch{marked(label)}", parts)


def _bars(rows: Sequence[Row], top: float, draw: Callable[[Row, float], Markup], words: str, label: str) -> Markup:
    """Return one bar below each row's name, and the scale at the foot."""
    bottom = _TOP + _ROW * len(rows)
    marks = []
    for number in range(5):
        value = top * number / 4
        x = _x(value, top)
        marks.append(svg.line(x, _TOP, x, bottom, "grid" if number else "axis"))
        anchor = "start" if number == 0 else "end" if number == 4 else "middle"
        marks.append(svg.label(x, bottom + 18, f"{value:g}", "dim", anchor))
    lines = []
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number
        lines.append(join((svg.label(9, y + 14, _cut(case_words(row, batch=False)), ""), draw(row, y + 21))))
    axis = svg.label(4, bottom + 37, words, "dim")
    return svg.picture(bottom + 62, f"{words}{marked(label)}", [*marks, *lines, axis, _stamp(4, bottom + 56, label)])


def _path(index: int, places: Sequence[tuple[float, float]], words: str, dots: bool = False) -> Markup:
    style = f"s{index % _LINES}"
    points = " ".join(f"{svg.number(x)},{svg.number(y)}" for x, y in places)
    line = tag("polyline", attributes={"class": style + " dashed" * (index >= _LINES), "points": points})
    # One window, or one batch, is no line yet.
    marked = places if dots or len(places) < 2 else places[-1:]
    ends = [tag("circle", attributes={"class": style, "cx": svg.number(x), "cy": svg.number(y), "r": "3.5"})
            for x, y in marked]  # fmt: skip
    return tag("g", tag("title", words), line, *ends)


def _levels(top: float, bottom: float) -> Markup:
    marks = []
    for number in range(5):
        y = _down(top * number / 4, top, bottom)
        marks.append(svg.line(_LEFT, y, WIDTH - _RIGHT, y, "grid"))
        marks.append(svg.label(_LEFT - 6, y + 5, f"{top * number / 4:g}", "dim", "end"))
    return join(marks)


def _box(x1: float, y: float, x2: float, height: float, style: str) -> Markup:
    box = {"x": svg.number(x1), "y": svg.number(y), "width": svg.number(max(x2 - x1, 0.0))}
    return tag("rect", attributes={"class": style, **box, "height": svg.number(height)})


def _style(row: Row) -> str:
    return "ours" if row.engine == "edgeline" else "theirs"


def _stamp(x: float, y: float, label: str) -> Markup:
    """Return a line of its own that says so, for a picture that is cut out."""
    return svg.label(x, y, f"{MARK} emulated", "dim") if label else Markup("")


def _cut(text: str) -> str:
    return text if len(text) <= _NAME else f"{text[: _NAME - 3]}..."


def _x(value: float, top: float) -> float:
    return 4 + (WIDTH - 4 - _RIGHT) * min(value / top, 1.0)


def _across(value: float, last: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(value / last, 1.0)


def _down(value: float, top: float, bottom: float) -> float:
    return bottom - (bottom - _TOP - 8) * min(value / top, 1.0)


def _round_up(value: float) -> float:
    """Return the next number whose quarters are short: 1, 2, 4, 8, or 6 times a power of ten."""
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power >= value * 0.9999)

"""A plan as text: a table of its blocks and where the memory and the time go. At most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from edge_runtime.files.sizes import format_size
from edge_runtime.plan.form import Form
from edge_runtime.plan.plan import BlockPlan, Plan

__all__ = ["explain"]

_HEAD = ("block", "memory", "form", "compute", "load", "why")
_RIGHT = (1, 3, 4)  # columns of numbers
_FILE_WIDTH = 16
_WIDTH = 100
_FRAMES = "of full HD, as no source is looked at: read, resized, drawn on, encoded"


def explain(plan: Plan, frames_bytes: int = 0) -> str:
    """Return lines of text without a newline at the end. `frames_bytes` of the base are kept free for frames."""
    lines = [_verdict(plan)]
    if plan.whole:
        lines.append("the whole graph is one session: nothing is loaded while it runs")
    else:
        lines += _blocks(plan)
        lines += ["", *_table([_HEAD, *map(_row, plan.blocks)]), ""]
    lines += _memory(plan, frames_bytes)
    lines += _time(plan)
    return "\n".join(lines)


def _verdict(plan: Plan) -> str:
    if plan.limit_bytes is None:
        return f"no memory limit: {format_size(plan.peak_bytes)} are planned"
    spare = plan.limit_bytes - plan.peak_bytes
    return (
        f"memory limit {format_size(plan.limit_bytes)}: {format_size(plan.peak_bytes)} are planned, "
        f"{format_size(spare)} are spare"
    )


def _blocks(plan: Plan) -> list[str]:
    """What the blocks are, and what could not be had on this machine."""
    if plan.portable:
        return textwrap.wrap(f"blocks of the bundle, not of the graph as it is lowered here: {plan.portable}", _WIDTH)
    unpacked = sum(block.form != "resident" and not block.laid for block in plan.blocks)
    if not unpacked:
        return ["blocks of the whole graph as it is lowered here"]
    return textwrap.wrap(
        f"blocks of the whole graph as it is lowered here; {unpacked} of those that are loaded have weights that "
        "kernels pack for themselves, at every use",
        _WIDTH,
    )


def _row(block: BlockPlan) -> tuple[str, ...]:
    place = 0 if block.place is None else block.place.size
    load = f"{block.load_ms:.1f} ms" if block.form != "resident" else ""
    form: str = "streamed, zstd" if block.packed else block.form
    if block.form == "streamed" and not block.laid:
        form = "unpacked, zstd" if block.packed else "unpacked"
    return (
        _cut(block.file.removesuffix(".onnx"), _FILE_WIDTH),
        format_size(block.held_bytes + place),
        form,
        f"{block.compute_ms:.1f} ms",
        load,
        block.why,
    )


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(_cut("  ".join(cells).rstrip(), _WIDTH))
    return lines


def _memory(plan: Plan, frames_bytes: int) -> list[str]:
    slots = f"{plan.slots} x up to {format_size(plan.slot_bytes)} of it weights that are streamed"
    ends = "inputs and outputs"
    parts = [
        ("base", plan.base_bytes - frames_bytes, "the interpreter and its libraries"),
        *([("frames", frames_bytes, _FRAMES)] if frames_bytes else []),
        ("overhead", plan.overhead_bytes, "what a process grows by while it runs"),
        ("arena", plan.arena_bytes, ends if plan.whole else slots if plan.slots else "values between blocks"),
        ("work", plan.work_bytes, f"of onnxruntime, which may take up to {format_size(plan.work_cap_bytes)} in all"),
        ("held", plan.held_bytes, "sessions that stay"),
        ("moving", plan.moving_bytes, "what making or reloading sessions takes for a moment"),
        ("peak", plan.peak_bytes, "the sum"),
    ]
    return _columns([(name, format_size(size), words) for name, size, words in parts])


def _time(plan: Plan) -> list[str]:
    runs = f"{plan.batch} image{'s' * (plan.batch != 1)} together"
    if plan.micro_batch < plan.batch:
        runs += f", {plan.micro_batch} in one run of a session"
    waiting = plan.latency_ms - plan.compute_ms
    if plan.whole or plan.load_ms == 0:
        bound = "bound by computing, nothing is loaded"
    elif waiting > 0.02 * plan.compute_ms:
        bound = f"bound by loading, which adds {waiting:.1f} ms to computing"
    else:
        bound = "bound by computing, behind which loading hides"
    rows = [("batch", str(plan.batch), runs), ("latency", f"{plan.latency_ms:.1f} ms", f"predicted, {bound}")]
    if not plan.whole:
        source = "the page cache" if plan.cached else "storage"
        forms: tuple[Form, ...] = ("resident", "streamed", "reloaded")
        counts = ", ".join(f"{plan.count(form)} {form}" for form in forms)
        rows.append(("compute", f"{plan.compute_ms:.1f} ms", f"of {len(plan.blocks)} blocks: {counts}"))
        busy = f", a core busy for {plan.load_cpu_ms:.1f} ms of it" if plan.load_cpu_ms else ""
        rows.append(("load", f"{plan.load_ms:.1f} ms", f"of those that are loaded, from {source}{busy}"))
    if plan.limit_bytes is not None and plan.near_bytes > plan.limit_bytes:
        rows.append(("faster", format_size(plan.near_bytes), "is the limit for 1.1x of the fastest at this batch"))
    return _columns(rows)


def _columns(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    return [f"{name:<9} {figure:>10}  {words}" for name, figure, words in rows]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."

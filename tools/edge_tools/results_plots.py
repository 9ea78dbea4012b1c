"""`python -m edge_tools.results_plots`: draw the README's two pictures from the tables of tools/RESULTS.md.

The tables are the only place where the figures stand, so a picture cannot say something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge_runtime.errors import DataError, DependencyError

__all__ = ["ExporterPoint", "MemoryPoint", "exporter_points", "memory_points"]

_TOOLS = Path(__file__).resolve().parents[1]
_EXPORTERS, _MEMORY = "## Against other exporters", "## Memory against time"
# Ours in one strong colour, others in greys and muted hues: told apart by their mark as well.
_OURS, _INK, _SOFT = "#0b6e99", "#222222", "#8a8a8a"
_MARKS = {"ort-minmax": ("s", "#c2571a"), "nncf-mixed": ("^", "#6b8e23"), "nncf-default": ("v", "#6b8e23"),
          "olive": ("D", "#8e5ea2")}  # fmt: skip
_EFFORTS = ("edgeline-fast", "edgeline-good", "edgeline-best")
_COLUMNS = 4
_LEAST_SPAN = 0.06  # of the accuracy axis: what is within the noise must not look like a difference
_WORDS = {"map50": "mAP50", "map33": "mAP33", "top1": "top-1", "mask_miou": "mask mIoU"}


@dataclass(frozen=True)
class ExporterPoint:
    """One exporter on one model: its figure, FP32's (1 where it is agreement with FP32), latency over FP32's."""

    model: str
    exporter: str
    metric: str
    figure: float
    fp32: float
    latency: float


@dataclass(frozen=True)
class MemoryPoint:
    """One case under a limit: peak memory over the libraries' base and latency, both over plain onnxruntime's."""

    model: str
    batch: int
    limit: str
    memory: float
    latency: float


def exporter_points(text: str) -> list[ExporterPoint]:
    """Read the exporters' table out of RESULTS.md; rows without a latency or of random weights are left out."""
    points = []
    for row in _table(text, _EXPORTERS):
        ratio = _ratio(row["latency of FP32"])
        if ratio is None or "random weights" in row["model"]:
            continue
        metric, value = row["figure"].split()
        change = re.match(r"[+-][0-9.]+", row["change (95 %)"])
        fp32 = float(value) - float(change[0]) if change else 1.0
        points.append(ExporterPoint(row["model"], row["exporter"], metric, float(value), fp32, ratio))
    return points


def memory_points(text: str) -> list[MemoryPoint]:
    """Read the table of limits out of RESULTS.md."""
    points, model = [], ""
    for row in _table(text, _MEMORY):
        memory, latency = _ratio(row["over the libraries' base"]), _ratio(row["latency"])
        model = row["model"].split(",")[0]
        if memory is not None and latency is not None:
            points.append(MemoryPoint(model, int(row["batch"]), row["limit"], memory, latency))
    return points


def draw_exporters(points: Sequence[ExporterPoint], path: Path) -> None:
    """Write one small panel for each model: accuracy against latency, upper left is better."""
    plt = _pyplot()
    models = list(dict.fromkeys(point.model for point in points))
    rows = -(-len(models) // _COLUMNS)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(10, 2.6 * rows), squeeze=False)
    flat = [axis for line in axes for axis in line]
    for axis, model in zip(flat, models, strict=False):
        _panel(axis, [point for point in points if point.model == model], model)
    for axis in flat[len(models) :]:
        axis.axis("off")
    handles = [
        plt.Line2D([], [], marker="o", color=_OURS, label="edgeline fast, good, best"),
        *(
            plt.Line2D([], [], marker=mark, color=colour, linestyle="", label=name)
            for name, (mark, colour) in _MARKS.items()
        ),
        plt.Line2D([], [], color=_SOFT, linestyle="--", label="FP32"),
    ]
    place: dict[str, Any] = {"loc": "lower center", "ncols": len(handles)}
    if len(flat) > len(models):
        place = {"loc": "lower right", "ncols": 1, "bbox_to_anchor": (0.985, 0.1)}
    figure.legend(handles=handles, frameon=False, fontsize=8, **place)
    figure.supxlabel("latency, as a share of FP32's", fontsize=9)
    figure.tight_layout()
    _save(figure, path)


def _panel(axis: Any, points: Sequence[ExporterPoint], model: str) -> None:
    by_name = {point.exporter: point for point in points}
    ours = [by_name[name] for name in _EFFORTS if name in by_name]
    axis.axhline(points[0].fp32, color=_SOFT, linestyle="--", linewidth=1)
    axis.axvline(1.0, color=_SOFT, linestyle="--", linewidth=1)
    for name, (mark, colour) in _MARKS.items():
        if point := by_name.get(name):
            axis.plot(point.latency, point.figure, mark, color=colour, markersize=5)
    axis.plot([point.latency for point in ours], [point.figure for point in ours], "o-", color=_OURS, markersize=6)
    metric = points[0].metric
    axis.set_title(f"{model}, {_WORDS.get(metric, metric)}", fontsize=9, color=_INK)
    low, high = axis.get_ylim()
    middle, half = (low + high) / 2, max(high - low, _LEAST_SPAN) / 2
    axis.set_ylim(middle - half, middle + half)
    axis.set_xlim(0, max(1.15, *(1.08 * point.latency for point in points)))
    axis.tick_params(labelsize=7)
    _bare(axis)


def draw_memory(points: Sequence[MemoryPoint], path: Path) -> None:
    """Write memory against time, both over plain onnxruntime's; lower left is better."""
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(7.2, 3.4))
    colours = ("#0b6e99", "#c2571a", "#6b8e23", "#8e5ea2")
    for colour, model in zip(colours, dict.fromkeys(point.model for point in points), strict=False):
        for batch, mark in ((1, "o"), (8, "s")):
            found = [point for point in points if (point.model, point.batch) == (model, batch)]
            axis.plot(
                [point.memory for point in found],
                [point.latency for point in found],
                mark,
                color=colour,
                markersize=7,
                label=f"{model}, batch {batch}" if found else None,
            )
    for index, point in enumerate(sorted(points, key=lambda point: point.memory)):
        # Left and right by turns: neighbours' words do not run into each other.
        axis.annotate(
            point.limit,
            (point.memory, point.latency),
            (8 if index % 2 else -8, -2.5),
            textcoords="offset points",
            ha="left" if index % 2 else "right",
            fontsize=7,
            color=_INK,
        )
    axis.plot(1.0, 1.0, "*", color=_INK, markersize=11, label="plain onnxruntime")
    axis.axhline(1.0, color=_SOFT, linestyle="--", linewidth=1)
    axis.set_xlim(0, 1.1)
    axis.set_ylim(0.9, None)
    axis.set_xlabel("peak memory over what the libraries take, as a share of plain onnxruntime's", fontsize=8)
    axis.set_ylabel("latency over plain's", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.legend(frameon=False, fontsize=8, loc="upper right")
    _bare(axis)
    figure.tight_layout()
    _save(figure, path)


def _bare(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.grid(color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise DependencyError("the pictures need matplotlib; pip install 'edgeline[plots]'") from error
    matplotlib.use("Agg")
    # The same tables give the same bytes.
    matplotlib.rcParams["svg.hashsalt"] = "edgeline"
    matplotlib.rcParams["svg.fonttype"] = "none"
    import matplotlib.pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def _table(text: str, heading: str) -> list[Mapping[str, str]]:
    """The first table below a heading, a row each by column. Raises DataError where there is none."""
    below = text.partition(f"{heading}\n")[2]
    lines = [line for line in below.partition("\n## ")[0].splitlines() if line.startswith("|")]
    if len(lines) < 3:
        raise DataError(f"expected a table below {heading!r} in RESULTS.md, found none")
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def _ratio(text: str) -> float | None:
    found = re.fullmatch(r"([0-9.]+)x", text)
    return float(found[1]) if found else None


@click.command()
@click.option("--results", type=click.Path(path_type=Path, exists=True), default=_TOOLS / "RESULTS.md")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=_TOOLS / "results")
def results_plots(results: Path, output: Path) -> None:
    """Draw accuracy against time and memory against time from the tables of RESULTS.md, as SVG."""
    text = results.read_text(encoding="utf-8")
    output.mkdir(parents=True, exist_ok=True)
    draw_exporters(exporter_points(text), output / "accuracy.svg")
    draw_memory(memory_points(text), output / "memory.svg")
    click.echo(f"{output / 'accuracy.svg'}\n{output / 'memory.svg'}")


if __name__ == "__main__":
    from edge_runtime.cli.console import run_command

    run_command(results_plots, "python -m edge_tools.results_plots")

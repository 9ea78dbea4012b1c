"""`python -m edge_tools.serving_bench BUNDLE --videos DIR`: many videos served at a part of the engine's capacity.

The capacity is measured first, on this engine and through the whole path: decoding, pre-processing, the model,
post-processing. Then that many videos are played at `--load` of it, as cameras play: frames come at their moment, the
newest wins. Latencies are from a frame's moment to its verdict.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from edge_runtime import Engine, open_bundle
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import hidden_native_stderr, run_command
from edge_runtime.ort.process import own_process
from edge_runtime.ort.session import SessionOptions
from edge_runtime.tune.settings import settings_for
from edge_tools.serving_bench.comparison import Report, Setup, measure
from edge_tools.serving_bench.streams import videos_in

__all__ = ["main", "serving_bench"]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--videos", multiple=True, required=True, type=click.Path(path_type=Path), help="Files or folders.")
@click.option("--streams", type=click.IntRange(min=1), default=8, show_default=True, help="Videos at a time.")
@click.option("--load", type=click.FloatRange(0.01, 2.0), default=0.9, show_default=True, help="Of the capacity.")
@click.option("--seconds", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Of a policy in a round.")
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True, help="Policies take turns.")
@click.option("--deadline-ms", type=click.FloatRange(0.1), help="[default: until the stream's next frame]")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, help="Images together at most.")
@click.option("--threads", type=click.IntRange(min=1), help="[default: as edge-tune found for throughput]")
@click.option("--lanes", type=click.IntRange(min=1), help="[default: as edge-tune found for throughput]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def serving_bench(
    bundle: Path,
    videos: tuple[Path, ...],
    streams: int,
    load: float,
    seconds: float,
    rounds: int,
    deadline_ms: float | None,
    batch: int,
    threads: int | None,
    lanes: int | None,
    as_json: bool,
) -> None:
    """Serve videos with BUNDLE at a part of its capacity: p50 and p99 against the deadline, beside fixed batches."""
    setup = Setup(tuple(videos_in(list(videos))), streams, load, seconds, rounds, deadline_ms, batch)
    with hidden_native_stderr(), _opened(bundle, threads, lanes) as engine:
        report = measure(engine, setup, lambda text: click.echo(text, err=True))
    click.echo(json.dumps({"bundle": str(bundle), **dataclasses.asdict(report)}) if as_json else as_table(report))


def _opened(bundle: Path, threads: int | None, lanes: int | None) -> Engine:
    choice = settings_for(read_bundle(bundle, check_hashes=False).sha256, goal="throughput").choice
    options = SessionOptions(
        "cpu", threads or choice.threads, lanes or choice.lanes, spinning=choice.spinning, cores=choice.cores
    )
    return open_bundle(bundle, session=options, prepare=True)


def as_table(report: Report) -> str:
    """Return aligned columns below what was served."""
    head = ("policy", "frames", "p50 ms", "p99 ms", "late", "dropped", "in time", "batch")
    cells = [
        (
            row.name,
            str(row.frames),
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            str(row.missed),
            str(row.dropped),
            f"{row.in_time:.2%}",
            f"{row.mean_batch:.2f}",
        )
        for row in report.rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = [
        f"{report.streams} streams at {report.load:g} of {report.capacity_fps:.1f} frames/s, {report.lanes} lanes, "
        f"deadline {report.deadline_ms:.1f} ms"
    ]
    for line in [head, *cells]:
        columns = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        lines.append("  ".join(columns))
    return "\n".join(lines)


def main() -> None:
    """Run the command and leave the process with its exit code."""
    own_process()
    run_command(serving_bench, "serving_bench")


if __name__ == "__main__":
    main()

"""`python -m edge_tools.bench.endurance BUNDLE`: does memory stay flat? Many calls in one process, its size sampled."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import run_command
from edge_runtime.files.schema import to_json
from edge_runtime.files.sizes import format_size, parse_size
from edge_tools.bench.order import Order
from edge_tools.bench.preparing import prepare_all
from edge_tools.bench.process import Worker, start_worker
from edge_tools.bench.progress import Progress
from edge_tools.bench.samples import write_inputs
from edge_tools.bench.signals import ending_cleanly

__all__ = ["Endurance", "Sample", "endure", "main"]


@dataclass(frozen=True)
class Sample:
    """Resident memory after so many frames."""

    frames: int
    resident_bytes: int


@dataclass(frozen=True)
class Endurance:
    """All samples, and the growth: the largest less the first, which is taken once everything has warmed up."""

    samples: tuple[Sample, ...]
    growth_bytes: int
    peak_bytes: int

    @staticmethod
    def of(samples: Sequence[Sample], peak_bytes: int) -> Endurance:
        """Judge the samples."""
        largest = max(sample.resident_bytes for sample in samples)
        return Endurance(tuple(samples), largest - samples[0].resident_bytes, peak_bytes)


def endure(worker: Worker, frames: int, every: int, batch: int, outputs: Path, say: Callable[[str], None]) -> Endurance:
    """Run at least `frames` images through an opened worker and sample its memory after every `every` of them."""
    worker.open()
    samples: list[Sample] = []
    done = 0
    while done < frames:
        calls = -(-min(every, frames - done) // batch)
        resident = worker.run(calls)["resident_bytes"]
        done += calls * batch
        samples.append(Sample(done, resident))
        say(f"{done} of {frames} frames, {format_size(resident)}")
    return Endurance.of(samples, worker.finish(outputs))


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--frames", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--every", type=click.IntRange(min=1), default=1000, show_default=True, help="Frames between samples.")
@click.option("--memory-limit", default="none", show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(min=1))
@click.option("--timeout", type=float, default=3600.0, show_default=True, help="Longest wait for a sample, in seconds.")
@click.option("--json", "as_json", is_flag=True)
def endurance(
    bundle: Path,
    frames: int,
    every: int,
    memory_limit: str,
    batch: int,
    threads: int | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Run BUNDLE for many frames and report by how much its resident memory grew after the first sample."""
    limit = None if memory_limit == "none" else parse_size(memory_limit)
    opened, say = read_bundle(bundle), Progress(sys.stderr)
    with ending_cleanly(), tempfile.TemporaryDirectory(prefix="edge-bench-") as name:
        prepare_all(bundle, [batch], threads, say)
        inputs = write_inputs(opened, batch, Path(name) / "inputs.npz")
        order = Order("edgeline", str(bundle), str(inputs), batch, limit, threads)
        try:
            with start_worker(order, str(bundle), timeout, weighed=True) as worker:
                found = endure(worker, frames, every, batch, Path(name) / "outputs.npz", say)
        finally:
            say.done()
    if as_json:
        click.echo(json.dumps({"bundle": str(bundle), "memory_limit_bytes": limit, **to_json(found)}))
        return
    for sample in found.samples:
        click.echo(f"{sample.frames:>9} frames  {format_size(sample.resident_bytes):>10}")
    first = found.samples[0].frames
    click.echo(f"grew by {found.growth_bytes} bytes from frame {first} on; peak {format_size(found.peak_bytes)}")


def main() -> None:
    """Run the command."""
    run_command(endurance, "python -m edge_tools.bench.endurance")


if __name__ == "__main__":
    main()

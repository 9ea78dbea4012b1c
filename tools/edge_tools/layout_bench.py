"""`python -m edge_tools.layout_bench BUNDLE ...`: how near the arenas of all plans come to their lower bounds.

All plans: each on the frontier of latency against memory, which are those of every limit, for each batch and with
weights in the page cache and out of it. A bundle that was not prepared for this machine yet is prepared first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import run_command
from edge_runtime.errors import EngineError
from edge_runtime.ort.session import usable_threads
from edge_runtime.plan.costs import batches
from edge_runtime.plan.layout import Buffer, Lifespan, lower_bound
from edge_runtime.plan.measurements import Limit, Measurements, Speeds
from edge_runtime.plan.options import Task, block_options
from edge_runtime.plan.plan import Plan
from edge_runtime.prepare.make import find_measured, prepare

__all__ = ["Arenas", "arenas_of", "as_table"]

_NEAR = 1.02


@dataclass(frozen=True)
class Arenas:
    """The arenas of one bundle's plans: how many, of at most so many buffers, and size over lower bound."""

    name: str
    plans: int
    buffers: int
    near: int
    worst: float
    mean: float
    seconds: float


def arenas_of(
    name: str, measurements: Measurements, speeds: Speeds, ends: tuple[frozenset[str], frozenset[str]], batch: int
) -> Arenas:
    """Lay out every plan for batches up to `batch`; `ends` are the names of the model's inputs and outputs."""
    started = time.perf_counter()
    made = [
        option.plan
        for size in batches(measurements, batch)
        for cached in (True, False)
        for option in block_options(Task(measurements, speeds, Limit(None, 0, size, cached), size, *ends))
    ]
    found = [(plan.arena_bytes, list(_buffers(plan))) for plan in made]
    ratios = [size / bound if (bound := lower_bound(buffers)) else 1.0 for size, buffers in found]
    return Arenas(
        name=name,
        plans=len(ratios),
        buffers=max(len(buffers) for _, buffers in found),
        near=sum(ratio <= _NEAR for ratio in ratios),
        worst=max(ratios),
        mean=sum(ratios) / len(ratios),
        seconds=time.perf_counter() - started,
    )


def as_table(rows: Sequence[Arenas]) -> str:
    """Return a line for each bundle below a heading."""
    head = f"{'bundle':<24} {'plans':>6} {'buffers':>7} {'within 1.02':>11} {'worst':>7} {'mean':>7} {'seconds':>7}"
    return "\n".join(
        [
            head,
            *(
                f"{row.name:<24} {row.plans:>6} {row.buffers:>7} {row.near:>11} {row.worst:>7.4f} {row.mean:>7.4f} "
                f"{row.seconds:>7.1f}"
                for row in rows
            ),
        ]
    )


def _buffers(plan: Plan) -> Iterator[Buffer]:
    places = [*(value.place for value in plan.values), *(block.place for block in plan.blocks)]
    for number, place in enumerate(places):
        if place is not None:
            yield Buffer(str(number), Lifespan(place.lower, place.upper), place.size)


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="The largest batch.")
def layout_bench(bundles: tuple[Path, ...], batch: int) -> None:
    """Lay out the arena of every plan of each BUNDLE and compare with the lower bound."""
    rows = []
    for path in bundles:
        manifest = read_bundle(path).manifest
        measured = find_measured(prepare(path, batch), usable_threads(None), batch)
        if measured is None:
            raise EngineError(f"{path} was prepared and is not in the cache; start again")
        ends = frozenset(spec.name for spec in manifest.inputs), frozenset(spec.name for spec in manifest.outputs)
        rows.append(arenas_of(path.name, measured.content.measurements, measured.content.speeds, ends, batch))
    click.echo(as_table(rows))


def main() -> None:
    """Run the command and leave the process with its exit code."""
    run_command(layout_bench, "layout_bench")


if __name__ == "__main__":
    main()

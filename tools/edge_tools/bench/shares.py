"""`python -m edge_tools.bench.shares BUNDLE`: what a share of plain onnxruntime's memory costs in time.

Each share is a limit: what the engine counts before it opens, and that part of what plain onnxruntime takes over its
own base (the largest PSS of its process tree). The engine runs in a control group of exactly the limit, without swap
and from a cold page cache; plain onnxruntime runs beside it unconfined, and they take turns, call by call.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edge_devices import read_speed
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import run_command
from edge_runtime.errors import MemoryLimitError, UsageError
from edge_runtime.files.sizes import format_size
from edge_tools.bench.confine import Caps, create_group
from edge_tools.bench.hierarchy import Hierarchy, open_hierarchy
from edge_tools.bench.order import Order
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.preparing import prepare_all
from edge_tools.bench.process import KilledError, Worker, start_worker
from edge_tools.bench.progress import Progress
from edge_tools.bench.samples import max_abs_diff, write_inputs
from edge_tools.bench.signals import ending_cleanly

__all__ = ["Plain", "Row", "main", "run", "table_of"]

_WEIGHED_CALLS, _WARM_UP = 3, 2
_TIMEOUT = 600.0


@dataclass(frozen=True)
class Plain:
    """Plain onnxruntime alone: bytes over its base at most, and where its last outputs lie."""

    over_bytes: int
    outputs: Path


@dataclass(frozen=True)
class Row:
    """One share. `share` was asked for, `found` is the engine's peak over base against plain's.

    `ms` and `plain_ms` are medians, `ratio` that of the pairs; `reading_ms` is what reading all that is streamed takes
    by itself. `said` is why there are no figures, "" where there are.
    """

    share: float
    limit: int
    found: float = 0.0
    ms: float = 0.0
    plain_ms: float = 0.0
    ratio: float = 0.0
    reading_ms: float = 0.0
    kills: int = 0
    charged: int = 0
    diff: float = 0.0
    blocks: tuple[int, ...] = ()
    said: str = ""

    @property
    def against_reading(self) -> float:
        """The time against the longer of plain's computing and the reading: what no engine that streams can beat."""
        return self.ratio * self.plain_ms / max(self.plain_ms, self.reading_ms) if self.plain_ms else 0.0


@dataclass(frozen=True)
class _Rig:
    """What all shares have in common."""

    ours: Order
    plain: Order
    hierarchy: Hierarchy
    cache: PageCache
    folder: Path
    read_bytes_per_s: float


def _weigh_plain(rig: _Rig) -> Plain:
    """Watch plain onnxruntime alone for a few calls."""
    rig.cache.drop()
    outputs = rig.folder / "plain.npz"
    with start_worker(rig.plain, "plain onnxruntime", _TIMEOUT, weighed=True) as worker:
        worker.open()
        worker.run(_WEIGHED_CALLS)
        return Plain(worker.finish(outputs) - worker.first["base_bytes"], outputs)


def _counted_base(rig: _Rig) -> int:
    """What the engine counts before it opens: the same at every limit."""
    with start_worker(rig.ours, "the engine without a limit", _TIMEOUT) as worker:
        worker.open()
        return int(worker.first["counted_bytes"])


def _measure_share(rig: _Rig, share: float, base: int, plain: Plain, rounds: int) -> Row:
    """Measure one share, whatever becomes of it. Raises EngineError for a process that fails otherwise."""
    limit = base + round(share * plain.over_bytes)
    order = replace(rig.ours, memory_limit=limit)
    try:
        peak = _weigh(rig, order, plain)
        return _in_turn(rig, order, Row(share, limit, found=peak / plain.over_bytes), plain, rounds)
    except (MemoryLimitError, KilledError) as error:
        return Row(share, limit, said=str(error))


def _weigh(rig: _Rig, order: Order, plain: Plain) -> int:
    rig.cache.drop()
    with _confined(rig, order, weighed=True) as worker:
        worker.open()
        worker.run(_WEIGHED_CALLS)
        return worker.finish(rig.folder / "weighed.npz") - int(worker.first["base_bytes"])


def _in_turn(rig: _Rig, order: Order, row: Row, plain: Plain, rounds: int) -> Row:
    rig.cache.drop()
    outputs = rig.folder / "ours.npz"
    with _confined(rig, order) as ours, start_worker(rig.plain, "plain onnxruntime", _TIMEOUT) as other:
        for worker in (ours, other):
            worker.open()
            worker.run(_WARM_UP)
            worker.freeze()
        pairs = []
        for number in range(rounds):
            turn = [ours, other] if number % 2 else [other, ours]
            found = {worker: _call(worker) for worker in turn}
            pairs.append((found[ours], found[other]))
        ours.thaw()
        first = ours.first
        ours.finish(outputs)
        charges = ours.charges()
    mine, theirs = zip(*pairs, strict=True)
    return Row(
        row.share,
        row.limit,
        found=row.found,
        ms=statistics.median(mine),
        plain_ms=statistics.median(theirs),
        ratio=statistics.median(one / other for one, other in pairs),
        reading_ms=1e3 * first["streamed_bytes"] / rig.read_bytes_per_s,
        kills=charges.oom_kills if charges else 0,
        charged=charges.most_bytes if charges else 0,
        diff=max_abs_diff(plain.outputs, outputs),
        blocks=tuple(first["blocks"]),
    )


def _call(worker: Worker) -> float:
    worker.thaw()
    found: float = worker.run()["ms"][0]
    worker.freeze()
    return found


def _confined(rig: _Rig, order: Order, weighed: bool = False) -> AbstractContextManager[Worker]:
    group = create_group(rig.hierarchy, Caps(memory_bytes=order.memory_limit))
    return start_worker(order, "the engine", _TIMEOUT, group, weighed)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--share", "shares", default="0.1,0.25,0.5", help="Parts of plain's memory over its base.")
@click.option("--batch", default=1, type=click.IntRange(min=1), help="Images in one call.")
@click.option("--rounds", default=12, type=click.IntRange(min=2), help="Pairs of calls of each share.")
def shares_command(bundle: Path, shares: str, batch: int, rounds: int) -> None:
    """Time BUNDLE within shares of plain onnxruntime's memory, each in a control group of exactly its limit (root)."""
    asked, say = _shares(shares), Progress(sys.stderr)
    with ending_cleanly(), tempfile.TemporaryDirectory(prefix="edge-bench-") as folder:
        try:
            rows, plain = run(bundle, asked, batch, rounds, Path(folder), say)
        finally:
            say.done()
    Console(width=150).print(table_of(bundle.name, batch, rows, plain))


def run(
    path: Path, shares: Sequence[float], batch: int, rounds: int, folder: Path, say: Callable[[str], None]
) -> tuple[list[Row], Plain]:
    """Prepare, and measure every share in turn. Raises what opening a bundle raises, UsageError without the rights."""
    bundle = read_bundle(path)
    prepare_all(path, [batch], None, say)
    inputs = str(write_inputs(bundle, batch, folder / "inputs.npz"))
    model = bundle.file("model.onnx")
    weights = max(path.iterdir(), key=lambda file: file.stat().st_size)
    with open_hierarchy(("memory",)) as hierarchy:
        rig = _Rig(
            Order("edgeline", str(path), inputs, batch),
            Order("onnxruntime", str(model), inputs, batch),
            hierarchy,
            PageCache([path]),
            folder,
            read_speed([weights], True, 256 << 20, 3.0) or 1e9,
        )
        say("plain onnxruntime")
        plain = _weigh_plain(rig)
        base = _counted_base(rig)
        rows = []
        for share in shares:
            say(f"{share:g} of plain's memory")
            rows.append(_measure_share(rig, share, base, plain, rounds))
    return rows, plain


def _shares(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < share <= 10 for share in found):
        raise UsageError(f"--share expects parts of plain's memory such as 0.1,0.25, found {text!r}")
    return found


def table_of(name: str, batch: int, rows: Sequence[Row], plain: Plain) -> Table:
    """Return what was measured as a table."""
    table = Table(title=f"{name}, batch {batch}: plain takes {format_size(plain.over_bytes)} over its base")
    for head in (
        "share",
        "limit",
        "peak",
        "ms",
        "plain ms",
        "ratio",
        "reading ms",
        "of max",
        "charged",
        "kills",
        "diff",
    ):
        table.add_column(head, justify="right")
    table.add_column("blocks")
    for row in rows:
        if row.said:
            table.add_row(f"{row.share:g}", format_size(row.limit), *[""] * 9, row.said)
            continue
        table.add_row(
            f"{row.share:g}",
            format_size(row.limit),
            f"{row.found:.3f}x",
            f"{row.ms:.0f}",
            f"{row.plain_ms:.0f}",
            f"{row.ratio:.3f}x",
            f"{row.reading_ms:.0f}",
            f"{row.against_reading:.3f}x",
            format_size(row.charged),
            str(row.kills),
            f"{row.diff:.2g}",
            "/".join(map(str, row.blocks)),
        )
    return table


def main() -> None:
    """Run the command."""
    run_command(shares_command, "python -m edge_tools.bench.shares")


if __name__ == "__main__":
    main()

"""`python -m edge_tools.bench.starts BUNDLE`: does the limit hold? Starts at random limits, the kernel watching.

Every start is a process in a memory cgroup with exactly the limit that the engine was told, swap off. Limits lie
between the smallest that the engine says it can meet and twice that; one in ten lies a little below it. A start ends in
one of these:
    finished   right answers, never above the limit
    refused    for a limit below the smallest that it names, which is true to within 5 %
    wrong      another refusal, or answers that differ from those without a limit
    crossed    it finished, but its memory (PSS, looked at every 10 ms) was above the limit
    killed     the kernel ended it
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import run_command
from edge_runtime.errors import EngineError, MemoryLimitError
from edge_runtime.files.folders import cache_root
from edge_runtime.files.schema import to_json
from edge_runtime.files.sizes import format_size
from edge_tools.bench.confine import Caps, Charges, create_group
from edge_tools.bench.hierarchy import Hierarchy, open_hierarchy
from edge_tools.bench.order import Order
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.preparing import prepare_all
from edge_tools.bench.process import KilledError, start_worker
from edge_tools.bench.progress import Progress
from edge_tools.bench.samples import max_abs_diff, write_inputs
from edge_tools.bench.signals import ending_cleanly

__all__ = ["Start", "judge_refusal", "limits_to_try", "main", "smallest_limit"]

Outcome = Literal["finished", "refused", "wrong", "crossed", "killed"]
_TOLD_WITHIN = 0.05  # of the smallest limit that a refusal names
_LARGEST_DIFFERENCE = 1e-3
_CALLS = 5


@dataclass(frozen=True)
class Start:
    """One start under `limit_bytes` and what became of it; `peak_bytes` (PSS) is None where it did not finish."""

    limit_bytes: int
    outcome: Outcome
    message: str
    peak_bytes: int | None
    charges: Charges | None


def limits_to_try(smallest: int, count: int, seed: int) -> list[int]:
    """Return `count` limits (bytes): smallest..2 * smallest, and one in ten at 0.9 to 1 of the smallest."""
    source = random.Random(seed)
    return [
        int(smallest * (source.uniform(0.9, 1.0) if number % 10 == 9 else source.uniform(1.0, 2.0)))
        for number in range(count)
    ]


def judge_refusal(limit: int, smallest: int, named: int | None) -> tuple[Outcome, str]:
    """Judge a refusal that named `named` as the smallest limit; `smallest` is what was named without any limit."""
    if named is None:
        return "wrong", "refused without naming the smallest limit"
    if named <= limit:
        return "wrong", f"refused {limit} bytes and named {named} as enough"
    if abs(named - smallest) > _TOLD_WITHIN * smallest:
        return "wrong", f"named {named} as the smallest limit, before it was {smallest}"
    return "refused", ""


def smallest_limit(order: Order, timeout: float) -> int:
    """Ask the engine for the smallest limit it can meet (bytes). Raises EngineError when it does not say."""
    try:
        with start_worker(order, "the engine with a limit of 1 byte", timeout) as worker:
            worker.open()
    except MemoryLimitError as error:
        if error.smallest_bytes is not None:
            return error.smallest_bytes
    raise EngineError("the engine did not refuse a limit of 1 byte with the smallest that it can meet")


def _start(order: Order, smallest: int, hierarchy: Hierarchy, folder: Path, timeout: float) -> Start:
    limit = order.memory_limit or 0
    found, message, peak = folder / "found.npz", "", None
    outcome: Outcome
    group = create_group(hierarchy, Caps(limit))
    charges = None
    try:
        with start_worker(order, f"the start at {limit} bytes", timeout, group, weighed=True) as worker:
            try:
                worker.open()
                worker.run(_CALLS)
                peak = worker.finish(found)
            finally:
                charges = group.charges()
        difference = max_abs_diff(folder / "expected.npz", found)
        if peak > limit:
            outcome, message = "crossed", f"{peak - limit} bytes above the limit"
        elif difference > _LARGEST_DIFFERENCE:
            outcome, message = "wrong", f"the answers differ by {difference:.3g} from those without a limit"
        else:
            outcome = "finished"
    except MemoryLimitError as error:
        outcome, message = judge_refusal(limit, smallest, error.smallest_bytes)
    except KilledError as error:
        outcome, message = "killed", str(error)
    return Start(limit, outcome, message, peak, charges)


def _run(
    order: Order, count: int, seed: int, cache: PageCache, folder: Path, timeout: float, say: Callable[[str], None]
) -> tuple[int, list[Start]]:
    """Return the smallest limit and every start."""
    say("the answers without a limit")
    with start_worker(order, "the engine without a limit", timeout) as worker:
        worker.open()
        worker.finish(folder / "expected.npz")
    smallest = smallest_limit(_limited(order, 1), timeout)
    starts: list[Start] = []
    with open_hierarchy(Caps().controllers()) as hierarchy:
        for number, limit in enumerate(limits_to_try(smallest, count, seed)):
            tally = Counter(start.outcome for start in starts)
            say(f"start {number + 1} of {count} at {format_size(limit)} ({_words(tally)})")
            cache.drop()
            starts.append(_start(_limited(order, limit), smallest, hierarchy, folder, timeout))
    return smallest, starts


def _limited(order: Order, limit: int) -> Order:
    return Order(order.engine, order.model, order.inputs, order.batch, limit, order.threads)


def _words(tally: Counter[Outcome]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(tally.items())) or "none yet"


def _lines(smallest: int, starts: Sequence[Start], cache: PageCache) -> list[str]:
    tally = Counter(start.outcome for start in starts)
    lines = [f"smallest limit {format_size(smallest)}, page cache {cache.how}"]
    for start in starts:
        if start.outcome not in ("finished", "refused"):
            lines.append(f"  {start.limit_bytes} bytes: {start.outcome}: {start.message}")
    finished = [(start.peak_bytes or 0) / start.limit_bytes for start in starts if start.outcome == "finished"]
    if finished:
        lines.append(f"of the limit was used: {min(finished):.0%} to {max(finished):.0%}")
    return [*lines, f"{len(starts)} starts: {_words(tally)}; {tally['killed']} kills, {tally['crossed']} crossings"]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(min=1))
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Longest wait for an answer, in seconds.")
@click.option("--drop-cache/--keep-cache", default=True, help="Drop the page cache before each start.  [default: drop]")
@click.option("--json", "as_json", is_flag=True)
def starts(
    bundle: Path,
    count: int,
    seed: int,
    batch: int,
    threads: int | None,
    timeout: float,
    drop_cache: bool,
    as_json: bool,
) -> int:
    """Start BUNDLE at random memory limits, each in a cgroup of its own; exit code 9 unless all end as they should."""
    opened, say = read_bundle(bundle), Progress(sys.stderr)
    with ending_cleanly(), tempfile.TemporaryDirectory(prefix="edge-bench-") as name:
        prepare_all(bundle, [batch], threads, say)
        inputs = write_inputs(opened, batch, Path(name) / "inputs.npz")
        cache = PageCache((bundle, cache_root()), drop_cache)
        order = Order("edgeline", str(bundle), str(inputs), batch, threads=threads)
        try:
            smallest, found = _run(order, count, seed, cache, Path(name), timeout, say)
        finally:
            say.done()
    if as_json:
        report = {"bundle": str(bundle), "smallest_bytes": smallest, "page_cache": cache.how, "starts": to_json(found)}
        click.echo(json.dumps(report))
    else:
        click.echo("\n".join(_lines(smallest, found, cache)))
    return 0 if all(start.outcome in ("finished", "refused") for start in found) else EngineError.exit_code


def main() -> None:
    """Run the command."""
    run_command(starts, "python -m edge_tools.bench.starts")


if __name__ == "__main__":
    main()

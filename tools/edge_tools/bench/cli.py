"""The `edge-bench` command: which cases, which limits; the measurement itself is in measure.py."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import click

from edge_runtime.bundle import read_bundle
from edge_runtime.console import SectionedCommand, run_command
from edge_runtime.errors import UsageError
from edge_runtime.prepared import cache_root
from edge_runtime.schema import to_json
from edge_runtime.sizes import parse_size
from edge_tools.bench.cases import Case, Report
from edge_tools.bench.confine import Caps
from edge_tools.bench.hierarchy import Hierarchy, disks_of, open_hierarchy
from edge_tools.bench.host import describe_host
from edge_tools.bench.measure import Options, measure
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.preparing import prepare_all
from edge_tools.bench.progress import Progress
from edge_tools.bench.signals import ending_cleanly
from edge_tools.bench.table import as_table

__all__ = ["edge_bench", "main"]


class _EdgeBench(SectionedCommand):
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Cases": ("memory_limit", "batch", "against", "reference", "threads"),
        "A smaller machine": ("confine", "storage_mb_per_s", "cpus"),
        "Measuring": ("rounds", "starts", "timeout", "drop_cache", "drop_cache_each", "prepare_only"),
        "Output": ("as_json",),
    }


@click.command(cls=_EdgeBench, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--memory-limit",
    metavar="SIZES",
    default="none",
    show_default=True,
    help="Limits for the whole process, such as 96MB,160MB,none.",
)
@click.option("--batch", metavar="NS", default="1", show_default=True, help="Images in one call, such as 1,4,8.")
@click.option(
    "--against",
    metavar="WHAT",
    help="Measure plain onnxruntime too: 'onnxruntime' runs the bundle's own model.onnx, the path of an ONNX file runs "
    "that (the FP32 original, say).",
)
@click.option(
    "--reference",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="ONNX file whose outputs are the right ones.  [default: the bundle's model.onnx, without optimizations]",
)
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Threads for every engine.  [default: each engine's own choice]",
)
@click.option(
    "--confine",
    is_flag=True,
    help="Run each case in a memory cgroup with its limit, swap off: beyond it the kernel kills. Each case is then "
    "alone on the machine.",
)
@click.option(
    "--storage-mb-per-s",
    metavar="X",
    type=click.FloatRange(min=0, min_open=True),
    help="With --confine: let it read no faster from the disk.",
)
@click.option(
    "--cpus",
    metavar="N",
    type=click.FloatRange(min=0, min_open=True),
    help="With --confine: give it that much processor time, on as many cores.",
)
@click.option(
    "--rounds",
    metavar="N",
    type=click.IntRange(min=1),
    help="Timed calls of each case.  [default: about 3 seconds, at least 10]",
)
@click.option(
    "--starts",
    metavar="N",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Cold starts of each case; the median is reported.",
)
@click.option(
    "--timeout",
    metavar="S",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Longest wait for one answer of an engine.",
)
@click.option(
    "--drop-cache/--keep-cache",
    default=True,
    help="Drop the page cache before each cold start: all of it as root, else the bundle's files.  [default: drop]",
)
@click.option("--drop-cache-each", is_flag=True, help="Drop it before each timed call too.")
@click.option("--prepare", "prepare_only", is_flag=True, help="Only prepare the bundle for this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.version_option(package_name="edgeline", prog_name="edge-bench")
def edge_bench(
    bundle: Path,
    memory_limit: str,
    batch: str,
    against: str | None,
    reference: Path | None,
    threads: int | None,
    confine: bool,
    storage_mb_per_s: float | None,
    cpus: float | None,
    rounds: int | None,
    starts: int,
    timeout: float,
    drop_cache: bool,
    drop_cache_each: bool,
    prepare_only: bool,
    as_json: bool,
) -> None:
    """Measure BUNDLE under memory limits and against plain onnxruntime: latency, cold start, memory, difference.

    Each case is a process of its own; engines that are compared take turns, call by call. Bundles are prepared before
    anything is measured. Progress goes to stderr.

    \b
    Examples:
      edge-bench pcb.edge --against onnxruntime
      edge-bench pcb.edge --memory-limit 96MB,160MB,none --batch 1,4,8 --against onnxruntime --json
    A Raspberry Pi with 512 MB and an SD card (as root, or in a delegated cgroup):
      edge-bench pcb.edge --memory-limit 400MB --confine --storage-mb-per-s 40 --cpus 4

    \b
    Exit codes: 0 done (refused and killed cases are rows), 2 usage or rights, 3 bundle,
    9 an engine failed, 130 Ctrl-C, 143 SIGTERM.
    """
    limits, batches = _limits(memory_limit), _batches(batch)
    model = _against(bundle, against)
    if reference is not None and not reference.is_file():
        raise UsageError(f"--reference {reference}: no such file; give the ONNX file the bundle was made of")
    if drop_cache_each and not drop_cache:
        raise UsageError("--drop-cache-each and --keep-cache contradict each other; leave one out")
    caps = _caps(confine, storage_mb_per_s, cpus)
    opened = read_bundle(bundle)
    say = Progress(sys.stderr)
    cores = None if caps.cpus is None else math.ceil(caps.cpus)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending_cleanly())
        stack.callback(say.done)
        # A machine of fewer cores runs fewer threads; onnxruntime would count this host's.
        threads = threads or cores
        say(f"preparing {bundle.name}")
        prepare_all(bundle, batches, threads, say)
        if prepare_only:
            say.done()
            click.echo(f"{bundle.name} is prepared in {cache_root()}")
            return
        cache = PageCache((bundle, cache_root()), drop_cache)
        hierarchy = stack.enter_context(_confinement(confine, caps))
        if storage_mb_per_s is not None:
            caps = _with_disks(caps, (bundle, cache_root()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-bench-")))
        options = Options(
            reference=str(reference or bundle / "model.onnx"),
            folder=folder,
            cache=cache,
            say=say,
            hierarchy=hierarchy,
            caps=caps,
            rounds=rounds,
            starts=starts,
            threads=threads,
            cpus=() if cores is None else tuple(sorted(os.sched_getaffinity(0))[:cores]),
            timeout=timeout,
            drop_each=drop_cache_each,
        )
        rows, version = measure(opened, _cases(str(bundle), model, limits, batches, confine), options)
    host = describe_host(version, cache.how + " and each call" * drop_cache_each)
    if as_json:
        report = Report(str(bundle), "cpu", host, tuple(measured.row for measured in rows))
        click.echo(json.dumps(to_json(report)))
    else:
        click.echo(as_table(_title(opened.manifest.model.name, caps, confine), host, rows), nl=False)


def _limits(text: str) -> tuple[int | None, ...]:
    limits = dict.fromkeys(None if part.strip().lower() == "none" else parse_size(part) for part in text.split(","))
    if any(limit == 0 for limit in limits):
        raise UsageError("--memory-limit must be above 0 bytes; write none for no limit")
    return tuple(limits)


def _batches(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= 4096 for part in parts):
        raise UsageError(f"--batch expects numbers from 1 to 4096 such as 1,4,8, found {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _against(bundle: Path, against: str | None) -> str | None:
    if against is None:
        return None
    if against == "onnxruntime":
        return str(bundle / "model.onnx")
    if not Path(against).is_file():
        raise UsageError(f"--against expects 'onnxruntime' or an ONNX file, found {against!r}")
    return against


def _cases(
    bundle: str, model: str | None, limits: Sequence[int | None], batches: Sequence[int], confined: bool
) -> list[Case]:
    """Return the cases by batch; a limit means something to plain onnxruntime only where the kernel holds it."""
    cases = []
    for batch in batches:
        cases += [Case("edgeline", bundle, limit, batch) for limit in limits]
        if model is not None:
            cases += [Case("onnxruntime", model, limit, batch) for limit in (limits if confined else (None,))]
    return cases


def _caps(confine: bool, storage_mb_per_s: float | None, cpus: float | None) -> Caps:
    if not confine and (storage_mb_per_s is not None or cpus is not None):
        raise UsageError("--storage-mb-per-s and --cpus limit a confined case; add --confine")
    usable = len(os.sched_getaffinity(0))
    if cpus is not None and math.ceil(cpus) > usable:
        raise UsageError(f"--cpus {cpus:g}: this process may use {usable} cores; a machine with more cannot be tried")
    rate = None if storage_mb_per_s is None else round(storage_mb_per_s * 1e6)
    return Caps(read_bytes_per_s=rate, cpus=cpus)


def _with_disks(caps: Caps, paths: Sequence[Path]) -> Caps:
    present = [path for path in paths if path.exists()]
    return Caps(caps.memory_bytes, caps.read_bytes_per_s, disks_of(present), caps.cpus)


@contextlib.contextmanager
def _confinement(confine: bool, caps: Caps) -> Iterator[Hierarchy | None]:
    if not confine:
        yield None
        return
    with open_hierarchy(caps.controllers()) as hierarchy:
        yield hierarchy


def _title(name: str, caps: Caps, confined: bool) -> str:
    parts = [name, *["each case confined by a control group"] * confined]
    if caps.read_bytes_per_s is not None:
        parts.append(f"storage at {caps.read_bytes_per_s / 1e6:g} MB/s")
    if caps.cpus is not None:
        parts.append(f"{caps.cpus:g} CPUs")
    return ", ".join(parts)


def main() -> None:
    """Run `edge-bench`."""
    run_command(edge_bench, "edge-bench")


if __name__ == "__main__":
    main()

"""The `edge-bench` command: which cases, which limits; the measurement itself is in measure.py."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import click

from edge_devices import Detection, ProfileError, detect, known_profiles, usable_cores
from edge_devices.power import find_power_sensor
from edge_devices.profile import Profile
from edge_devices.thermal import hottest
from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import SectionedCommand, leave_without, run_command
from edge_runtime.errors import UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.files.folders import cache_root
from edge_runtime.files.schema import to_json
from edge_runtime.prepare.make import forget_measured
from edge_tools.bench.board import describe
from edge_tools.bench.cases import Emulated, Report
from edge_tools.bench.confine import Caps
from edge_tools.bench.csv_file import as_csv
from edge_tools.bench.devices_table import devices_json, devices_table
from edge_tools.bench.emulate import emulate, find_board
from edge_tools.bench.hierarchy import Hierarchy, disks_of, open_hierarchy
from edge_tools.bench.host import available_bytes, describe_host
from edge_tools.bench.measure import Options, measure
from edge_tools.bench.page_cache import PageCache
from edge_tools.bench.preparing import boards_cache, prepare_all, prepare_inside
from edge_tools.bench.progress import Progress
from edge_tools.bench.request import (
    batches_of,
    caps_of,
    cases_of,
    check_against,
    check_output,
    limits_of,
    models_of,
    title_of,
)
from edge_tools.bench.signals import ending_cleanly
from edge_tools.bench.sustain import watts_now
from edge_tools.bench.table import as_table

__all__ = ["edge_bench", "main"]

_SUSTAIN_SECONDS = 10.0  # where nobody says how long
_IDLE_SECONDS = 2.0


class _EdgeBench(SectionedCommand):
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Cases": ("memory_limit", "batch", "against", "also", "reference", "threads"),
        "A smaller machine": ("board", "confine", "storage_mb_per_s", "cpus"),
        "Measuring": (
            "rounds",
            "starts",
            "sustain",
            "timeout",
            "drop_cache",
            "drop_cache_each",
            "prepare_only",
            "again",
        ),
        "Output": ("report_file", "csv_file", "as_json", "devices"),
    }


@click.command(cls=_EdgeBench, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
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
    multiple=True,
    help="Measure plain onnxruntime too: 'onnxruntime' runs the bundle's own model.onnx, the path of an ONNX file runs "
    "that (the FP32 original, say). May be given several times; ratios are against the first.",
)
@click.option(
    "--also",
    metavar="OTHER",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Another bundle of the same model, in another precision, say. May be given several times.",
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
    "--as",
    "board",
    metavar="BOARD",
    help="Confine each case to a board's memory, storage speed and cores: raspberry-pi-4b, or with another memory or "
    "storage raspberry-pi-5:8GB:nvme. Every figure is then marked: the limits are emulated, the arithmetic is not.",
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
    help="With --confine or --as: let it read no faster from the disk.",
)
@click.option(
    "--cpus",
    metavar="N",
    type=click.FloatRange(min=0, min_open=True),
    help="With --confine or --as: give it that much processor time, on as many cores.",
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
@click.option("--again", is_flag=True, help="Measure anew what is prepared already: the machine was busy then.")
@click.option(
    "--sustain",
    metavar="S",
    type=click.FloatRange(min=0),
    help="Run each case without a pause for so long: the first seconds beside the rest, and watts where a sensor "
    "exists; 0 for none.  [default: 10 with --report or a power sensor, else 0]",
)
@click.option("--devices", is_flag=True, help="List the known boards, and which of them this machine is.")
@click.option(
    "--report", "report_file", metavar="FILE", type=click.Path(path_type=Path), help="Write a page with plots (HTML)."
)
@click.option("--csv", "csv_file", metavar="FILE", type=click.Path(path_type=Path), help="Write the rows as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.version_option(package_name="edgeline", prog_name="edge-bench")
def edge_bench(
    bundle: Path | None,
    memory_limit: str,
    batch: str,
    against: tuple[str, ...],
    also: tuple[Path, ...],
    reference: Path | None,
    threads: int | None,
    board: str | None,
    confine: bool,
    storage_mb_per_s: float | None,
    cpus: float | None,
    rounds: int | None,
    starts: int,
    timeout: float,
    drop_cache: bool,
    drop_cache_each: bool,
    prepare_only: bool,
    again: bool,
    sustain: float | None,
    devices: bool,
    report_file: Path | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Measure BUNDLE under memory limits and against plain onnxruntime: latency, cold start, memory, difference.

    Each case is a process of its own; engines that are compared take turns, call by call. Bundles are prepared before
    anything is measured. Progress goes to stderr.

    \b
    Examples:
      edge-bench pcb.edge --against onnxruntime
      edge-bench pcb.edge --memory-limit 96MB,160MB,none --batch 1,4,8 --against onnxruntime --json
    This board's report, with the FP32 original beside the bundle:
      edge-bench pcb.edge --against onnxruntime --against pcb.onnx --report pcb.html --csv pcb.csv
    As small as a Raspberry Pi 4B with 1 GB and an SD card (as root, or in a delegated cgroup):
      edge-bench pcb.edge --against onnxruntime --as raspberry-pi-4b

    \b
    Exit codes: 0 done (refused and killed cases are rows), 2 usage or rights, 3 bundle, 4 a model
    that is none, 7 a report that cannot be written, 9 an engine failed, 130 Ctrl-C, 143 SIGTERM.
    """
    if devices:
        _print_devices(as_json)
        return
    if bundle is None:
        raise UsageError("give the BUNDLE to measure, or --devices for a list of the known boards")
    emulated = None if board is None else _emulated(board, storage_mb_per_s, cpus)
    confine = confine or emulated is not None
    limits, batches = limits_of(memory_limit, emulated), batches_of(batch)
    if reference is not None and not reference.is_file():
        raise UsageError(f"--reference {reference}: no such file; give the ONNX file the bundle was made of")
    if drop_cache_each and not drop_cache:
        raise UsageError("--drop-cache-each and --keep-cache contradict each other; leave one out")
    check_against(against)
    caps = caps_of(confine, storage_mb_per_s, cpus, emulated)
    if report_file is not None:  # before anything is measured for it
        leave_without("export", "edge-bench --report")
    for path, flag in ((report_file, "--report"), (csv_file, "--csv")):
        if path is not None:
            check_output(path, flag)
    opened = read_bundle(bundle)
    models = models_of(bundle, opened, also, against)
    bundles = [Path(model.model) for model in models if model.engine == "edgeline"]
    power, load = find_power_sensor(), round(os.getloadavg()[0], 2)
    if sustain is None and (report_file is not None or power.sensor is not None):
        sustain = _SUSTAIN_SECONDS
    say = Progress(sys.stderr)
    cores = None if caps.cpus is None else math.ceil(caps.cpus)
    detection = _detected()  # before anything takes time: a profile of the user's may be broken
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending_cleanly())
        stack.callback(say.done)
        # A machine of fewer cores runs fewer threads; onnxruntime would count this host's.
        threads = threads or cores
        allowed = () if cores is None else tuple(sorted(os.sched_getaffinity(0))[:cores])
        hierarchy = stack.enter_context(_confinement(confine, caps))
        if emulated is not None:
            stack.enter_context(boards_cache(emulated))
        if caps.read_bytes_per_s is not None:
            caps = _with_disks(caps, (*bundles, cache_root()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-bench-")))
        for path in bundles:
            say(f"preparing {path.name}" + (f" inside the limits of {emulated.name}" if emulated else ""))
            if again:
                forget_measured(path)
            if emulated is not None and hierarchy is not None:
                prepare_inside(read_bundle(path), batches, threads, allowed, hierarchy, caps, folder)
            else:
                prepare_all(path, batches, threads, say)
        if prepare_only:
            say.done()
            click.echo(f"{', '.join(path.name for path in bundles)}: prepared in {cache_root()}")
            return
        cache = PageCache((*bundles, cache_root()), drop_cache)
        if power.sensor is not None:
            say(f"power without anything running: {_IDLE_SECONDS:g} s")
        idle_watts = watts_now(power.sensor, _IDLE_SECONDS)
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
            cpus=allowed,
            timeout=timeout,
            drop_each=drop_cache_each,
            sustain_s=sustain or 0.0,
            sensor=power.sensor,
            celsius=hottest,
            label=emulated.label if emulated else "",
        )
        rows, version = measure(opened, cases_of(models, limits, batches, confine), options)
    about = describe(opened, detection, power, idle_watts, load, version)
    report = Report(
        bundle=str(bundle),
        device="cpu",
        host=describe_host(version, cache.how + " and each call" * drop_cache_each),
        rows=tuple(measured.row for measured in rows),
        label=options.label,
        emulated=emulated,
        about=about,
    )
    if report_file is not None:
        from edge_tools.bench.page import render_report  # its style is the certificate's, of edge-export's packages

        write_text(report_file, render_report(report, rows))
    if csv_file is not None:
        write_text(csv_file, as_csv(report, rows))
    if as_json:
        click.echo(json.dumps(to_json(report)))
    else:
        click.echo(as_table(title_of(opened.manifest.model.name, caps, confine), report, rows), nl=False)


def _print_devices(as_json: bool) -> None:
    profiles, here = _profiles(), _detected().profile.id
    if as_json:
        click.echo(json.dumps(devices_json(profiles, here)))
    else:
        click.echo(devices_table(profiles, here), nl=False)


def _profiles() -> Mapping[str, Profile]:
    try:
        return known_profiles()
    except ProfileError as error:
        raise UsageError(str(error)) from error


def _detected() -> Detection:
    try:
        return detect()
    except ProfileError as error:
        raise UsageError(str(error)) from error


def _emulated(text: str, storage_mb_per_s: float | None, cpus: float | None) -> Emulated:
    """Return the board of --as; what this machine is too small for is said at once, before anything is measured."""
    profile, memory, storage = find_board(text, _profiles())
    rate = None if storage_mb_per_s is None else round(storage_mb_per_s * 1e6)
    cores = usable_cores() if cpus is None else min(cpus, usable_cores())
    emulated = emulate(profile, memory, storage, cores, available_bytes(), read_bytes_per_s=rate)
    if emulated.cores < emulated.board_cores:
        click.echo(
            f"warning: {emulated.name} has {emulated.board_cores} cores, a case gets {emulated.cores:g}; every "
            "figure says so",
            err=True,
        )
    return emulated


def _with_disks(caps: Caps, paths: Sequence[Path]) -> Caps:
    present = [path for path in paths if path.exists()]
    return replace(caps, devices=disks_of(present))


@contextlib.contextmanager
def _confinement(confine: bool, caps: Caps) -> Iterator[Hierarchy | None]:
    if not confine:
        yield None
        return
    with open_hierarchy(caps.controllers()) as hierarchy:
        yield hierarchy


def main() -> None:
    """Run `edge-bench`."""
    run_command(edge_bench, "edge-bench")


if __name__ == "__main__":
    main()

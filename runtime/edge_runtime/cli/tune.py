"""The `edge-tune` command: finds out how a bundle is run best on this machine, for edge-run to do so."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import click

from edge_devices import Detection, ProfileError, detect
from edge_devices.machine import Machine
from edge_runtime.cli.console import SectionedCommand, hidden_native_stderr, run_command
from edge_runtime.cli.progress import ProgressLine
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import EdgelineError, UsageError
from edge_runtime.files.schema import to_json
from edge_runtime.inspect.stop import Stop, stop_on_signals
from edge_runtime.ort.session import DEVICES
from edge_runtime.prepare.request import ProgressCall
from edge_runtime.tune.command import TuneOptions, Written, prepare_blocks, tune_bundle
from edge_runtime.tune.report import describe_blocks, report
from edge_runtime.tune.tune import TellCall

__all__ = ["edge_tune", "main"]

_STEPS = 1000
SECONDS_PER_MINUTE = 60.0


class _EdgeTune(SectionedCommand):
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Measuring": ("minutes", "device", "blocks"),
        "Output": ("as_json", "verbose"),
    }


@click.command(cls=_EdgeTune, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--minutes",
    metavar="N",
    type=click.FloatRange(min=0.05, max=24 * 60),
    default=3.0,
    show_default=True,
    help="How long to measure. A board without a fan needs ten or more to become as warm as it gets.",
)
@click.option(
    "--device",
    metavar="NAME",
    default="auto",
    show_default=True,
    help=f"What to try beside the CPU: {', '.join(DEVICES)}; 0 or cuda:0 is the first GPU.",
)
@click.option(
    "--blocks/--no-blocks",
    default=True,
    help="Afterwards prepare and measure the model's blocks, so that the first run with --memory-limit starts fast.  "
    "[default: --blocks]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the profile as one JSON object instead of the report.")
@click.option("--verbose", is_flag=True, help="Show what onnxruntime writes to stderr.")
@click.version_option(package_name="edgeline", prog_name="edge-tune")
def edge_tune(bundle: Path | None, minutes: float, device: str, blocks: bool, as_json: bool, verbose: bool) -> int:
    """Measure how BUNDLE runs best on this machine, and keep that for edge-run: threads, lanes (runs at a time), batch,
    busy waiting, cores. Everything takes turns with plain onnxruntime; what is not clearly faster is not chosen.

    Leave the machine alone meanwhile. Ctrl-C ends it and keeps what was measured. Without BUNDLE the sample that ships
    with Edgeline is tuned. The profile and its raw samples lie in $XDG_CONFIG_HOME/edgeline/tuned.

    \b
    Examples:
      edge-tune boards.edge                    three minutes
      edge-tune boards.edge --minutes 0.3      a quick look
      edge-tune boards.edge --minutes 15       to the steady temperature of a board without a fan
      edge-tune boards.edge --json > tuned.json

    \b
    Exit codes: 0 done, 2 usage, 3 bundle, 4 model, 7 output, 9 engine,
    130 Ctrl-C, 143 SIGTERM (what was measured is kept).
    """
    if not math.isfinite(minutes):
        raise UsageError(f"--minutes must be a number of minutes, found {minutes}")
    path = find_sample().bundle if bundle is None else bundle
    stop = Stop()
    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(hidden_native_stderr())
        stack.enter_context(stop_on_signals(stop))
        try:
            found = _detected()
            options = TuneOptions(SECONDS_PER_MINUTE * minutes, device, found.profile.providers)
            return _tune(path, options, found.machine, blocks, as_json, stop)
        except KeyboardInterrupt:
            return stop.exit_code or 130


def _detected() -> Detection:
    try:
        return detect()
    except ProfileError as error:  # one that the user wrote
        raise UsageError(str(error)) from error


def _tune(path: Path, options: TuneOptions, machine: Machine, blocks: bool, as_json: bool, stop: Stop) -> int:
    with ProgressLine(f"preparing {path.name}") as preparing, ProgressLine(f"tuning {path.name}", phases=True) as line:
        written = tune_bundle(path, options, machine, stop, _shown(line, preparing), _stoppable(preparing, stop))
    if written is None:
        click.echo("stopped before anything was measured; nothing was written", err=True)
        return stop.exit_code
    forms = _blocks(path, written, stop) if blocks and not stop() else ""
    if as_json:
        click.echo(json.dumps(to_json(written.tuned)))
    else:
        click.echo(report(written.tuned, written.path, written.taken, forms))
    return stop.exit_code


def _blocks(path: Path, written: Written, stop: Stop) -> str:
    """Prepare the blocks for the threads that edge-run will use; that it fails is told, and spoils nothing."""
    try:
        with ProgressLine("preparing the blocks for --memory-limit, once") as preparing:
            measured = prepare_blocks(path, written.tuned.latency.threads, _stoppable(preparing, stop))
    except KeyboardInterrupt:
        return "Blocks for --memory-limit: stopped; the first run with a limit prepares them"
    except EdgelineError as error:
        return f"Blocks for --memory-limit: not prepared: {error}"
    return "" if measured is None else describe_blocks(measured)


def _shown(line: ProgressLine, preparing: ProgressLine) -> TellCall:
    def tell(phase: str, part: float) -> None:
        preparing.end()
        line(phase, round(part * _STEPS), _STEPS)

    return tell


def _stoppable(progress: ProgressLine, stop: Callable[[], bool]) -> ProgressCall:
    """A preparing process ends at its next step."""

    def tell(what: str, done: int, total: int) -> None:
        if stop():
            raise KeyboardInterrupt
        progress(what, done, total)

    return tell


def main() -> None:
    """Run `edge-tune`."""
    run_command(edge_tune, "edge-tune")


if __name__ == "__main__":
    main()

"""The `edge-run` command: which bundle, which source, which sinks; the loop itself is in run.py."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import click

from edge_runtime import open_bundle
from edge_runtime.blocks.process import memory
from edge_runtime.bundle import read_bundle
from edge_runtime.console import SectionedCommand, Stop, hidden_native_stderr, run_command, stop_on_signals
from edge_runtime.errors import DataError, EdgelineError, UsageError, VerificationError
from edge_runtime.opening import OpenOptions
from edge_runtime.ort_process import own_process
from edge_runtime.plan.explain import explain as explain_plan
from edge_runtime.progress import ProgressLine
from edge_runtime.run import RunOptions, run
from edge_runtime.sample import find_sample
from edge_runtime.session import DEVICES, SessionOptions
from edge_runtime.sinks import HumanSink, JsonSink, SaveOptions, WindowSink, open_sinks, window_possible
from edge_runtime.sinks.lines import write_line
from edge_runtime.sizes import parse_size
from edge_runtime.sources import Frame, LiveOptions, Source, SourceOptions, looks_like_source, open_source
from edge_runtime.sources.peek import PeekedSource
from edge_runtime.summary import Summary

__all__ = ["edge_run", "main"]

EXIT_NG = 10
EXIT_NO_READ = 11
# Of a frame: as it was read, resized, drawn on, encoded. And what the loop takes besides: records, overlays, labels.
_FRAME_COPIES, _FULL_HD, _RUN_BYTES = 5, 1920 * 1080 * 3, 6 << 20
_PREPARING = "preparing the model for this machine, once"


class _EdgeRun(SectionedCommand):
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Input": ("source", "stride", "max_frames", "reconnect_seconds", "verify"),
        "Judging": ("conf", "iou", "max_det", "classes"),
        "Output": ("as_json", "save", "save_txt", "save_crop", "output", "headless", "exit_code"),
        "Machine": ("device", "threads", "batch", "memory_limit", "lock_memory", "explain", "cache", "verbose"),
    }


@click.command(cls=_EdgeRun, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("arguments", metavar="[BUNDLE]", nargs=-1)
@click.option(
    "--source",
    metavar="SRC",
    help="Camera (0, /dev/video0), RTSP or HTTP URL, video, image, folder, or quoted glob ('in/**/*.png').  "
    "[default: the sample's images]",
)
@click.option(
    "--stride",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Take every Nth video frame.",
)
@click.option(
    "--max-frames",
    metavar="N",
    type=click.IntRange(min=1),
    help="End after this many frames.  [default: no limit]",
)
@click.option(
    "--reconnect-seconds",
    metavar="S",
    type=click.FloatRange(min=0),
    help="How long a lost camera or stream is retried, each attempt a NO_READ frame.  [default: for ever]",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Instead of a source: run the bundle's golden samples and confirm or refute its certificate on this device, "
    f"in one line (one object with --json). Exits with {VerificationError.exit_code} if refuted.",
)
@click.option(
    "--conf",
    metavar="X",
    type=click.FloatRange(0, 1),
    help="Report nothing below this confidence.  [default: the bundle's]",
)
@click.option(
    "--iou",
    metavar="X",
    type=click.FloatRange(0, 1),
    help="Merge boxes that overlap more than this.  [default: the bundle's]",
)
@click.option(
    "--max-det",
    metavar="N",
    type=click.IntRange(min=1),
    help="Most objects reported per frame; the verdict is about all.  [default: the bundle's]",
)
@click.option(
    "--classes",
    metavar="A,B",
    help="Report and draw only these classes, by name or number; the verdict is about all.  [default: all]",
)
@click.option(
    "--json/--no-json",
    "as_json",
    default=None,
    help="One JSON object per frame, or one readable line.  [default: JSON when stdout is not a terminal]",
)
@click.option("--save", is_flag=True, help="Save annotated images, or one annotated .mp4 for a video or camera.")
@click.option(
    "--save-txt",
    is_flag=True,
    help="Save labels/NAME.txt in YOLO's format: class cx cy w h conf, as fractions of the image; "
    "empty when nothing was found.",
)
@click.option("--save-crop", is_flag=True, help="Save what was found as crops/CLASS/NAME_i.jpg.")
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="New or empty folder for what is saved; alone it means --save.  [default: runs/MODEL, -2, -3, ...]",
)
@click.option(
    "--headless",
    is_flag=True,
    help="Open no window. There is one only with a screen and an OpenCV that has a GUI; "
    "the opencv-python-headless that Edgeline installs has none.",
)
@click.option(
    "--exit-code",
    is_flag=True,
    help=f"Exit with {EXIT_NG} if any frame is NG, else {EXIT_NO_READ} if any is NO_READ.",
)
@click.option(
    "--device",
    metavar="NAME",
    default="auto",
    show_default=True,
    help=f"Where to compute: {', '.join(DEVICES)}; 0 or cuda:0 is the first GPU.",
)
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Threads for the model.  [default: as this machine has]",
)
@click.option(
    "--batch",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Images or video frames judged at once; cameras and streams are never waited for.",
)
@click.option(
    "--memory-limit",
    metavar="SIZE",
    help="Keep the whole process below this, as 160MB: blocks of the model are loaded when they are needed. "
    "The first use prepares the bundle for this machine.  [default: no limit]",
)
@click.option("--lock-memory", is_flag=True, help="With --memory-limit: never swap the engine's arena out.")
@click.option("--explain", is_flag=True, help="Print the plan, block by block and why, and end.")
@click.option(
    "--cache/--no-cache",
    default=True,
    help="Keep what was prepared for the next start, in $XDG_CACHE_HOME/edgeline.  [default: --cache]",
)
@click.option("--verbose", is_flag=True, help="Show what OpenCV, ffmpeg and onnxruntime write to stderr.")
@click.version_option(package_name="edgeline", prog_name="edge-run")
def edge_run(
    arguments: tuple[str, ...],
    source: str | None,
    stride: int,
    max_frames: int | None,
    reconnect_seconds: float | None,
    verify: bool,
    conf: float | None,
    iou: float | None,
    max_det: int | None,
    classes: str | None,
    as_json: bool | None,
    save: bool,
    save_txt: bool,
    save_crop: bool,
    output: Path | None,
    headless: bool,
    exit_code: bool,
    device: str,
    threads: int | None,
    batch: int,
    memory_limit: str | None,
    lock_memory: bool,
    explain: bool,
    cache: bool,
    verbose: bool,
) -> int:
    """Judge images, a video or a camera with a model bundle: each frame is OK, NG or NO_READ.

    Without BUNDLE the sample that ships with Edgeline runs. A frame that cannot be read is NO_READ, is
    counted, and the run goes on.

    \b
    Examples:
      edge-run                                          the sample, on its own images
      edge-run boards.edge --source photos/             every image of a folder
      edge-run boards.edge --source 0 --save            the first camera, recorded
      edge-run boards.edge --source rtsp://cam/1 --json > log.jsonl
      edge-run boards.edge --source 'in/**/*.png' --save --save-crop --output out
      edge-run boards.edge --source 0 --memory-limit 160MB
      edge-run boards.edge --verify                     does it answer here as where it was exported?

    \b
    Exit codes: 0 done, 2 usage, 3 bundle, 5 source, 6 no frame could be read,
    7 output, 9 engine, 12 memory limit too small, 13 refuted by --verify, 130 Ctrl-C, 143 SIGTERM.
    """
    limit = None if memory_limit is None else parse_size(memory_limit)
    if verify:
        if source is not None or explain:
            raise UsageError("--verify runs the bundle's own golden samples; leave out --source and --explain")
        options = OpenOptions(SessionOptions(device, threads), limit, batch, cache, lock_memory, prepare=True)
        return _verify(arguments, options, bool(as_json), verbose)
    if explain:
        # As a run would: what frames take is not the model's.
        reserve = 0 if limit is None else _frames_bytes(None, batch)
        _explain(arguments, OpenOptions(SessionOptions(device, threads), limit, batch, cache, lock_memory, reserve))
        return 0
    bundle, source_text = _what_to_run(arguments, source)
    wanted = None if classes is None else [part.strip() for part in classes.split(",") if part.strip()]
    saving = SaveOptions(save or (output is not None and not (save_txt or save_crop)), save_txt, save_crop, output)
    json_lines = not sys.stdout.isatty() if as_json is None else as_json
    live = LiveOptions(reconnect=reconnect_seconds)
    stop, summary = Stop(), Summary()
    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(hidden_native_stderr())
        opened: Source | None = None
        reserve = 0
        if limit is not None:
            # What the source's decoder takes is measured with the process, and so are the frames that will be held.
            read_bundle(bundle, check_hashes=False)
            opened = peeked = PeekedSource(open_source(source_text, SourceOptions(stride, live), stop))
            stack.callback(opened.close)
            reserve = _frames_bytes(peeked.first, batch)
        with ProgressLine(_PREPARING) as progress:
            engine = stack.enter_context(
                open_bundle(
                    bundle,
                    device,
                    threads,
                    confidence=conf,
                    iou=iou,
                    max_det=max_det,
                    classes=wanted,
                    memory_limit=limit,
                    batch=batch,
                    use_cache=cache,
                    lock_memory=lock_memory,
                    reserve_bytes=reserve,
                    prepare=True,
                    progress=progress,
                )
            )
        if opened is None:
            opened = open_source(source_text, SourceOptions(stride, live), stop)
            stack.callback(opened.close)
        summary.limit_bytes = limit or 0
        sinks, summary.saved = open_sinks(saving, engine.manifest.model.name, opened, stack)
        if not headless and window_possible():
            sinks.append(WindowSink(stop))
        # Last: a verdict is announced once its files are there.
        sinks.append(
            JsonSink(sys.stdout)
            if json_lines
            else HumanSink(sys.stdout, opened.kind, opened.total, sys.stdout.isatty())
        )
        if not json_lines:
            model = engine.manifest.model
            write_line(sys.stdout, f"{model.name} {model.version} ({model.precision}) on {opened.name}")
        stack.enter_context(stop_on_signals(stop))
        try:
            run(engine, opened, sinks, summary, RunOptions(batch, max_frames), stop)
        except (EdgelineError, KeyboardInterrupt):
            _print_summary(summary, json_lines)
            raise
        _print_summary(summary, json_lines)
    if stop.signal:
        return stop.exit_code
    return _exit_code(summary, exit_code)


def _verify(arguments: Sequence[str], options: OpenOptions, as_json: bool, verbose: bool) -> int:
    """Verify the bundle, or the sample, opened as a run would open it; returns the exit code."""
    bundle = _only_bundle(arguments, "verify")
    from edge_runtime.verify import verify_bundle  # which a run does not need

    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(hidden_native_stderr())
        with ProgressLine(_PREPARING) as progress:
            verification = verify_bundle(bundle, options, progress)
    write_line(sys.stdout, json.dumps(verification.to_json()) if as_json else verification.line())
    return 0 if verification.confirmed else VerificationError.exit_code


def _only_bundle(arguments: Sequence[str], purpose: str) -> Path:
    """The bundle that was named, or the sample's."""
    if len(arguments) > 1:
        raise UsageError(f"expected one bundle to {purpose}, found {', '.join(arguments)}")
    return Path(arguments[0]) if arguments else find_sample().bundle


def _explain(arguments: Sequence[str], options: OpenOptions) -> None:
    """Print the plan of the bundle, or of the sample."""
    bundle = _only_bundle(arguments, "explain")
    from edge_runtime.limited import plan_bundle  # of the block engine, which a run without a limit does not need

    with ProgressLine(_PREPARING) as progress:
        plan = plan_bundle(bundle, options, progress)
    click.echo(explain_plan(plan))


def _frames_bytes(frame: Frame | None, batch: int) -> int:
    """What reading, judging and saving frames of this size takes beside the engine, in bytes."""
    size = _FULL_HD if frame is None or frame.image is None else frame.image.nbytes
    return _RUN_BYTES + _FRAME_COPIES * size * batch


def _what_to_run(arguments: Sequence[str], source: str | None) -> tuple[Path, str]:
    """Return the bundle and the source, or say in one line what is missing."""
    if len(arguments) > 1 or (arguments and source is not None and looks_like_source(arguments[0])):
        raise UsageError(
            f"expected one bundle, found {', '.join(arguments[:2])}{', ...' * (len(arguments) > 2)}; "
            "put quotes around a pattern (--source 'boards/*.png'), or the shell expands it, and commas in lists "
            "(--classes 45,50)"
        )
    if arguments and looks_like_source(arguments[0]):
        text = arguments[0]
        raise UsageError(f"{text} is something to look at, not a bundle; write: edge-run BUNDLE --source {text}")
    if arguments and source is not None:
        return Path(arguments[0]), source
    if not arguments:
        sample = find_sample()
        return sample.bundle, str(sample.images) if source is None else source
    bundle = Path(arguments[0])
    with contextlib.suppress(EdgelineError, OSError, RuntimeError):  # no sample, a loop of links: an own bundle
        sample = find_sample()
        if bundle.resolve() == sample.bundle.resolve():
            return bundle, str(sample.images)
    raise UsageError(f"{bundle} has nothing to look at; add --source with a camera (0), URL, video, image or folder")


def _print_summary(summary: Summary, json_lines: bool) -> None:
    """Write the summary beside the records: to stderr when they are JSON. A closed terminal is no error."""
    summary.peak_bytes = memory().peak
    with contextlib.suppress(OSError):
        click.echo("\n".join(summary.lines()), err=json_lines)


def _exit_code(summary: Summary, by_verdict: bool) -> int:
    if summary.frames and summary.unread == summary.frames:
        raise DataError(f"none of the {summary.frames} frames could be read; the first failure is named above")
    if by_verdict and summary.verdicts["NG"]:
        return EXIT_NG
    if by_verdict and summary.verdicts["NO_READ"]:
        return EXIT_NO_READ
    return 0


def main() -> None:
    """Run `edge-run`."""
    own_process()
    run_command(edge_run, "edge-run")


if __name__ == "__main__":
    main()

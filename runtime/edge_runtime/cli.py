"""The `edge-run` command: which bundle, which source, which sinks; the loop itself is in run.py."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import click

from edge_runtime import open_bundle
from edge_runtime.console import SectionedCommand, Stop, hidden_native_stderr, run_command, stop_on_signals
from edge_runtime.errors import DataError, EdgelineError, UsageError
from edge_runtime.run import RunOptions, run
from edge_runtime.sample import find_sample
from edge_runtime.session import DEVICES
from edge_runtime.sinks import HumanSink, JsonSink, SaveOptions, WindowSink, open_sinks, window_possible
from edge_runtime.sinks.lines import write_line
from edge_runtime.sources import LiveOptions, SourceOptions, looks_like_source, open_source
from edge_runtime.summary import Summary

__all__ = ["edge_run", "main"]

EXIT_NG = 10
EXIT_NO_READ = 11


class _EdgeRun(SectionedCommand):
    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Input": ("source", "stride", "max_frames", "reconnect_seconds"),
        "Judging": ("conf", "iou", "max_det", "classes"),
        "Output": ("as_json", "save", "save_txt", "save_crop", "output", "headless", "exit_code"),
        "Machine": ("device", "threads", "batch", "verbose"),
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
@click.option("--verbose", is_flag=True, help="Show what OpenCV, ffmpeg and onnxruntime write to stderr.")
@click.version_option(package_name="edgeline", prog_name="edge-run")
def edge_run(
    arguments: tuple[str, ...],
    source: str | None,
    stride: int,
    max_frames: int | None,
    reconnect_seconds: float | None,
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

    \b
    Exit codes: 0 done, 2 usage, 3 bundle, 5 source, 6 no frame could be read,
    7 output, 9 engine, 130 Ctrl-C, 143 SIGTERM.
    """
    bundle, source_text = _what_to_run(arguments, source)
    wanted = None if classes is None else [part.strip() for part in classes.split(",") if part.strip()]
    saving = SaveOptions(save or (output is not None and not (save_txt or save_crop)), save_txt, save_crop, output)
    json_lines = not sys.stdout.isatty() if as_json is None else as_json
    live = LiveOptions(reconnect=reconnect_seconds)
    stop, summary = Stop(), Summary()
    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(hidden_native_stderr())
        engine = stack.enter_context(
            open_bundle(bundle, device, threads, confidence=conf, iou=iou, max_det=max_det, classes=wanted)
        )
        opened = open_source(source_text, SourceOptions(stride, live), stop)
        stack.callback(opened.close)
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
    run_command(edge_run, "edge-run")


if __name__ == "__main__":
    main()

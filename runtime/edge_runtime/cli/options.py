"""The arguments and options of edge-run, and the headings that its help lists them under."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click

from edge_runtime.bundle.operators import ALLOW_OPERATORS
from edge_runtime.cli.console import SectionedCommand
from edge_runtime.cli.flags import Flags
from edge_runtime.errors import VerificationError
from edge_runtime.inspect.sources.stills.eight_bits import DEPTHS
from edge_runtime.ort.session import DEVICES

__all__ = ["EXIT_NG", "EXIT_NO_READ", "PREPARING", "RECIPES", "EdgeRun", "run_options"]

EXIT_NG = 10
EXIT_NO_READ = 11
RECIPES = (".yaml", ".yml")
PREPARING = "preparing the model for this machine, once"


class EdgeRun(SectionedCommand):
    """The command's function takes all values in one object, `Flags`."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Input": (
            "source",
            "stride",
            "max_frames",
            "realtime",
            "reconnect_seconds",
            "poll_ms",
            "health",
            "frozen_seconds",
            "learn_health",
            "bit_depth",
            "background",
            "verify",
        ),
        "Judging": ("conf", "iou", "max_det", "classes"),
        "Output": ("as_json", "save", "save_txt", "save_crop", "output", "headless", "exit_code"),
        "Several sources": ("deadline_ms", "priority", "explain_batching"),
        "Machine": (
            "profile",
            "device",
            "require_provider",
            "threads",
            "lanes",
            "batch",
            "memory_limit",
            "prepare_limit",
            "lock_memory",
            "explain",
            "cache",
            "require_signed",
            "allow_downgrade",
            "allow_operators",
            "verbose",
        ),
    }

    def invoke(self, ctx: click.Context) -> object:
        """Call the function."""
        if self.callback is None:
            raise TypeError("a command without a function")
        return ctx.invoke(self.callback, Flags(ctx.params))


def _allow(_context: click.Context, _option: click.Parameter, names: str | None) -> None:
    """Allow operators in this process and in the ones that it starts."""
    if names is not None:
        os.environ[ALLOW_OPERATORS] = names


_OPTIONS: Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]] = (
    click.argument("arguments", metavar="[BUNDLE]", nargs=-1),
    click.option(
        "--source",
        metavar="SRC",
        multiple=True,
        help="Camera (0, /dev/video0, csi:0), RTSP or HTTP URL, video, image, folder, quoted glob ('in/**/*.png'), "
        "watch:FOLDER, or LIST.streams. Several are served together.  [default: the sample's images]",
    ),
    click.option(
        "--stride",
        metavar="N",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Take every Nth video frame.",
    ),
    click.option(
        "--max-frames",
        metavar="N",
        type=click.IntRange(min=1),
        help="End after this many frames of each source.  [default: no limit]",
    ),
    click.option(
        "--realtime",
        is_flag=True,
        help="Give a video file's frames at their own rate, as a camera would: the newest wins, others are dropped.",
    ),
    click.option(
        "--reconnect-seconds",
        metavar="S",
        type=click.FloatRange(min=0),
        help="How long a camera or stream that is lost, or off at the start, is tried again, each attempt a NO_READ "
        "frame.  [default: for ever]",
    ),
    click.option(
        "--poll-ms",
        metavar="MS",
        type=click.FloatRange(min=1),
        default=200.0,
        show_default=True,
        help="How often a camera is asked whose address gives one picture for each request.",
    ),
    click.option(
        "--health",
        metavar="MODE",
        default="auto",
        show_default=True,
        help="Whether pictures in which nothing can be seen (black, white, one colour, covered) are NO_READ: on, off, "
        "auto (of cameras and streams; in files rows that were never filled, and black or one colour to the bit), or a "
        "file of --learn-health, which tells exposure, focus, shift and dirt as well.",
    ),
    click.option(
        "--frozen-seconds",
        metavar="S",
        type=click.FloatRange(min=0, min_open=True),
        help="A camera or stream that gives the very same pixels for so long is NO_READ; streams repeat a still scene "
        "to the bit: 30 or more.  [default: 10 of a camera of this machine, never of a stream]",
    ),
    click.option(
        "--learn-health",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Instead of judging: learn from the sources' pictures, 20 good ones or more, what good ones are like, and "
        "write it to this file for --health.",
    ),
    click.option(
        "--bit-depth",
        metavar="BITS",
        type=click.Choice(["auto", *map(str, DEPTHS)]),
        default="auto",
        show_default=True,
        help=f"How many bits of a 16-bit picture carry light: {', '.join(map(str, DEPTHS))}; auto: as many as the "
        "first picture of a source uses, for all of it.",
    ),
    click.option(
        "--background",
        metavar="COLOUR",
        help="What lies behind the transparent parts of pictures: white, black or #rrggbb.  [default: such a picture "
        "is NO_READ]",
    ),
    click.option(
        "--verify",
        is_flag=True,
        help="Instead of a source: run the bundle's golden samples and confirm or refute its certificate on this "
        f"device, in one line (one object with --json). Exits with {VerificationError.exit_code} if refuted.",
    ),
    click.option(
        "--conf",
        metavar="X",
        type=click.FloatRange(0, 1),
        help="Report nothing below this confidence.  [default: the bundle's]",
    ),
    click.option(
        "--iou",
        metavar="X",
        type=click.FloatRange(0, 1),
        help="Merge boxes that overlap more than this.  [default: the bundle's]",
    ),
    click.option(
        "--max-det",
        metavar="N",
        type=click.IntRange(min=1),
        help="Most objects reported per frame; the verdict is about all.  [default: the bundle's]",
    ),
    click.option(
        "--classes",
        metavar="A,B",
        help="Report and draw only these classes, by name or number; the verdict is about all.  [default: all]",
    ),
    click.option(
        "--json/--no-json",
        "as_json",
        default=None,
        help="One JSON object per frame, or one readable line.  [default: JSON when stdout is not a terminal]",
    ),
    click.option("--save", is_flag=True, help="Save annotated images, or one annotated .mp4 for a video or camera."),
    click.option(
        "--save-txt",
        is_flag=True,
        help="Save labels/NAME.txt in YOLO's format: class cx cy w h conf, as fractions of the image; with masks "
        "class x y x y ... conf, with key points x y conf of each before the last, of turned boxes four corners. "
        "Empty when nothing was found.",
    ),
    click.option("--save-crop", is_flag=True, help="Save what was found, upright, as crops/CLASS/NAME_i.jpg."),
    click.option(
        "--output",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="New or empty folder for what is saved, with one in it for each of several sources; alone it means "
        "--save.  [default: runs/MODEL, -2, -3, ...]",
    ),
    click.option(
        "--headless",
        is_flag=True,
        help="Open no window. There is one only with a screen and an OpenCV that has a GUI; "
        "the opencv-python-headless that Edgeline installs has none.",
    ),
    click.option(
        "--exit-code",
        is_flag=True,
        help=f"Exit with {EXIT_NG} if any frame is NG, else {EXIT_NO_READ} if any is NO_READ.",
    ),
    click.option(
        "--device",
        metavar="NAME",
        default="auto",
        show_default=True,
        help=f"Where to compute: {', '.join(DEVICES)}; 0 or cuda:0 is the first GPU.",
    ),
    click.option(
        "--require-provider",
        metavar="NAME",
        default="",
        help="End with an error unless this one of onnxruntime's providers computes, as tensorrt or openvino.  "
        "[default: the next one takes over, and the CPU stands behind all]",
    ),
    click.option(
        "--profile",
        metavar="NAME",
        help="Which board this is, as raspberry-pi-5; edge-bench --devices lists them.  [default: $EDGELINE_DEVICE, "
        "else it is found out]",
    ),
    click.option(
        "--threads",
        metavar="N",
        type=click.IntRange(min=1),
        help="Threads for the model.  [default: as edge-tune measured, else one for each big core]",
    ),
    click.option(
        "--lanes",
        metavar="N",
        type=click.IntRange(min=1),
        help="Batches under way at a time, each with --threads threads; one within a memory limit.  [default: as "
        "edge-tune measured, else 1]",
    ),
    click.option(
        "--batch",
        metavar="N",
        type=click.IntRange(min=1),
        help="Images or video frames judged at once; cameras and streams are never waited for.  "
        "[default: 1; of several sources what pays, at most this]",
    ),
    click.option(
        "--deadline-ms",
        metavar="MS[,MS...]",
        help="When a verdict is late, from the moment its frame was taken: for all sources, or for each in turn. "
        "Late ones are counted; what is judged together is chosen so that there are none.  [default: never]",
    ),
    click.option(
        "--priority",
        metavar="P[,P...]",
        help="urgent, normal or background: for all sources, or for each in turn. Within a memory limit, urgent frames "
        "interrupt background ones between two blocks.  [default: normal]",
    ),
    click.option(
        "--explain-batching",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write every decision about what runs together, and why, as one JSON object a line.",
    ),
    click.option(
        "--memory-limit",
        metavar="SIZE",
        help="Keep the whole process below this, as 160MB: blocks of the model are loaded when they are needed. "
        "The first use prepares the bundle for this machine.  [default: no limit]",
    ),
    click.option(
        "--prepare-limit",
        metavar="SIZE",
        help="With --memory-limit: what the first use may take to prepare the bundle. With room for the whole graph "
        "the model runs faster later.  [default: the memory limit]",
    ),
    click.option("--lock-memory", is_flag=True, help="With --memory-limit: never swap the engine's arena out."),
    click.option("--explain", is_flag=True, help="Print the plan, block by block and why, and end."),
    click.option(
        "--require-signed/--allow-unsigned",
        default=None,
        help="Run only bundles that a trusted key signed, or others as well.  [default: only signed ones, once a key "
        "is trusted on this device]",
    ),
    click.option(
        "--allow-downgrade",
        is_flag=True,
        help="Run a signed bundle that is older than one of the same model that ran here before.",
    ),
    click.option(
        "--allow-operators",
        metavar="A,B",
        callback=_allow,
        expose_value=False,
        help="Run bundles with these operators, too, as Loop,Scan: of makers you trust, as nothing tells how long they "
        f"run.  [default: ${ALLOW_OPERATORS}, else none]",
    ),
    click.option(
        "--cache/--no-cache",
        default=True,
        help="Keep what was prepared for the next start, in $XDG_CACHE_HOME/edgeline.  [default: --cache]",
    ),
    click.option("--verbose", is_flag=True, help="Show what OpenCV, ffmpeg and onnxruntime write to stderr."),
    click.version_option(package_name="edgeline", prog_name="edge-run"),
)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all of them, in the order of the help."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function

"""The `edge-export` command."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click
from rich.console import Console

import edge_export
from edge_export.certificate.compare import Side, compare_bundles, is_bundle, open_side
from edge_export.certificate.compare_table import print_comparison
from edge_export.cli.report import as_json, print_report
from edge_export.cli.values import (
    ANOMALY_RANGE,
    COLOUR_VALUES,
    FRACTIONS,
    INPUT_SHAPE,
    MASKS,
    NAMES,
    POINTS,
    SIZE,
    SIZE_BYTES,
    SIZES,
    STRIDES,
)
from edge_export.memory import spare_memory
from edge_export.pipeline import QuietProgress, export_bundle
from edge_export.quant.schemes import SCHEMES
from edge_export.state import ExportOptions, FactFlags, Progress
from edge_export.text import printable, without_folders
from edge_runtime.bundle.keys import read_private
from edge_runtime.bundle.openssf import key_beside, sign_openssf
from edge_runtime.bundle.signature import MOST_VERSION
from edge_runtime.bundle.signing import sign_bundle, user_name
from edge_runtime.cli.console import SectionedCommand, run_command
from edge_runtime.errors import BundleError, UsageError
from edge_runtime.files.visible import own_codes

__all__ = ["edge_export_command", "main"]

_EPILOG = """\b
Examples:
  edge-export model.onnx --calibrate photos/ -o model.edge
  edge-export yolox.onnx -o yolox.edge --calibrate photos/ --task detect --format grid --objectness \\
      --strides 8,16,32 --size 416x416 --fit letterbox --anchor top-left --colour bgr --scale 1
  edge-export ./vit-on-disk -o vit.edge --calibrate photos/ --evaluate labelled/
  edge-export my_package.nets:make_net -o net.edge --input-shape images:1,3,224,224 --calibrate data.npz
"""


class ExportCommand(SectionedCommand):
    """edge-export with its flags under headings."""

    sections: ClassVar[Mapping[str, Sequence[str]]] = {
        "Result": ("output", "name", "model_version", "block_size", "sign", "sign_version", "json_output", "quiet"),
        "Quantization": ("quantize", "effort", "max_drop", "target", "keep_fp16", "calibrate", "samples", "seed"),
        "Proof": ("evaluate", "evaluate_limit", "compare"),
        "The model": ("facts", "family", "labels", "task", "input_shape"),
        "Pre-processing": (
            "size", "fit", "anchor", "pad_value", "resize_short", "interpolation", "colour", "scale", "mean",
            "std", "layout", "dtype",
        ),
        "Post-processing": (
            "format", "outputs", "box", "axis", "normalized", "strides", "anchors", "objectness", "columns",
            "angle", "points", "masks", "binary", "activation",
            "background", "nms", "class_agnostic", "max_det", "top_k", "first_class", "min_area", "map_output",
            "score_output", "anomaly_range",
        ),
        "Verdict": ("conf", "iou", "ok_classes", "ng_classes"),
    }  # fmt: skip


@click.command(cls=ExportCommand, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(edge_export.__version__, prog_name="edge-export")
@click.argument("source")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The bundle to write; default: NAME.edge here.")
@click.option("--name", help="The model's name; default: from its file.")
@click.option("--model-version", help="The model's version, for records.")
@click.option(
    "--block-size", type=SIZE_BYTES, default=0, help="Wished weights per block, such as 8MB; default: chosen."
)
@click.option(
    "--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign the bundle with this key (edge-sign keygen)."
)
@click.option(
    "--sign-version", type=click.IntRange(0, MOST_VERSION), metavar="N",
    help="The version that is signed; default: the time in UTC, yyyymmddhhmmss.",
)  # fmt: skip
@click.option("--json", "json_output", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars.")
@click.option(
    "--quantize", type=click.Choice([scheme.name for scheme in SCHEMES if scheme.offered]), default="int8",
    show_default=True,
    help="Precision of the weights; int8 needs --calibrate.",
)  # fmt: skip
@click.option(
    "--effort", type=click.Choice(["fast", "good", "best"]), default="good", show_default=True,
    help="fast: calibrate only; good: repair and search precisions; best: also round adaptively, nearer to FP32.",
)  # fmt: skip
@click.option(
    "--max-drop", type=click.FloatRange(0, 1), default=0.01, show_default=True, metavar="F",
    help="Most of the answers that may change on held-back images; more layers stay float where more do.",
)  # fmt: skip
@click.option(
    "--target", default="this-machine", show_default=True, metavar="this-machine|none|FILE",
    help="Where int8 must be faster than float to be used: measured here, nowhere (int8 wherever answers allow), or a "
    "file of latencies from another machine's cache (edgeline/latency/*.json).",
)  # fmt: skip
@click.option(
    "--keep-fp16", multiple=True, default=("auto",), metavar="auto|none|PATTERN",
    help="Layers that stay FP16: auto measures each; names and patterns add to it or replace it (repeatable).",
)  # fmt: skip
@click.option(
    "--calibrate", type=click.Path(path_type=Path), metavar="PATH",
    help="Real inputs: a folder of images, a list of image files, or an .npz of tensors.",
)  # fmt: skip
@click.option("--samples", type=click.IntRange(min=0), default=64, show_default=True, help="At most so many; 0: all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the samples.")
@click.option(
    "--evaluate", type=click.Path(path_type=Path), metavar="DIR",
    help="Images to measure FP32 and the bundle on: class folders, YOLO, COCO, DOTA, DeepPCB, masks, lists; where "
    "there are no labels, how far the answers are FP32's.",
)  # fmt: skip
@click.option("--evaluate-limit", type=click.IntRange(min=0), default=0, help="At most so many of them; 0: all.")
@click.option(
    "--compare", type=click.Path(path_type=Path), metavar="OLD.edge",
    help="Show the new bundle beside an older one; with a bundle as SOURCE, compare the two and write nothing.",
)  # fmt: skip
@click.option(
    "--facts", type=click.Path(path_type=Path), metavar="FILE",
    help="JSON with any of the manifest's preprocess, postprocess, labels, thresholds, verdict.",
)  # fmt: skip
@click.option("--family", metavar="NAME", help="A row of the table of known families, such as yolov8 or rtdetr-hf.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE", help="Class names, one on each line.")
@click.option("--task", type=click.Choice(["classify", "detect", "segment", "anomaly", "raw"]), help="What it answers.")
@click.option(
    "--input-shape", type=INPUT_SHAPE, multiple=True, metavar="NAME:1,3,224,224", help="Fill free dimensions."
)
@click.option("--size", type=SIZE, metavar="WxH", help="Input size in pixels, such as 640x640.")
@click.option("--fit", type=click.Choice(["stretch", "letterbox", "crop"]), help="How an image becomes that size.")
@click.option("--anchor", type=click.Choice(["center", "top-left"]), help="Where a letterboxed image lies.")
@click.option("--pad-value", type=click.IntRange(0, 255), help="Grey of the letterbox' border.")
@click.option("--resize-short", type=click.IntRange(min=0), help="crop: short side in pixels before the cut.")
@click.option(
    "--interpolation",
    type=click.Choice(["nearest", "linear", "cubic", "area", "pil-bilinear", "pil-bicubic", "pil-lanczos"]),
    help="Kernel; pil-* are Pillow's (torchvision, Hugging Face).",
)
@click.option("--colour", "--color", type=click.Choice(["rgb", "bgr", "gray"]), help="Channel order of the model.")
@click.option("--scale", type=FRACTIONS, metavar="F", help="Factor on 0..255 pixels before mean and std: 1/255, 1.")
@click.option("--mean", type=COLOUR_VALUES, metavar="A,B,C", help="Subtracted from scaled pixels.")
@click.option("--std", type=COLOUR_VALUES, metavar="A,B,C", help="Divides after the mean.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Order of the input's dimensions.")
@click.option("--dtype", type=click.Choice(["float32", "float16", "uint8", "int8"]), help="The input's type.")
@click.option(
    "--format",
    type=click.Choice(
        [
            "yolo",
            "yolo-objectness",
            "grid",
            "anchors",
            "distances",
            "fastest",
            "fastest-v2",
            "boxes-scores",
            "final",
            "final-split",
            "final-labels",
            "simcc",
        ]
    ),
    help="What a detector's outputs hold.",
)
@click.option(
    "--outputs", type=NAMES, metavar="A,B", help="Outputs to read, in the order of --format; default: the model's."
)
@click.option("--box", type=click.Choice(["cxcywh", "xyxy", "yxyx"]), help="Coordinates of a box.")
@click.option("--axis", type=click.Choice(["channels-first", "channels-last"]), help="Where channels lie in outputs.")
@click.option("--normalized/--pixels", default=None, help="Boxes are 0..1, or in pixels of the input.")
@click.option("--strides", type=STRIDES, metavar="8,16,32", help="Pixels between the cells of each head's grid.")
@click.option("--anchors", type=SIZES, metavar="W,H,...", help="anchors: their sizes in pixels, stride by stride.")
@click.option("--objectness/--no-objectness", default=None, help="grid: an objectness stands before the classes.")
@click.option(
    "--columns", type=NAMES, metavar="box,score,...",
    help="Order of a row's parts: batch box score class objectness classes angle points masks skip.",
)  # fmt: skip
@click.option("--angle", type=click.Choice(["none", "radians", "degrees"]), help="Boxes are turned by so much.")
@click.option("--points", type=POINTS, metavar="17x3", help="Key points of a box, and 2 or 3 values for each.")
@click.option(
    "--masks", type=MASKS, metavar="NAME[:KIND]", help="The output of masks: prototypes (default), boxes or image."
)
@click.option("--binary/--one-per-class", default=None, help="classify: one score tells two classes.")
@click.option("--activation", type=click.Choice(["none", "sigmoid", "softmax"]), help="Makes scores of outputs.")
@click.option("--background", metavar="none|first|last|ID", help="The class that means nothing is there.")
@click.option("--nms/--no-nms", default=None, help="Suppress overlapping boxes.")
@click.option("--class-agnostic/--per-class", default=None, help="Suppress across classes.")
@click.option("--max-det", type=click.IntRange(min=1), help="Most objects for an image.")
@click.option("--top-k", type=click.IntRange(min=1), help="classify: classes reported.")
@click.option("--first-class", type=click.IntRange(min=0), help="classify, detect: the id that is class 0.")
@click.option(
    "--min-area", type=click.FloatRange(0, 1), help="segment, anomaly: fraction of the image; smaller is not reported."
)
@click.option("--map-output", metavar="NAME", help="anomaly: the output with the map; default: the first.")
@click.option("--score-output", metavar="NAME", help="anomaly: the output with the score; default: the map's maximum.")
@click.option(
    "--anomaly-range", type=ANOMALY_RANGE, metavar="MIN,MAX,THRESHOLD",
    help="anomaly: raw scores are scaled to 0..1 by these, as anomalib's min-max normalization does.",
)  # fmt: skip
@click.option("--conf", type=click.FloatRange(0, 1), help="Confidence from which something is reported.")
@click.option("--iou", type=click.FloatRange(0, 1), help="Overlap from which boxes are one.")
@click.option("--ok-classes", multiple=True, metavar="NAME", help="classify: classes that mean OK (repeatable).")
@click.option(
    "--ng-classes",
    multiple=True,
    metavar="NAME",
    help="Classes that make a frame NG; default: all.",
)
def edge_export_command(
    source: str,
    output: Path | None,
    compare: Path | None,
    sign: Path | None,
    sign_version: int | None,
    json_output: bool,
    quiet: bool,
    **flags: Any,
) -> None:
    """Convert a trained model to a verified bundle for edge-run.

    SOURCE is an .onnx file, a Hugging Face model folder on disk, or a PyTorch module as package.module:factory.
    What neither the model's file says nor what its exporter wrote beside it (input size, normalisation, labels) is
    said with flags. What is guessed is noted and judges nothing: the bundle has a verdict once flags say the same,
    pictures (--calibrate) leave one reading of the answers, or labelled images (--evaluate) show that FP32 is right.
    A model that finds nothing in any picture has none.
    """
    # Read before the export, which may replace it.
    old = open_side(compare) if compare is not None else None
    if old is not None and is_bundle(source):
        _show_comparison(old, source, output, json_output)
        return
    key = None if sign is None else read_private(sign)  # said now, and not after hours
    options = _options(source, output, flags)
    console = Console(file=own_codes(sys.stderr))
    # Bars are for a person at a terminal; a log file gets only the result.
    progress: Progress = QuietProgress()
    if console.is_terminal and not quiet:
        from edge_export.cli.progress import TerminalProgress  # takes a tenth of a second

        progress = TerminalProgress(console)
    spare_memory()
    manifest, draft = export_bundle(options, progress)
    if key is not None:
        sign_bundle(options.output, key, sign_version, user_name())
        if sign is not None and key_beside(sign).exists():
            sign_openssf(options.output, key_beside(sign))
    found = compare_bundles(old, open_side(options.output)) if old is not None else None
    if json_output:
        report = as_json(manifest, draft)
        click.echo(json.dumps({**report, "compare": found.as_json()} if found else report, allow_nan=False))
        return
    print_report(manifest, draft, Console(file=own_codes(sys.stdout)))
    if found:
        print_comparison(found, Console(file=own_codes(sys.stdout)))


def _show_comparison(old: Side, source: str, output: Path | None, json_output: bool) -> None:
    """Compare two bundles that are there; leaves with a bundle error's exit code where one of them is damaged."""
    if output is not None:
        raise UsageError(f"--compare of two bundles writes nothing: leave out --output {output}")
    found = compare_bundles(old, open_side(Path(source)))
    if json_output:
        click.echo(json.dumps(found.as_json(), allow_nan=False))
    else:
        print_comparison(found, Console(file=own_codes(sys.stdout)))
    if found.damaged:
        click.get_current_context().exit(BundleError.exit_code)


def _options(source: str, output: Path | None, flags: dict[str, Any]) -> ExportOptions:
    preprocess_keys = ("fit", "anchor", "pad_value", "resize_short", "interpolation", "colour", "scale", "mean",
                       "std", "layout", "dtype")  # fmt: skip
    postprocess_keys = ("format", "outputs", "box", "axis", "normalized", "strides", "anchors", "objectness",
                        "columns", "angle", "points", "masks", "binary", "activation", "background", "nms",
                        "class_agnostic", "max_det", "top_k", "first_class", "min_area", "map_output",
                        "score_output")  # fmt: skip
    preprocess = {key: flags[key] for key in preprocess_keys if flags[key] is not None}
    if flags["size"] is not None:
        preprocess["width"], preprocess["height"] = flags["size"]
    postprocess = {key: flags[key] for key in postprocess_keys if flags[key] is not None}
    if flags["task"] == "segment" and str(postprocess.get("background", "")).lstrip("-").isdigit():
        postprocess["background"] = int(postprocess["background"])
    if flags["anomaly_range"] is not None:
        minimum, maximum, threshold = flags["anomaly_range"]
        postprocess.update(normalize=True, minimum=minimum, maximum=maximum, raw_threshold=threshold)
    facts = FactFlags(
        file=flags["facts"],
        name=flags["name"],
        version=flags["model_version"],
        task=flags["task"],
        family=flags["family"],
        preprocess=preprocess,
        postprocess=postprocess,
        labels=flags["labels"],
        confidence=flags["conf"],
        iou=flags["iou"],
        ok_classes=flags["ok_classes"],
        ng_classes=flags["ng_classes"],
    )
    return ExportOptions(
        source=source,
        output=output or _default_output(source),
        flags=facts,
        calibrate=flags["calibrate"],
        quantize=flags["quantize"],
        keep_fp16=tuple(flags["keep_fp16"]),
        effort=flags["effort"],
        max_drop=flags["max_drop"],
        target=flags["target"],
        samples=flags["samples"],
        seed=flags["seed"],
        evaluate=flags["evaluate"],
        evaluate_limit=flags["evaluate_limit"],
        input_shapes=dict(flags["input_shape"]),
        block_bytes=flags["block_size"],
        command=printable(shlex.join(["edge-export", *without_folders(sys.argv[1:])])),
    )


def _default_output(source: str) -> Path:
    """NAME.edge in the current folder; for package.module:factory NAME is the factory's."""
    path = Path(source)
    try:
        there = path.exists()
    except OSError as error:
        raise UsageError(f"{source[:80]}: cannot be looked at: {error.strerror}; check the path") from error
    # A folder may be given as "." or "..": its own name is meant.
    name = (path if path.stem.strip(".") else path.resolve()).stem if there else Path(source.split(":")[-1]).stem
    return Path(f"{name}.edge")


def main() -> None:
    """Run `edge-export`."""
    run_command(edge_export_command, "edge-export")

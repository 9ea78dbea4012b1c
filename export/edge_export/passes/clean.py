"""Clean: from any ONNX file that plain onnxruntime runs to a graph that the other passes can rely on.

    accept -> repair -> load once -> decide shapes -> record answers -> the clean-ups below, in order

Each rewrite is run against the original on seeded inputs and is dropped, with a note, where the answers differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_export.cleanups.accept import check_loads, check_optimizes, check_tensors, check_whole
from edge_export.cleanups.checker import ask_checker
from edge_export.cleanups.declare import declare_outputs
from edge_export.cleanups.fold_pads import fold_pads
from edge_export.cleanups.infer import infer_shapes
from edge_export.cleanups.inline import inline_functions
from edge_export.cleanups.opset import MINIMUM_OPSET, upgrade_opset
from edge_export.cleanups.promote import promote_half
from edge_export.cleanups.proof import CleanUp, Proof
from edge_export.cleanups.repair import repair
from edge_export.cleanups.shapes import Shapes, declared_shape, fill_shapes, write_shapes
from edge_export.cleanups.simplify import simplify
from edge_export.evaluate.data.arrays import open_members
from edge_export.evaluate.data.calibration import open_calibration
from edge_export.graph import default_opset
from edge_export.graph.outside import WeightFolder
from edge_export.model.batch_input import give_batch
from edge_export.model.facts import image_shape
from edge_export.model.flags import label_count, lay_over
from edge_export.model.graph_io import ImageInput, image_input
from edge_export.model.interface import check_interface, input_specs, output_specs
from edge_export.model.metadata import look
from edge_export.model.size_inputs import fill_sizes
from edge_export.probe import INTEGERS, Probe, ProbeError, seeded_feed
from edge_export.state import Draft, ExportOptions, Feeds, KnownFacts, Progress
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.errors import ModelError

__all__ = ["CLEAN_UPS", "Cleaned", "clean", "clean_graph"]

CLEAN_UPS: tuple[CleanUp, ...] = (
    inline_functions,
    upgrade_opset,
    simplify,
    fold_pads,
    infer_shapes,
    declare_outputs,
    ask_checker,
)


@dataclass(frozen=True)
class Cleaned:
    """A clean graph, what was done to it, and the test run that proved each step (None: it could not be run).

    `opset_ok`: the graph may hold per-channel QuantizeLinear (default opset 13 or more).
    """

    model: onnx.ModelProto
    notes: tuple[str, ...]
    probe: Probe | None
    opset_ok: bool


def clean(draft: Draft, progress: Progress) -> Draft:
    """Fill `model` and `reference` with the clean graph, and what is known of it: it tells more than the source did.

    A graph whose opset cannot be made int8 is stored as FP16. Raises UsageError where a flag contradicts the graph.
    """
    options, source = draft.options, draft.source
    arrays = options.calibrate is not None and options.calibrate.suffix.lower() == ".npz"  # the user's own tensors
    proto, batched = (source.proto, ()) if arrays else give_batch(source.proto)
    proto, filled = fill_sizes(proto, _image(proto, source.facts, options))
    raw = input_specs(proto)
    shapes = _input_shapes(options, raw, lay_over(source.facts, options.flags, raw))
    with progress.step("clean", 1) as advance:
        cleaned = clean_graph(proto, shapes, _example(options, raw), draft.weights)
        # Other types of inputs and outputs are no rewrite that the same answers could prove: it comes after those.
        model, promoted = promote_half(cleaned.model)
        if draft.weights is not None:
            model = draft.weights.move_out(model)
        check_optimizes(model)
        advance()
    inputs, outputs = input_specs(model), output_specs(model)
    # What flags say stays on top.
    found = look(model, source.facts, options.flags, label_count(options.flags))
    facts = lay_over(found.facts, options.flags, inputs, found.several)
    if promoted and facts.preprocess is not None and facts.preprocess.dtype == "float16":
        facts = dataclasses.replace(facts, preprocess=dataclasses.replace(facts.preprocess, dtype="float32"))
    check_interface(facts, inputs, outputs)
    notes = (*draft.notes, *facts.notes, *batched, *filled, *cleaned.notes, *promoted)
    if options.quantize == "int8" and not cleaned.opset_ok:
        notes = (*notes, "stored as FP16: the graph's opset has no per-channel quantization and could not be raised")
        options = dataclasses.replace(options, quantize="fp16")
    return dataclasses.replace(
        draft,
        options=options,
        source=dataclasses.replace(source, proto=onnx.ModelProto()),  # the clean graph takes its place
        facts=facts,
        model=model,
        reference=model,
        inputs=inputs,
        outputs=outputs,
        notes=notes,
    )


def clean_graph(
    model: onnx.ModelProto,
    input_shapes: Mapping[str, tuple[int | str, ...]],
    example: Mapping[str, NDArray[Any]] | None = None,
    weights: WeightFolder | None = None,
) -> Cleaned:
    """Return a clean copy of `model`. `input_shapes` fills free dimensions, by input name.

    Weights stay where they are, inside the graph or outside; with `weights`, new big ones come to lie there.

    `example`, one real array per input, is what the test runs use instead of made-up values: some models
    accept few values (a sampling rate, a length).

    Raises ModelError when plain onnxruntime cannot load the model, when its inputs or outputs are not
    tensors, or when a free dimension has no number; UsageError when `input_shapes` contradicts the file.
    """
    try:
        return _clean_graph(model, input_shapes, example, weights)
    except UnicodeDecodeError as error:  # protobuf decodes text only when it is looked at
        raise ModelError(f"the ONNX file holds text that is not UTF-8 ({error.reason}): it is damaged") from error


def _clean_graph(
    model: onnx.ModelProto,
    input_shapes: Mapping[str, tuple[int | str, ...]],
    example: Mapping[str, NDArray[Any]] | None,
    weights: WeightFolder | None,
) -> Cleaned:
    check_whole(model)
    work = onnx.ModelProto()
    work.CopyFrom(model)
    notes = repair(work)
    check_tensors(work)
    check_loads(work)
    shapes = fill_shapes(work, input_shapes)
    notes += shapes.notes
    declared = {value.name: declared_shape(value) for value in work.graph.output}
    work = write_shapes(work, shapes.inputs)
    probe, why_not = _record(work, shapes, example)
    if probe is None:
        notes.append(f"the graph is as it was, because no test run can prove a rewrite right: {why_not}")
    proof = Proof(probe, shapes, declared, weights)
    for clean_up in CLEAN_UPS:
        work, more = clean_up(work, proof)
        notes += more
    return Cleaned(work, tuple(notes), probe, default_opset(work) >= MINIMUM_OPSET)


def _record(
    model: onnx.ModelProto, shapes: Shapes, example: Mapping[str, NDArray[Any]] | None
) -> tuple[Probe | None, str]:
    """The reference answers to the example, else to the first made-up inputs that the model accepts."""
    reason = ""
    inputs = list(model.graph.input)
    for integers in INTEGERS:
        try:
            one, two = (seeded_feed(inputs, shapes.numbers(), seed, integers) for seed in (0, 1))
            for feed in (one, two):
                feed.update({name: array for name, array in (example or {}).items() if name in feed})
            feeds = [one]
            if shapes.free:
                feeds.append({k: np.concatenate([one[k], two[k]]) if k in shapes.free else one[k] for k in one})
            return Probe.record(model, feeds), ""
        except ProbeError as error:
            reason = str(error)
    return None, reason


def _image(model: onnx.ModelProto, facts: KnownFacts, options: ExportOptions) -> ImageInput | None:
    """The image input, of the size that flags or its pre-processing say where the graph leaves it free."""
    image = image_input(model)
    if image is None or (image.width and image.height):
        return image
    specs = [spec for spec in input_specs(model) if spec.name == image.name]
    if image.name in options.input_shapes:
        shape = options.input_shapes[image.name]
    else:
        shape = image_shape(lay_over(facts, options.flags, tuple(specs)), specs[0].shape) or ()
    height, width = (shape[2:4] if image.layout == "nchw" else shape[1:3]) if len(shape) == 4 else (0, 0)
    if isinstance(height, int) and isinstance(width, int):
        return dataclasses.replace(image, width=width, height=height)
    return image


def _input_shapes(
    options: ExportOptions, inputs: tuple[TensorSpec, ...], facts: KnownFacts
) -> dict[str, tuple[int | str, ...]]:
    """Return what is known of free dimensions: from flags, else from the pre-processing, else from tensors given."""
    shapes = dict(options.input_shapes)
    seen = _example_shapes(options, inputs)
    for spec in inputs:
        filled = image_shape(facts, spec.shape) if spec.name not in shapes else None
        if filled is None and spec.name not in shapes:
            filled = seen.get(spec.name)
        if filled is not None:
            shapes[spec.name] = filled
    return shapes


def _example_shapes(options: ExportOptions, inputs: tuple[TensorSpec, ...]) -> dict[str, tuple[int | str, ...]]:
    """Shapes of the .npz's samples for inputs with free dimensions; the first one, the batch, stays as it is."""
    if options.calibrate is None or not _gives_tensors(options):
        return {}
    return {
        spec.name: (spec.batch or 1, *member.shape[1:])
        for spec, member in zip(inputs, open_members(options.calibrate, inputs), strict=True)
        if any(isinstance(dim, str) for dim in spec.shape[1:])
    }


def _gives_tensors(options: ExportOptions) -> bool:
    return options.calibrate is not None and options.calibrate.suffix.lower() == ".npz"


def _example(options: ExportOptions, inputs: tuple[TensorSpec, ...]) -> Feeds | None:
    """Return one real sample where tensors were given: some models accept few values (a length, a rate)."""
    if options.calibrate is None or not _gives_tensors(options):
        return None
    return next(iter(open_calibration(options.calibrate, inputs, None, 1, options.seed)))

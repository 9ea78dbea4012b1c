"""The export as one visible list of passes; the graph is checked after each, and a failure names its pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import onnx

from edge_export.data.calibration import CalibrationSet, RandomCalibration, open_calibration
from edge_export.draft import Draft, Feeds, Progress
from edge_export.facts import Facts, image_shape
from edge_export.flags import lay_over
from edge_export.metadata import complete
from edge_export.options import ExportOptions
from edge_export.ort import open_session
from edge_export.passes.calibrate import calibrate
from edge_export.passes.clean import clean
from edge_export.passes.cut import cut_blocks
from edge_export.passes.evaluate import evaluate_draft
from edge_export.passes.golden import make_golden
from edge_export.passes.names import shorten_names
from edge_export.passes.precision import choose_precision
from edge_export.passes.promote import promote_half
from edge_export.passes.quantize import quantize
from edge_export.passes.verify import verify
from edge_export.passes.write import write_bundle
from edge_export.sources import SourceOptions, load_source
from edge_runtime.errors import EdgelineError, ModelError, OutputError
from edge_runtime.manifest import Manifest, TensorSpec

__all__ = ["PASSES", "QuietProgress", "export_bundle"]

Pass = Callable[[Draft, Progress], Draft]

PASSES: tuple[tuple[str, Pass], ...] = (
    ("shorten names", shorten_names),
    ("calibrate", calibrate),
    ("choose precision", choose_precision),
    ("quantize", quantize),
    ("cut in blocks", cut_blocks),
    ("verify", verify),
    ("golden", make_golden),
    ("evaluate", evaluate_draft),
)


class QuietProgress:
    """Progress that nobody looks at; notes are kept."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Callable[[], None]]:
        """Yield a function that does nothing."""
        yield lambda: None

    def note(self, text: str) -> None:
        """Keep the note."""
        self.notes.append(text)


def export_bundle(options: ExportOptions, progress: Progress | None = None) -> tuple[Manifest, Draft]:
    """Export a model as `options` say and write the bundle; returns its manifest and the last draft.

    Raises an EdgelineError that names the pass; nothing is written then, and an older bundle stays as it was.
    """
    progress = progress or QuietProgress()
    _check_output(options)
    draft = _load(options, progress)
    for title, step in PASSES:
        before = draft.model
        with _named(title):
            draft = step(draft, progress)
            if draft.model is not before:
                _check_graph(draft.model)
    with progress.step("write", 1) as advance:
        manifest = write_bundle(draft)
        advance()
    return manifest, draft


def _check_output(options: ExportOptions) -> None:
    """Refuse to replace anything that is not a bundle: the folder is renamed away as a whole."""
    target = options.output
    if target.exists() and not (target / "manifest.json").is_file():
        raise OutputError(f"{target} exists and is not a bundle; choose another --output or remove it yourself")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder {target.absolute().parent} does not exist; make it, or choose another --output")


def _load(options: ExportOptions, progress: Progress) -> Draft:
    with progress.step("load", 2) as advance:
        with _named("load"):
            source = load_source(options.source, SourceOptions(options.input_shapes))
        advance()
        raw_inputs = _specs(source.proto, inputs=True)
        shapes = _input_shapes(options, raw_inputs, lay_over(source.facts, options.flags, raw_inputs))
        with _named("clean"):
            cleaned = clean(source.proto, shapes, _example(options, raw_inputs))
            model, promoted = promote_half(cleaned.model)
            _check_optimizes(model)
        advance()
    # The clean graph tells more shapes than the source did; what flags say stays on top.
    facts = lay_over(complete(model, source.facts), options.flags, _specs(model, inputs=True))
    if promoted and facts.preprocess is not None and facts.preprocess.dtype == "float16":
        facts = dataclasses.replace(facts, preprocess=dataclasses.replace(facts.preprocess, dtype="float32"))
    inputs, outputs = _specs(model, inputs=True), _specs(model, inputs=False)
    notes = (*facts.notes, *cleaned.notes, *promoted)
    if options.quantize == "int8" and not cleaned.opset_ok:
        notes = (
            *notes,
            "stored as FP16: the graph's opset has no per-channel quantization and could not be raised",
        )
        options = dataclasses.replace(options, quantize="fp16")
    calibration = _open_calibration(options, inputs, facts)
    return Draft(
        options=options,
        source=source,
        facts=facts,
        model=model,
        reference=model,
        calibration=calibration,
        inputs=inputs,
        outputs=outputs,
        notes=(*notes, *(calibration.notes if options.calibrate else ())),
    )


def _input_shapes(
    options: ExportOptions, inputs: tuple[TensorSpec, ...], facts: Facts
) -> dict[str, tuple[int | str, ...]]:
    """Return what the user says of free dimensions, and what the pre-processing tells of an image input."""
    shapes = dict(options.input_shapes)
    for spec in inputs:
        filled = image_shape(facts, spec.shape) if spec.name not in shapes else None
        if filled is not None:
            shapes[spec.name] = filled
    return shapes


def _example(options: ExportOptions, inputs: tuple[TensorSpec, ...]) -> Feeds | None:
    """Return one real sample where tensors were given: some models accept few values (a length, a rate)."""
    if options.calibrate is None or options.calibrate.suffix.lower() != ".npz":
        return None
    return next(iter(open_calibration(options.calibrate, inputs, None, 1, options.seed)))


def _open_calibration(options: ExportOptions, inputs: tuple[TensorSpec, ...], facts: Facts) -> CalibrationSet:
    if options.calibrate is not None:
        return open_calibration(options.calibrate, inputs, facts.preprocess, options.samples, options.seed)
    # Without data the blocks and the written file can still be checked; int8 refuses (see the calibrate pass).
    return RandomCalibration(inputs, options.seed, count=options.samples if options.random_calibration else 2)


def _specs(model: onnx.ModelProto, inputs: bool) -> tuple[TensorSpec, ...]:
    weights = {weight.name for weight in model.graph.initializer}
    values = [v for v in model.graph.input if v.name not in weights] if inputs else list(model.graph.output)
    return tuple(_spec(value) for value in values)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    try:
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError):
        dtype = "object"
    shape = tuple(
        int(dim.dim_value) if dim.HasField("dim_value") else (dim.dim_param or f"{value.name}_{axis}")
        for axis, dim in enumerate(tensor.shape.dim)
    )
    return TensorSpec(value.name, dtype, shape)


def _check_optimizes(model: onnx.ModelProto) -> None:
    """A device runs the graph through onnxruntime's optimizer, which fails on some graphs that load without it."""
    try:
        open_session(model)
    except ModelError as error:
        raise ModelError(
            f"with its input shapes fixed, onnxruntime's own optimizer fails on the graph ({error}); "
            "export the model again with another opset or exporter"
        ) from error


def _check_graph(model: onnx.ModelProto) -> None:
    open_session(model, optimize=False)


@contextmanager
def _named(title: str) -> Iterator[None]:
    try:
        yield
    except EdgelineError as error:
        raise type(error)(f"{title}: {error}") from error
    except MemoryError as error:
        raise ModelError(f"{title}: out of memory; close other programs or use a machine with more memory") from error

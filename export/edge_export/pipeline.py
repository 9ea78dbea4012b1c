"""The export as one visible list of passes; the graph is checked after each, and a failure names its pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import onnx

from edge_export.cleanups.promote import promote_half
from edge_export.evaluate.data.arrays import open_members
from edge_export.evaluate.data.calibration import RandomCalibration, SmoothImages, choose_images, open_calibration
from edge_export.evaluate.data.holdout import hold_back, with_held
from edge_export.evaluate.data.images import find_images
from edge_export.evaluate.data.labelled import NoLabelsError, open_labelled
from edge_export.evaluate.data.noise_fit import fit_noise
from edge_export.graph.outside import WeightFolder
from edge_export.memory import give_back_memory
from edge_export.model.facts import image_shape
from edge_export.model.flags import lay_over
from edge_export.model.interface import check_interface, input_specs, output_specs
from edge_export.model.metadata import complete
from edge_export.model.sources import SourceOptions, load_source
from edge_export.passes.arrived import check_arrived
from edge_export.passes.calibrate import calibrate
from edge_export.passes.clean import clean
from edge_export.passes.correct_bias import correct_bias
from edge_export.passes.cut import cut_blocks
from edge_export.passes.equalize import equalize
from edge_export.passes.evaluate import evaluate_draft
from edge_export.passes.flips import collect_flips
from edge_export.passes.golden import make_golden
from edge_export.passes.names import shorten_names
from edge_export.passes.precision import choose_precision
from edge_export.passes.quantize import quantize
from edge_export.passes.rehearse import rehearse
from edge_export.passes.round_weights import round_weights
from edge_export.passes.smoothquant import smoothquant
from edge_export.passes.verify import verify
from edge_export.passes.write import write_bundle
from edge_export.paths import check_target
from edge_export.run import open_session
from edge_export.state import CalibrationSet, Draft, ExportOptions, Feeds, KnownFacts, Progress, SourceModel
from edge_export.text import printable
from edge_runtime.bundle.facts import TensorSpec
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.errors import DataError, EdgelineError, ModelError
from edge_runtime.vision.preprocess import Preprocessor

__all__ = ["PASSES", "QuietProgress", "export_bundle", "load_draft"]

UNCALIBRATED_SAMPLES = 4

Pass = Callable[[Draft, Progress], Draft]

PASSES: tuple[tuple[str, Pass], ...] = (
    ("shorten names", shorten_names),
    ("calibrate", calibrate),
    ("equalize", equalize),
    ("smoothquant", smoothquant),
    ("round weights", round_weights),
    ("correct bias", correct_bias),
    ("choose precision", choose_precision),
    ("check arrived scales", check_arrived),
    ("quantize", quantize),
    ("cut in blocks", cut_blocks),
    ("verify", verify),
    ("rehearse", rehearse),
    ("golden", make_golden),
    ("evaluate", evaluate_draft),
    ("look for changed answers", collect_flips),
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
    check_target(options.output)
    _check_data(options)
    draft = load_draft(options, progress, WeightFolder())
    for title, step in PASSES:
        before = draft.model
        with _named(title):
            draft = _moved_out(step(draft, progress))
            if draft.model is not before:
                _check_graph(draft.model)
        give_back_memory()
    with _named("write"), progress.step("write", 1) as advance:
        check_target(options.output)  # hours may have passed
        manifest = write_bundle(draft)
        advance()
    return manifest, draft


def _check_data(options: ExportOptions) -> None:
    """Find a path that cannot be looked at (a name too long, a folder of another user) before the work starts."""
    for flag, path in (("--calibrate", options.calibrate), ("--evaluate", options.evaluate)):
        try:
            if path is not None and not path.exists():
                raise DataError(f"{flag}: {path} is not there; check the path")
        except OSError as error:
            raise DataError(
                f"{flag}: {str(path)[:80]} cannot be looked at: {error.strerror}; check the path"
            ) from error


def _moved_out(draft: Draft) -> Draft:
    """Return the draft with the weights of its graphs outside, where that is wanted."""
    if draft.weights is None:
        return draft
    model = draft.weights.move_out(draft.model)
    reference = model if draft.reference is draft.model else draft.weights.move_out(draft.reference)
    return dataclasses.replace(draft, model=model, reference=reference)


def load_draft(options: ExportOptions, progress: Progress, weights: WeightFolder | None = None) -> Draft:
    """Return the draft that the passes start from; with `weights`, big weights lie there and not in its graphs."""
    with progress.step("load", 2) as advance:
        with _named("load"):
            source = _source(options)
            if weights is not None:
                source = dataclasses.replace(source, proto=weights.move_out(source.proto))
                give_back_memory()
        advance()
        raw_inputs = input_specs(source.proto)
        shapes = _input_shapes(options, raw_inputs, lay_over(source.facts, options.flags, raw_inputs))
        with _named("clean"):
            cleaned = clean(source.proto, shapes, _example(options, raw_inputs), weights)
            model, promoted = promote_half(cleaned.model)
            if weights is not None:
                model = weights.move_out(model)
            _check_optimizes(model)
        advance()
    # The clean graph tells more shapes than the source did; what flags say stays on top.
    facts = lay_over(complete(model, source.facts), options.flags, input_specs(model))
    if promoted and facts.preprocess is not None and facts.preprocess.dtype == "float16":
        facts = dataclasses.replace(facts, preprocess=dataclasses.replace(facts.preprocess, dtype="float32"))
    inputs, outputs = input_specs(model), output_specs(model)
    with _named("clean"):
        check_interface(facts, inputs, outputs)
    notes = (*facts.notes, *cleaned.notes, *promoted)
    if options.quantize == "int8" and not cleaned.opset_ok:
        notes = (
            *notes,
            "stored as FP16: the graph's opset has no per-channel quantization and could not be raised",
        )
        options = dataclasses.replace(options, quantize="fp16")
    calibration = _open_calibration(options, inputs, facts)
    if isinstance(calibration, RandomCalibration):
        with _named("load"):
            calibration = fit_noise(calibration, model)
    calibration, held_back = hold_back(calibration, options.samples)
    return Draft(
        options=options,
        source=dataclasses.replace(source, proto=onnx.ModelProto()),  # the clean graph takes its place
        facts=facts,
        model=model,
        reference=model,
        calibration=calibration,
        held_back=held_back,
        inputs=inputs,
        outputs=outputs,
        notes=(*notes, *(calibration.notes if options.calibrate else ())),
        weights=weights,
    )


def _source(options: ExportOptions) -> SourceModel:
    given = options.flags.preprocess
    size = (given["width"], given["height"]) if "width" in given and "height" in given else None
    source = load_source(options.source, SourceOptions(options.input_shapes, size))
    name = source.facts.name
    facts = dataclasses.replace(source.facts, name=printable(name) if name is not None else None)
    return dataclasses.replace(source, origin=printable(source.origin), facts=facts)


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


def _open_calibration(options: ExportOptions, inputs: tuple[TensorSpec, ...], facts: KnownFacts) -> CalibrationSet:
    if options.calibrate is not None:
        return open_calibration(options.calibrate, inputs, facts.preprocess, with_held(options.samples), options.seed)
    # Without data the blocks and the written file can still be checked; int8 refuses (see the calibrate pass).
    count = options.samples if options.random_calibration else UNCALIBRATED_SAMPLES
    if facts.preprocess is None or len(inputs) != 1:
        return RandomCalibration(inputs, options.seed, count=count)
    preprocessor = Preprocessor(facts.preprocess)
    if options.evaluate is not None:
        try:
            labelled = open_labelled(options.evaluate, options.evaluate_limit, options.seed)
            paths = [item.path for item in labelled.items]
        except NoLabelsError:
            paths = find_images(options.evaluate)
            if not paths:
                raise
        return choose_images(options.evaluate, paths, inputs[0], preprocessor, count, options.seed)
    return SmoothImages(inputs[0], preprocessor, options.seed, count)


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
    open_session(model, optimize=False, pack=False)


@contextmanager
def _named(title: str) -> Iterator[None]:
    try:
        yield
    except EdgelineError as error:
        error.args = (f"{title}: {error}",)  # in place: the class, and so the exit code, stays
        raise
    except MemoryError as error:
        raise ModelError(f"{title}: out of memory; close other programs or use a machine with more memory") from error

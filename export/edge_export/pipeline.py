"""The export as one visible list of passes; the graph is checked after each, and a failure names its pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_export.graph.outside import WeightFolder
from edge_export.memory import give_back_memory
from edge_export.model.words import without_advice, written
from edge_export.passes.arrived import check_arrived
from edge_export.passes.calibrate import calibrate
from edge_export.passes.clean import clean
from edge_export.passes.correct_bias import correct_bias
from edge_export.passes.cut import cut_blocks
from edge_export.passes.equalize import equalize
from edge_export.passes.evaluate import evaluate_draft
from edge_export.passes.flips import collect_flips
from edge_export.passes.golden import make_golden
from edge_export.passes.load import load
from edge_export.passes.names import shorten_names
from edge_export.passes.open_samples import open_samples
from edge_export.passes.operators import refuse_operators
from edge_export.passes.precision import choose_precision
from edge_export.passes.quantize import quantize
from edge_export.passes.recognise import confirm_on_pictures
from edge_export.passes.rehearse import rehearse
from edge_export.passes.round_weights import round_weights
from edge_export.passes.sees import look_whether_fp32_sees
from edge_export.passes.smoothquant import smoothquant
from edge_export.passes.verify import verify
from edge_export.passes.write import write_bundle
from edge_export.paths import check_data, check_target
from edge_export.run import open_session
from edge_export.state import Draft, ExportOptions, Progress
from edge_runtime.bundle.manifest import Manifest
from edge_runtime.errors import EdgelineError, EngineError, ModelError

__all__ = ["PASSES", "QuietProgress", "export_bundle", "load_draft"]

Pass = Callable[[Draft, Progress], Draft]

PASSES: tuple[tuple[str, Pass], ...] = (
    ("load", load),
    ("clean", clean),
    ("look at operators", refuse_operators),
    ("recognise", confirm_on_pictures),
    ("open samples", open_samples),
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
    ("look whether FP32 sees", look_whether_fp32_sees),
    ("look for changed answers", collect_flips),
    ("write", write_bundle),
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
    check_target(options.output)
    check_data(options)
    draft = _run(PASSES, Draft(options, weights=WeightFolder()), progress or QuietProgress())
    if draft.manifest is None:
        raise ModelError("the export ended before a bundle was written; please report this")
    return draft.manifest, draft


def load_draft(options: ExportOptions, progress: Progress) -> Draft:
    """Return the clean model and its samples, as the first pass that changes the model takes them."""
    first = PASSES.index(("shorten names", shorten_names))
    return _run(PASSES[:first], Draft(options), progress)


def _run(passes: tuple[tuple[str, Pass], ...], draft: Draft, progress: Progress) -> Draft:
    for title, step in passes:
        before = draft.model
        with _named(title, draft):
            draft = _moved_out(step(draft, progress))
            if draft.model is not before:
                open_session(draft.model, optimize=False, pack=False)
        give_back_memory()
    return draft


def _moved_out(draft: Draft) -> Draft:
    """Return the draft with the weights of its graphs outside, where that is wanted."""
    if draft.weights is None:
        return draft
    model = draft.weights.move_out(draft.model)
    reference = model if draft.reference is draft.model else draft.weights.move_out(draft.reference)
    return dataclasses.replace(draft, model=model, reference=reference)


@contextmanager
def _named(title: str, draft: Draft) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        said = written(draft.facts, draft.options.flags)
        error.args = (f"{title}: an answer cannot be read as {said} says it is: {without_advice(error)}",)
        raise
    except EdgelineError as error:
        error.args = (f"{title}: {error}",)  # in place: the class, and so the exit code, stays
        raise
    except MemoryError as error:
        raise ModelError(f"{title}: out of memory; close other programs or use a machine with more memory") from error

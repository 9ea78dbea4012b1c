"""What names and shapes suggest of a model: the rows of the families table that it fits. What the file does not tell
itself is a guess, and a note, so that nobody takes it for knowledge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from edge_export.model.facts import merge
from edge_export.model.families import FAMILIES, Miss, Reading, Shown
from edge_export.model.families.choose import candidates
from edge_export.model.families.common import UNIT, tells_pixels
from edge_export.model.families.ultralytics_metadata import ORIGIN
from edge_export.model.graph_io import ImageInput, image_input, input_names, outputs
from edge_export.model.metadata.ultralytics import image_size
from edge_export.model.parse import label_list
from edge_export.state import FactFlags, KnownFacts
from edge_runtime.bundle.postprocess_spec import Classify, Detect, Postprocess, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = [
    "GRAPH",
    "GUESS",
    "GUESSED_INPUT",
    "GUESSED_OUTPUTS",
    "GUESSED_REST",
    "RAW",
    "Found",
    "input_note",
    "look",
]

# How the notes of guesses begin, so that they can be dropped where flags or pictures say better.
GUESSED_INPUT = "guess: the input is"
GUESSED_REST = "guess: of the input is taken"
GUESSED_OUTPUTS = "guess: the outputs are"
GUESS = "guess from shapes"
# Where pixels come from that the graph scales itself.
GRAPH = "graph"
# How the note begins of a model whose outputs nothing tells.
RAW = "the outputs are given as they are"
# What is said of a model by more than its shapes and the names that are in the table of families.
_FILES = (
    "flag", "file ", "edgeline metadata", "model_api metadata", "anomalib metadata.json", "Hugging Face config"
)  # fmt: skip
_NEAR = 0.3  # of a miss that is worth saying
_NO_FLAGS = FactFlags()


@dataclass(frozen=True)
class Found:
    """What a graph shows beside what its files say: the facts with the first reading's, and all readings of it.

    `base` are the facts without any reading, `plain` the pre-processing where no row tells one.
    """

    facts: KnownFacts
    base: KnownFacts
    plain: Preprocess | None
    readings: tuple[Reading, ...]
    nearest: tuple[Miss, ...]

    @property
    def several(self) -> bool:
        """Whether the rows that fit, and that flags leave, read the outputs in more than one way."""
        told = [reading for reading in self.readings if reading.told] or self.readings
        return any(reading.postprocess != told[0].postprocess for reading in told)

    def read_as(self, readings: Sequence[Reading], origins: Mapping[str, str], looked: bool = False) -> KnownFacts:
        """The facts with the first of `readings`, its fields found in `origins`; notes name the others.

        `looked`: pictures have been looked at.
        """
        return _noted(_with_reading(self.base, readings[0], origins), self.plain, readings, looked)


def look(model: onnx.ModelProto, known: KnownFacts, flags: FactFlags = _NO_FLAGS, classes: int | None = None) -> Found:
    """Add to `known` what the rows say that fit this graph; what a look at another graph suggested is forgotten.

    `classes` is the number of labels that flags give, None without. Raises UsageError where --family does not fit.
    """
    known = _as_files_say(known)
    shown = _shown(model, known, classes)
    found = candidates(shown, flags, FAMILIES)
    facts = known
    if not found.readings and shown.labels:
        without = candidates(dataclasses.replace(shown, labels=None), flags, FAMILIES)
        if without.readings and classes is None:
            facts, found = _without_labels(known, without.readings[0]), without
    readings = found.readings
    if known.postprocess is not None:
        readings = tuple(reading for reading in readings if reading.postprocess == known.postprocess)
    facts = merge(facts, KnownFacts(labels=_zipmap_labels(model)).found_in("ZipMap operator"))
    made = Found(facts, facts, _plain(shown.image), readings, found.nearest)
    if readings:
        origins = _origins(shown, readings, flags.family is not None)
        return dataclasses.replace(made, facts=made.read_as(readings, origins))
    facts = _noted(facts, made.plain, ())
    if facts.postprocess is None and shown.image is not None:
        facts = dataclasses.replace(facts, notes=(*facts.notes, _why_raw(found.nearest)))
    return dataclasses.replace(made, facts=facts)


def _with_reading(facts: KnownFacts, reading: Reading, origins: Mapping[str, str]) -> KnownFacts:
    """`facts` completed with what a row says; `origins` are those of its pre- and its post-processing."""
    said = KnownFacts(
        preprocess=reading.preprocess,
        postprocess=reading.postprocess,
        labels=reading.family.labels or None,
        thresholds=reading.thresholds,
    )
    return merge(facts, dataclasses.replace(said, origin={**dict.fromkeys(said.known(), GUESS), **origins}))


def input_note(pre: Preprocess, why: str = "") -> str:
    """The note that says what is guessed of the input."""
    ends = [(pixel * pre.scale - pre.mean[0]) / pre.std[0] for pixel in (0, 255)]
    return (
        f"{GUESSED_INPUT} {pre.colour} pixels {ends[0]:.3g}..{ends[1]:.3g}, "
        f"{'stretched' if pre.fit == 'stretch' else f'{pre.fit}ed'} to {pre.width}x{pre.height}; "
        f"{f'{why}: ' if why else ''}say it with flags if the model was trained otherwise"
    )


def _untold_but_taken(reading: Reading, pre: Preprocess) -> bool:
    """Whether the graph tells the range of its pixels, and the row takes the rest as its maker usually has it."""
    return bool(tells_pixels(reading.match.shown) and pre == reading.preprocess and not reading.told)


def _taken(pre: Preprocess) -> str:
    return (
        f"{GUESSED_REST} {pre.colour} (--colour) and {pre.fit} (--fit), pixels 0..255 as the graph scales them itself; "
        "say it with flags if the model was trained otherwise"
    )


def _as_files_say(known: KnownFacts) -> KnownFacts:
    """`known` less what rows said of another graph."""
    rows = [
        name
        for name in ("preprocess", "postprocess", "thresholds")
        if not known.origin.get(name, "flag").startswith(_FILES)
    ]
    return dataclasses.replace(
        known,
        **dict.fromkeys(rows),
        origin={name: origin for name, origin in known.origin.items() if name not in rows},
        notes=tuple(
            note for note in known.notes if not note.startswith((GUESSED_INPUT, GUESSED_REST, GUESSED_OUTPUTS, RAW))
        ),
    )


def _shown(model: onnx.ModelProto, known: KnownFacts, classes: int | None) -> Shown:
    properties = {entry.key: entry.value for entry in model.metadata_props}
    image, size = image_input(model), image_size(properties)
    if image is not None and not (image.width and image.height) and size is not None:
        image = dataclasses.replace(image, width=size[0], height=size[1])
    labels = known.labels if classes is None else tuple(f"class_{index}" for index in range(classes))
    weights = frozenset(weight.name for weight in model.graph.initializer)
    operators = frozenset(node.op_type for node in model.graph.node)
    producer = model.producer_name
    return Shown(image, outputs(model), properties, labels, input_names(model), weights, operators, producer)


def _origins(shown: Shown, readings: tuple[Reading, ...], flag: bool) -> dict[str, str]:
    """Where the first reading's pre- and post-processing come from: its row is told, or all that fit say the same."""
    first = readings[0]
    if flag:
        return {"preprocess": GUESS if first.unsure else "flag", "postprocess": "flag", "thresholds": "flag"}
    told = [reading for reading in readings if reading.told]
    named = told or (list(readings) if "names" in shown.properties else [])
    post = bool(told) and all(reading.postprocess == first.postprocess for reading in told)
    pre = bool(named) and all(reading.preprocess == first.preprocess for reading in named) and not first.unsure
    inside = tells_pixels(shown) and not any(reading.unsure for reading in readings)
    origin = first.told or ORIGIN
    return {
        "preprocess": origin if pre else GRAPH if inside else GUESS,
        "postprocess": origin if post else GUESS,
        "thresholds": origin if post else GUESS,
    }


def _noted(
    facts: KnownFacts, plain: Preprocess | None, readings: Sequence[Reading], looked: bool = False
) -> KnownFacts:
    """`facts` with notes of what is a guess in them; `plain` is the pre-processing where no row tells one."""
    if facts.preprocess is None and plain is not None:
        facts = merge(facts, KnownFacts(preprocess=plain).found_in(GUESS))
    notes = []
    if facts.preprocess is not None and facts.origin.get("preprocess") == GUESS:
        notes.append(input_note(facts.preprocess, readings[0].unsure if readings else ""))
    elif facts.preprocess is not None and readings and _untold_but_taken(readings[0], facts.preprocess):
        notes.append(_taken(facts.preprocess))
    if facts.postprocess is not None and facts.origin.get("postprocess") == GUESS and readings:
        others = tuple(dict.fromkeys(r.family.name for r in readings if r.postprocess != facts.postprocess))
        notes.append(
            f"{GUESSED_OUTPUTS} read as {readings[0].family.name}, {facts.postprocess.task}"
            f"{_detail(facts.postprocess)}"
            + (f", but they may as well be {', '.join(others)}: say which with --family" if others else "")
            + ("; pictures (--calibrate) tell" if facts.postprocess.task == "detect" and not looked else "")
            + "; say it with flags if they are not"
        )
    return dataclasses.replace(facts, notes=(*facts.notes, *notes))


def _why_raw(nearest: tuple[Miss, ...]) -> str:
    """The note of a model that fits no row: which came nearest, and why not."""
    near = "; ".join(f"{miss.family.name}: {miss.reason}" for miss in nearest if miss.near >= _NEAR)
    return (
        f"{RAW}, they are of no known family{f' (nearest are {near})' if near else ''}; say what they mean with --task"
    )


def _plain(image: ImageInput | None) -> Preprocess | None:
    return UNIT.preprocess(image) if image is not None else None


def _without_labels(known: KnownFacts, reading: Reading) -> KnownFacts:
    found = reading.match.sizes.get("C")
    note = f"metadata names {len(known.labels or ())} classes but the output has {found}: the names were ignored"
    return dataclasses.replace(known, labels=None, notes=(*known.notes, note))


def _zipmap_labels(model: onnx.ModelProto) -> tuple[str, ...] | None:
    """A ZipMap at the end of a Windows ML classifier names its classes."""
    for node in model.graph.node:
        if node.op_type == "ZipMap":
            for attribute in node.attribute:
                if attribute.name == "classlabels_strings":
                    return label_list([text.decode("utf-8", "replace") for text in attribute.strings])
    return None


def _detail(post: Postprocess) -> str:
    if isinstance(post, Detect):
        return f" ({post.format}, {post.axis})"
    if isinstance(post, Segment):
        nothing = "" if post.background < 0 else f", class {post.background} is the background"
        return f" ({'each class by itself' if post.multilabel else post.activation}{nothing})"
    if isinstance(post, Classify):
        return f" ({'several labels at once' if post.multilabel else post.activation})"
    return ""

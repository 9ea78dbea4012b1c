"""Model facts as flags: what the user says of the model, laid over what its files say, field by field."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from edge_export.model.coco import COCO_IDS, by_id
from edge_export.model.facts import merge
from edge_export.model.families.common import DECIDED_BY
from edge_export.model.metadata import GUESS, GUESSED_INPUT, GUESSED_OUTPUTS, GUESSED_REST, RAW, input_note
from edge_export.state import FactFlags, KnownFacts
from edge_runtime.bundle.facts import TensorSpec, Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Anomaly, Classify, Detect, Postprocess, Raw, Segment
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import DataError, UsageError
from edge_runtime.files.schema import SchemaError, from_json, to_json

__all__ = ["NO_VERDICT", "background_untold", "confirmed", "label_count", "lay_over", "read_facts_file", "read_labels"]

# How the note begins that says why a guess brings no verdict.
NO_VERDICT = "no verdict:"
_TASKS: dict[str, type[Any]] = {
    "classify": Classify,
    "detect": Detect,
    "segment": Segment,
    "anomaly": Anomaly,
    "raw": Raw,
}


# An object, a region or a high score is what an inspection model is trained to find.
# What the class is called of pixels where there is nothing.
_NOTHING = ("background", "bg", "good", "normal", "none", "nothing", "ok", "other", "unlabeled", "unlabelled", "void")
_TWO, _DENSE = 2, 4
_RULES: dict[str, Literal["any", "score"]] = {"detect": "any", "segment": "any", "anomaly": "score"}


def lay_over(facts: KnownFacts, flags: FactFlags, inputs: tuple[TensorSpec, ...], several: bool = False) -> KnownFacts:
    """Return `facts` with the flags' values on top. Raises UsageError or DataError for values that do not fit.

    `several`: the outputs may be read in more ways than one, even as the flags say.
    """
    if flags.file is not None:
        facts = merge(read_facts_file(flags.file), facts)
    preprocess = _preprocess(facts.preprocess, flags.preprocess, inputs)
    postprocess = _postprocess(facts.postprocess, flags)
    named = read_labels(flags.labels) if flags.labels is not None else facts.labels
    labels = by_id(named, postprocess)
    if flags.labels is not None and "background" not in flags.postprocess:
        postprocess = _without_background(postprocess, labels, facts.origin.get("postprocess", GUESS))
    thresholds = facts.thresholds
    if flags.confidence is not None or flags.iou is not None:
        base = thresholds or Thresholds()
        thresholds = _build(
            Thresholds,
            {
                "confidence": base.confidence if flags.confidence is None else flags.confidence,
                "iou": base.iou if flags.iou is None else flags.iou,
            },
            "--conf/--iou",
        )
    origin = {**facts.origin, **_said(facts, flags, preprocess, several)}
    # A verdict on a guess would be OK for the wrong reason.
    guessed = [name for name in ("preprocess", "postprocess") if origin.get(name) == GUESS]
    wanted = _verdict(facts.verdict, flags, postprocess, labels)
    verdict = None if guessed else wanted
    if thresholds is None and wanted is not None and wanted.rule == "class":
        # A part is passed on the word of its best class: that word should be more likely than not.
        thresholds = Thresholds(confidence=0.5)
    given = KnownFacts(
        name=flags.name or facts.name,
        version=flags.version or facts.version,
        preprocess=preprocess,
        postprocess=postprocess,
        labels=labels,
        thresholds=thresholds,
        verdict=verdict,
        notes=(
            *_notes(facts, preprocess, postprocess, origin, flags.preprocess, wanted if verdict is None else None),
            *((COCO_IDS,) if labels != named and COCO_IDS not in facts.notes else ()),
        ),
        unconfirmed=wanted if verdict is None else None,
    )
    changed = {name: "flag" for name in given.known() if getattr(given, name) != getattr(facts, name)}
    found: dict[str, str] = {name: origin[name] for name in ("preprocess", "postprocess") if name in origin}
    return dataclasses.replace(given, origin={**facts.origin, **changed, **found})


def _without_background(post: Postprocess | None, labels: tuple[str, ...] | None, origin: str) -> Postprocess | None:
    """A segmentation model of named classes of which the first means something reports it, too; a guess left it out.
    Of two classes the second is the background where its name says so.
    """
    told = origin not in (GUESS, "flag")
    if not isinstance(post, Segment) or post.background != 0 or told or not labels or _means_nothing(labels[0]):
        return post
    if len(labels) > _TWO:
        return dataclasses.replace(post, background=-1)
    return dataclasses.replace(post, background=1) if _means_nothing(labels[-1]) else post


def _means_nothing(label: str) -> bool:
    return label.strip("_ ").lower() in _NOTHING


def background_untold(facts: KnownFacts, outputs: tuple[TensorSpec, ...], flags: FactFlags) -> str:
    """Say what is open of a segmentation model with a score for each of two classes: which of them means that nothing
    is there. "" for others, and where a flag or a name tells.
    """
    post, said = facts.postprocess, flags.postprocess
    if not isinstance(post, Segment) or post.background < 0 or post.indices or "background" in said or flags.file:
        return ""
    shape = next((one.shape for one in outputs if post.output in (one.name, "")), ())
    channels = shape[1 if post.axis == "channels-first" else -1] if len(shape) == _DENSE else None
    named = facts.labels or ()
    if channels != _TWO or (len(named) == _TWO and _means_nothing(named[post.background])):
        return ""
    return (
        "nothing tells which of its two classes means that nothing is there: --background 0 or 1, or --labels with its "
        f"name ({', '.join(_NOTHING[:3])}, ...)"
    )


def confirmed(facts: KnownFacts, by: str) -> KnownFacts:
    """Return the facts with the verdict rule that was wanted: data (`by`) has confirmed what was guessed."""
    guesses = (GUESSED_INPUT, GUESSED_REST, GUESSED_OUTPUTS, NO_VERDICT)
    notes = tuple(note for note in facts.notes if not note.startswith(guesses))
    origin = {name: by if found == GUESS else found for name, found in facts.origin.items()}
    return dataclasses.replace(facts, verdict=facts.unconfirmed, unconfirmed=None, notes=notes, origin=origin)


def _said(facts: KnownFacts, flags: FactFlags, preprocess: Preprocess | None, several: bool) -> dict[str, str]:
    """Where pre- and post-processing come from, flags counted. One flag says what it says, and no more."""
    origin = {}
    given = set(flags.preprocess)
    if preprocess is not None and given:
        # What pixels mean is their range above all; what else is not said stays noted as a guess.
        if given & {"scale", "mean", "std"} or (preprocess.dtype == "uint8" and "colour" in given):
            origin["preprocess"] = "flag"
        elif facts.preprocess is None:
            origin["preprocess"] = GUESS
    # A detector's outputs are told by their format: with a box order or a task alone the format stays a guess.
    known = facts.postprocess
    guessed = isinstance(known, Detect) and facts.origin.get("postprocess") == GUESS
    if flags.task not in (None, "detect") or (
        (flags.task or flags.postprocess) and (not guessed or ("format" in flags.postprocess and not several))
    ):
        origin["postprocess"] = "flag"
    return origin


def _notes(
    facts: KnownFacts,
    preprocess: Preprocess | None,
    postprocess: Postprocess | None,
    origin: dict[str, str],
    given: Collection[str],
    unjudged: VerdictRule | None,
) -> tuple[str, ...]:
    """Return the notes less those about guesses that flags have replaced; say why there is no verdict."""
    begins = {"preprocess": GUESSED_INPUT, "postprocess": GUESSED_OUTPUTS}
    dropped = tuple(start for name, start in begins.items() if origin.get(name) != GUESS)
    if postprocess is not None:
        dropped = (*dropped, RAW)
    if {"colour", "fit"} <= set(given):
        dropped = (*dropped, GUESSED_REST)
    notes = tuple(note for note in facts.notes if not note.startswith(dropped))
    was_guessed = facts.origin.get("preprocess", GUESS) == GUESS
    if preprocess is not None and given and was_guessed:
        # What is not said of the input is still a guess: the note about it says what is taken now.
        notes = tuple(note for note in notes if not note.startswith(GUESSED_INPUT))
        if origin.get("preprocess") == GUESS:
            notes = (*notes, input_note(preprocess))
        elif unsaid := [key for key in ("colour", "fit") if key not in given and getattr(preprocess, key) != "gray"]:
            taken = " and ".join(f"{getattr(preprocess, key)} (--{key})" for key in unsaid)
            notes = (*notes, f"{GUESSED_REST} {taken}; say it with flags if the model was trained otherwise")
    guessed = [name for name in begins if origin.get(name) == GUESS]
    if not guessed or unjudged is None:
        return notes
    layout = "--family or --format"
    if postprocess is not None and not isinstance(postprocess, Detect):
        layout = f"--task {postprocess.task}"
    family = {"preprocess": "--scale (or --mean, --std) and --colour", "postprocess": layout}
    for untold, flag in DECIDED_BY.items():
        if any(note.startswith(GUESSED_INPUT) and untold in note for note in notes):
            family["preprocess"] = f"--{flag}"
    return (
        *notes,
        f"{NO_VERDICT} what the model takes and answers is in part a guess; confirm it with "
        f"{' and '.join(family[name] for name in guessed)}, with --facts, or with labelled images that it is right on "
        "(--evaluate); until then edge-run says NO_READ",
    )


def label_count(flags: FactFlags) -> int | None:
    """How many labels flags give; None where they give none."""
    return len(read_labels(flags.labels)) if flags.labels is not None else None


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names, one on each line, in the order of their ids (ImageNet's list has "crane" twice)."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise DataError(f"{path} is no regular file; give a text file with one class name on each line")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"no labels file at {path}; give a text file with one class name on each line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the labels file {str(path)[:80]}: {error}; it must be UTF-8 text") from error
    labels = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not labels:
        raise DataError(f"the labels file {path} is empty; it needs one class name on each line")
    return labels


def read_facts_file(path: Path) -> KnownFacts:
    """Read a JSON file with any of preprocess, postprocess, labels, thresholds, verdict, in the manifest's form."""
    kinds: dict[str, Any] = {
        "preprocess": Preprocess,
        "postprocess": Postprocess,
        "labels": tuple[str, ...],
        "thresholds": Thresholds,
        "verdict": VerdictRule,
        "name": str,
        "version": str,
    }
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise DataError(f"{path} is no regular file; --facts takes a JSON file")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {str(path)[:80]}: {error.strerror}; --facts takes a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON: {error}; mend the file") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: expected an object with the keys {', '.join(kinds)}; found a {type(data).__name__}")
    if unknown := sorted(set(data) - set(kinds)):
        raise DataError(f"{path}: unknown key {unknown[0]!r}; known keys: {', '.join(kinds)}")
    try:
        values = {key: from_json(kinds[key], value, f"$.{key}") for key, value in data.items()}
    except SchemaError as error:
        raise DataError(f"{path}: {error}") from error
    return KnownFacts(**values).found_in(f"file {path.name}")


def _preprocess(known: Preprocess | None, given: dict[str, Any], inputs: tuple[TensorSpec, ...]) -> Preprocess | None:
    if not given:
        return known
    values = to_json(known) if known is not None else _form_of(inputs)
    values.update(given)
    if "width" not in values or "height" not in values:
        values.update({key: size for key, size in _size_of(inputs).items() if key not in values})
    if values.get("colour") == "gray":
        for key, default in (("mean", 0.0), ("std", 1.0)):
            current = values.get(key)
            if current is None or len(current) != 1:
                values[key] = [default] if key not in given else current
    for key in ("mean", "std"):  # one value stands for every channel
        if key in values and len(values[key]) == 1 and values.get("colour") != "gray":
            values[key] = list(values[key]) * 3
    built: Preprocess = _build(Preprocess, values, "pre-processing flags")
    return built


def _form_of(inputs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    """Layout, channels and type of the only input, where its shape tells them; its size may be free."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        return {}
    shape, dtype = inputs[0].shape, inputs[0].dtype
    last = shape[1] not in (1, 3) and shape[3] in (1, 3)
    form: dict[str, Any] = {"layout": "nhwc"} if last else {}
    if shape[3 if last else 1] == 1:
        form["colour"] = "gray"
    # Pixels stay what they are in a model that takes bytes.
    return form | ({"dtype": dtype, "scale": 1.0} if dtype == "uint8" else {})


def _size_of(inputs: tuple[TensorSpec, ...]) -> dict[str, int]:
    if len(inputs) == 1 and len(inputs[0].shape) == 4:
        shape = inputs[0].shape
        height, width = (shape[2], shape[3]) if shape[1] in (1, 3) else (shape[1], shape[2])
        if isinstance(height, int) and isinstance(width, int):
            return {"height": height, "width": width}
    raise UsageError("the model's input size is not in its file; give --size WIDTHxHEIGHT")


def _postprocess(known: Postprocess | None, flags: FactFlags) -> Postprocess | None:
    task = flags.task or (known.task if known is not None else None)
    if not flags.postprocess and (known is None or task == known.task) and flags.task is None:
        return known
    if task is None:
        raise UsageError(
            f"--{next(iter(flags.postprocess)).replace('_', '-')} needs --task: "
            f"one of {', '.join(_TASKS)} (the model's file does not tell)"
        )
    values = to_json(known) if known is not None and known.task == task else {"task": task}
    values.update(flags.postprocess)
    if values.get("format") == "final" and "box" in flags.postprocess and not values.get("columns"):
        values["columns"] = ["box", "score", "class"]  # "final" reads other boxes only where its columns are told
    if task in ("classify", "segment") and "outputs" in values:
        names = values.pop("outputs")
        if len(names) != 1:
            raise UsageError(f"--outputs: --task {task} reads one output, found {', '.join(names)}")
        values["output"] = names[0]
    built: Postprocess = _build(_TASKS[task], values, f"flags of --task {task}")
    return built


def _verdict(
    known: VerdictRule | None,
    flags: FactFlags,
    postprocess: Postprocess | None,
    labels: tuple[str, ...] | None,
) -> VerdictRule | None:
    """The rule that is wanted; what it rests on may be a guess, and then it is not had."""
    _check_classes("--ok-classes", flags.ok_classes, labels)
    _check_classes("--ng-classes", flags.ng_classes, labels)
    if flags.ok_classes:
        if not isinstance(postprocess, Classify):
            raise UsageError("--ok-classes is for classifiers; a detector's verdict is set with --ng-classes")
        return VerdictRule("class", ok_classes=flags.ok_classes)
    if flags.ng_classes:
        return VerdictRule("any", classes=flags.ng_classes)
    if known is not None:
        _check_classes("the verdict rule", (*known.classes, *known.ok_classes), labels)
    if known is not None or postprocess is None or postprocess.task not in _RULES:
        return known
    return VerdictRule(_RULES[postprocess.task])


def _check_classes(flag: str, names: tuple[str, ...], labels: tuple[str, ...] | None) -> None:
    """A class that is never reported under its name would make every frame OK."""
    if labels:
        if unknown := [name for name in names if name not in labels]:
            raise UsageError(f"{flag}: {unknown[0]!r} is not one of the labels {', '.join(labels[:12])}")
        if unclear := [name for name in names if labels.count(name) > 1]:
            raise UsageError(
                f"{flag}: {labels.count(unclear[0])} classes are called {unclear[0]!r}; give them names of their own"
            )
    elif unnamed := [name for name in names if not re.fullmatch(r"class_(0|[1-9]\d*)", name)]:
        raise UsageError(
            f"{flag} needs --labels: the model does not name its classes, {unnamed[0]!r} would never be reported "
            "(without labels they are class_0, class_1, ...)"
        )


def _build(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    try:
        return from_json(kind, plain, where)
    except SchemaError as error:
        raise UsageError(str(error)) from error

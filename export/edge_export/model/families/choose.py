"""Which readings of a model are left when what the user said of it is counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

from edge_export.model.families.common import DECIDED_BY, FIT_UNTOLD
from edge_export.model.families.family import Family, Miss, Reading, Shown
from edge_export.model.families.loose import OTHER_NAMES, loosely
from edge_export.model.families.recognise import Recognised, fit, recognise
from edge_export.state import FactFlags
from edge_runtime.bundle.postprocess_spec import Detect, Postprocess
from edge_runtime.bundle.preprocess_spec import Preprocess
from edge_runtime.errors import UsageError
from edge_runtime.files.schema import to_json

__all__ = ["agrees", "candidates", "named"]

# What a flag says of the layout itself; the others (--max-det, --nms, ...) say what is done with it.
_LAYOUT = (
    "format", "box", "axis", "normalized", "strides", "objectness", "activation", "background", "columns",
    "first_class", "angle", "points", "masks", "binary",
)  # fmt: skip


def candidates(shown: Shown, flags: FactFlags, families: tuple[Family, ...]) -> Recognised:
    """The readings that flags leave, those that the file names first; raises UsageError for a --family that is none.

    Where flags contradict every row they say what no row does, and none is left.
    """
    given = {*flags.preprocess, *flags.postprocess}
    if flags.family is not None:
        return Recognised((_without_doubt(named(flags.family, shown, families), given),), ())
    found = recognise(shown, families)
    agreeing = _agreeing(found.readings, flags)
    left = [dataclasses.replace(one, postprocess=_with(one.postprocess, flags.postprocess)) for one in agreeing]
    said = [one for one in left if one.preprocess and _same_pixels(one.preprocess, _doubtless(one, flags.preprocess))]
    return Recognised(tuple(_without_doubt(one, given) for one in said or left), found.nearest)


def _doubtless(reading: Reading, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What flags say of pixels, less the fit where that is what the reading leaves open."""
    return {key: value for key, value in given.items() if key != "fit" or reading.unsure != FIT_UNTOLD}


def _without_doubt(reading: Reading, given: Collection[str]) -> Reading:
    """The reading, sure where a flag was given that decides what nothing else told."""
    return dataclasses.replace(reading, unsure="") if DECIDED_BY.get(reading.unsure) in given else reading


def _agreeing(readings: tuple[Reading, ...], flags: FactFlags) -> tuple[Reading, ...]:
    """Those that are as flags say; where none is and no task is given, the one that the file names, which flags change.

    A flag says what it says, and the rest is still in the file.
    """
    agreeing = tuple(one for one in readings if agrees(one.postprocess, flags.task, flags.postprocess))
    if agreeing or flags.task is not None:
        return agreeing
    known = {key for key in flags.postprocess if key in _LAYOUT}
    return tuple(one for one in readings if one.told and all(hasattr(one.postprocess, key) for key in known))[:1]


def named(name: str, shown: Shown, families: Iterable[Family]) -> Reading:
    """The row that a user named. Raises UsageError where there is none, or the model does not fit it."""
    rows = {family.name: family for family in families}
    if name not in rows:
        raise UsageError(f"--family {name}: no such family; known are {', '.join(sorted(rows))}")
    found = fit(shown, rows[name])
    if isinstance(found, Miss):
        loose = loosely(shown, (rows[name],), fit)
        if not loose:
            raise UsageError(f"--family {name}: {found.reason}")
        found = loose[0]
    said = found.unsure in DECIDED_BY or found.unsure.startswith(OTHER_NAMES)  # the family's name tells those
    return dataclasses.replace(found, unsure="") if said else found


def agrees(post: Postprocess, task: str | None, given: Mapping[str, Any]) -> bool:
    """Whether a post-processing is as flags say, in what they say of the layout."""
    if task is not None and post.task != task:
        return False
    return all(
        hasattr(post, key) and _alike(_plain(_value(post, key)), _plain(value))
        for key, value in given.items()
        if key in _LAYOUT
    )


def _value(post: Postprocess, key: str) -> Any:
    # () is the format's own order
    return post.row if key == "columns" and isinstance(post, Detect) else getattr(post, key)


def _alike(known: Any, said: Any) -> bool:
    """Whether a row has what a flag says; of parts with fields of their own, in those that it names."""
    if isinstance(said, dict):
        return isinstance(known, dict) and all(known.get(key) == value for key, value in said.items())
    return bool(known == said)


def _with(post: Postprocess, given: Mapping[str, Any]) -> Postprocess:
    """A row's post-processing with what flags say beside its layout, such as the anchors of a data set."""
    said: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in given.items()
        if key not in (*_LAYOUT, "outputs") and hasattr(post, key)
    }
    try:
        changed: Postprocess = dataclasses.replace(cast("Any", post), **said)
    except ValueError:  # said again, with the flags' names, where flags are laid over
        return post
    return changed


def _same_pixels(pre: Preprocess, given: Mapping[str, Any]) -> bool:
    return all(
        _plain(getattr(pre, key)) == _plain(value)
        for key, value in given.items()
        if key in ("colour", "scale", "mean", "std", "fit", "anchor")
    )


def _plain(value: Any) -> Any:
    """A value as JSON has it, so that what a flag gives and what a row holds compare."""
    value = to_json(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return round(value, 6) if isinstance(value, (int, float)) else value

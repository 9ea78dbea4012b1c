"""What is known of a family of models: one row of the table, and what comes of laying it over a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Union

import numpy as np
from numpy.typing import NDArray

from edge_export.model.graph_io import ImageInput, Output
from edge_runtime.bundle.facts import Thresholds
from edge_runtime.bundle.postprocess_spec import Postprocess
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["Answers", "Family", "Match", "Miss", "Out", "Pixels", "Reading", "Shown"]

# One picture's FP32 outputs by name, each with its batch dimension.
Answers = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Out:
    """One output of a family: a pattern of its name (a regular expression for all of it; "" fits any) and its shape.

    A dimension is a sum such as "4+C", "3*A", "5+C+2*P", "H/8", made of numbers and symbols: N the batch, A the cells
    of the row's strides, H and W the input's sides, C the classes, K at most 1000 finished boxes; another capital
    letter is a number that must be the same wherever it stands; "*" is any. `kind` is numpy's letter of the type, ""
    for any.
    """

    shape: tuple[str, ...]
    name: str = ""
    kind: Literal["", "f", "i", "b"] = ""


@dataclass(frozen=True)
class Pixels:
    """The pre-processing of a family, all but size, layout and type, which the graph tells; as `Preprocess` has it."""

    colour: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1.0 / 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    anchor: Literal["center", "top-left"] = "center"
    pad_value: int = 114
    interpolation: Literal["linear", "cubic", "area", "pil-bilinear", "pil-bicubic"] = "linear"

    def preprocess(self, image: ImageInput) -> Preprocess | None:
        """The pre-processing for a graph's image input; None where its size is not known.

        What the graph does to pixels first goes before what the family's row says of their range.
        """
        if not image.width or not image.height:
            return None
        if image.pixels == "unit":
            return replace(self, scale=1.0 / 255.0, mean=(0.0,) * 3, std=(1.0,) * 3).preprocess(
                replace(image, pixels="")
            )
        gray = image.channels == 1
        whole = image.dtype in ("uint8", "int8") or image.pixels == "bytes"  # such a graph scales inside
        shift = 128.0 if image.dtype == "int8" else 0.0  # int8 holds the pixel less 128
        plain = ((shift,) * image.channels, (1.0,) * image.channels)
        one = (sum(self.mean) / 3,), (sum(self.std) / 3,)
        mean, std = plain if whole else one if gray else (self.mean, self.std)
        return Preprocess(
            width=image.width,
            height=image.height,
            fit=self.fit,
            anchor=self.anchor,
            resize_short=max(image.width, image.height) if self.fit == "crop" else 0,
            pad_value=self.pad_value,
            interpolation=self.interpolation,
            colour="gray" if gray else self.colour,
            scale=1.0 if whole else self.scale,
            mean=mean,
            std=std,
            layout=image.layout,
            dtype=image.dtype,
        )


@dataclass(frozen=True)
class Shown:
    """What a model shows of itself: its inputs and outputs, its file's properties, the names of its classes."""

    image: Union[ImageInput, None]
    outputs: tuple[Output, ...]
    properties: Mapping[str, str] = field(default_factory=dict)
    labels: Union[tuple[str, ...], None] = None
    inputs: tuple[str, ...] = ()  # the names of all inputs
    weights: frozenset[str] = frozenset()  # the names of its constants
    operators: frozenset[str] = frozenset()
    producer: str = ""  # the program that wrote the file


@dataclass(frozen=True)
class Match:
    """A family's pattern laid over a model: its outputs in the pattern's order, and the value of each symbol."""

    shown: Shown
    outputs: tuple[Output, ...]
    sizes: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs' names, in the pattern's order."""
        return tuple(output.name for output in self.outputs)


def _any_model(_match: Match) -> str:
    return ""


def _any_answers(_match: Match, _pictures: Sequence[Answers]) -> str:
    return ""


def _no_limits(_match: Match) -> Thresholds | None:
    return None


def _nowhere(_match: Match) -> str:
    return ""


def _nothing(_shown: Shown) -> Mapping[str, int]:
    return {}


@dataclass(frozen=True)
class Family:
    """One row of the table.

    `source` is where the layout is published. `thresholds` are its default ones, `limits` those that a graph tells.
    `sizes` are symbols that metadata give. `when` gives why a model is not of this family though its shapes fit, ""
    where it may be. `told` gives what in the file names this row, so that it is no guess ("ultralytics metadata"), ""
    where only names and shapes suggest it. `fits` gives why real answers are not of this row ("" where they are),
    beside what is asked of any answer of its task. `unsure` says what differs between a family's versions in `pixels`:
    then only a flag tells, and nothing is judged. `doubt` says the same of one model, "" where its pixels are known.
    `extra`: a model may have more outputs than those. `ultralytics`: models of this row have Ultralytics' metadata
    where they have any; a model of another row with such metadata takes its author's pixels. `size` is the width and
    height where the graph leaves them free. `labels` are the names of the classes where all models of the family have
    the same.
    """

    name: str
    source: str
    outputs: tuple[Out, ...]
    read: Callable[[Match], Postprocess]
    pixels: Pixels = field(default_factory=Pixels)
    unsure: str = ""
    thresholds: Union[Thresholds, None] = None
    limits: Callable[[Match], Union[Thresholds, None]] = _no_limits
    strides: tuple[int, ...] = (8, 16, 32)
    when: Callable[[Match], str] = _any_model
    told: Callable[[Match], str] = _nowhere
    sizes: Callable[[Shown], Mapping[str, int]] = _nothing
    fits: Callable[[Match, Sequence[Answers]], str] = _any_answers
    extra: bool = False
    doubt: Callable[[Match], str] = _any_model
    ultralytics: bool = False
    size: Union[tuple[int, int], None] = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """One way to read a model: a row of the table that its shapes fit. `told` is what names the row, "" for a guess.

    `unsure` says what nothing tells of `preprocess`.
    """

    family: Family
    match: Match
    told: str
    preprocess: Union[Preprocess, None]
    postprocess: Postprocess
    unsure: str = ""
    thresholds: Union[Thresholds, None] = None


@dataclass(frozen=True)
class Miss:
    """A row that does not fit a model, why, and how near it came (0..1)."""

    family: Family
    reason: str
    near: float

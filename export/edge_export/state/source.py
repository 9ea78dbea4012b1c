"""A model as it was loaded: its graph, and what is known of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Union

import onnx

from edge_runtime.bundle.facts import Thresholds, VerdictRule
from edge_runtime.bundle.postprocess_spec import Postprocess
from edge_runtime.bundle.preprocess_spec import Preprocess

__all__ = ["KnownFacts", "SourceModel"]


@dataclass(frozen=True)
class KnownFacts:
    """Model facts; None is "not known". `origin` says of each known field where it was found.

    `notes` are sentences for the user: what was chosen where the source left a choice, what was ignored and
    why. `unconfirmed` is the verdict rule that is wanted, and not had while what it rests on is a guess.
    """

    name: Union[str, None] = None
    version: Union[str, None] = None
    preprocess: Union[Preprocess, None] = None
    postprocess: Union[Postprocess, None] = None
    labels: Union[tuple[str, ...], None] = None
    thresholds: Union[Thresholds, None] = None
    verdict: Union[VerdictRule, None] = None
    notes: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)
    unconfirmed: Union[VerdictRule, None] = None

    def known(self) -> tuple[str, ...]:
        """Names of the fields that are known, notes, origin and what is not confirmed aside."""
        names = (f.name for f in dataclasses.fields(self) if f.name not in ("notes", "origin", "unconfirmed"))
        return tuple(name for name in names if getattr(self, name) is not None)

    def found_in(self, origin: str) -> KnownFacts:
        """The same facts, every known field marked as found in `origin`."""
        return dataclasses.replace(self, origin=dict.fromkeys(self.known(), origin))


@dataclass(frozen=True)
class SourceModel:
    """A loaded model: `proto` holds all weights inside.

    `sha256` is that of the source file; of several files (external data, a folder's config and weights) it is
    the SHA-256 of their hex digests, joined by line breaks, in the order of their names. Of a PyTorch module
    it is that of the ONNX made of it. `fp32_bytes` is the size of the ONNX file, external data included.
    """

    proto: onnx.ModelProto = field(default_factory=onnx.ModelProto)
    origin: str = ""
    sha256: str = ""
    fp32_bytes: int = 0
    facts: KnownFacts = field(default_factory=KnownFacts)

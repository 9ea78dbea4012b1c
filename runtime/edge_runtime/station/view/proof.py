"""The file that lets a gate run: what it saved and lost on labelled pictures, and of which bundle, view and gate."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.station.view.noise import Difference
from edge_runtime.station.view.noted import view_to_json
from edge_runtime.station.view.settings import GateSettings, ViewSettings

__all__ = ["Proof", "read_proof", "write_proof"]

_FORMAT = "edgeline gate 1"


@dataclass(frozen=True)
class Proof:
    """`noise`: by how much pictures of one scene differ; None: none were the same. `measured`: figures, for people.

    `passed`: it lost no more than it might.
    """

    noise: Difference | None
    measured: Mapping[str, Any]
    passed: bool


def _subject(bundle_sha256: str, view: ViewSettings, gate: GateSettings) -> dict[str, Any]:
    """What a proof is about: with another of these it says nothing."""
    settings = {field.name: getattr(gate, field.name) for field in dataclasses.fields(gate) if field.name != "proof"}
    return {"bundle": bundle_sha256, "view": view_to_json(dataclasses.replace(view, gate=None)), "gate": settings}


def write_proof(path: Path, bundle_sha256: str, view: ViewSettings, gate: GateSettings, proof: Proof) -> None:
    """Write it, as a whole or not at all."""
    noise = None if proof.noise is None else dataclasses.asdict(proof.noise)
    subject = _subject(bundle_sha256, view, gate)
    found = {"noise": noise, "measured": dict(proof.measured), "passed": proof.passed}
    text = json.dumps({"format": _FORMAT, **subject, **found}, indent=2)
    write_text(path, text + "\n")


def read_proof(bundle_sha256: str, view: ViewSettings, gate: GateSettings) -> Proof:
    """Read what a recipe's gate names. Raises UsageError for none, for no such file, and for one of something else."""
    again = "measure it: edge-station gate RECIPE LABELLED"
    if gate.proof is None:
        raise UsageError(f"a gate runs with the file that proves it, and `proof` names none; {again}")
    try:
        told = json.loads(gate.proof.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no JSON"
        raise UsageError(f"the gate is not proven: cannot read {gate.proof} ({why}); {again}") from error
    if not isinstance(told, dict) or told.get("format") != _FORMAT:
        raise UsageError(f"{gate.proof} is no file of edge-station gate; {again}")
    for key, value in _subject(bundle_sha256, view, gate).items():
        if told.get(key) != value:
            what = {"bundle": "another bundle", "view": "another region, mask, tiles or reference"}
            raise UsageError(f"{gate.proof} is of {what.get(key, 'a gate with other settings')}; {again}")
    try:
        noise = None if told["noise"] is None else Difference(**{name: float(v) for name, v in told["noise"].items()})
        proof = Proof(noise, dict(told["measured"]), told["passed"] is True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{gate.proof} is damaged; {again}") from error
    if not proof.passed:
        raise UsageError(f"{gate.proof} says that this gate loses too much; change its settings, and {again}")
    return proof

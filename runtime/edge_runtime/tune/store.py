"""Tuned profiles on disk: one JSON file for each bundle, processor and onnxruntime, its raw samples beside it.

    $XDG_CONFIG_HOME/edgeline/tuned/NAME-BUNDLE-CPU-ONNXRUNTIME.json          class Tuned
    $XDG_CONFIG_HOME/edgeline/tuned/NAME-BUNDLE-CPU-ONNXRUNTIME.samples.csv   class Record

A run that was interrupted is kept as NAME-....part.json, so that it does not replace a whole one.

NAME is the model's, BUNDLE 12 digits of the bundle's SHA-256, CPU a hash of what the processor says of itself.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_devices import config_folder, usable_cores
from edge_devices.ownership import strange_owner
from edge_runtime.blocks.prepared import write_json
from edge_runtime.files.atomic import write_text, writing
from edge_runtime.files.schema import SchemaError, from_json
from edge_runtime.ort.process import import_onnxruntime
from edge_runtime.prepare.key import cpu_identity
from edge_runtime.tune.choice import Choice

if TYPE_CHECKING:
    from edge_runtime.tune.tuned import Tuned

__all__ = ["Found", "cpu_key", "file_name", "read_tuned", "tuned_folder", "write_tuned"]

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 8 << 20
_ADVICE = "run edge-tune again"


@dataclass(frozen=True)
class Found:
    """The tuned profile for a bundle on this machine, if there is one, and where; why others were not taken."""

    tuned: Tuned | None = None
    path: Path | None = None
    refused: tuple[str, ...] = ()


def tuned_folder() -> Path:
    """Return the folder of tuned profiles: $XDG_CONFIG_HOME/edgeline/tuned, in ~/.config without that."""
    return config_folder() / "tuned"


def cpu_key() -> str:
    """Return a hash of the processor's architecture, model and instruction sets: 8 hex digits."""
    return hashlib.sha256(cpu_identity().encode()).hexdigest()[:8]


def file_name(name: str, bundle_sha256: str, cpu: str, onnxruntime: str) -> str:
    """Return the profile's file name; what is no plain character of the model's name becomes "_"."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:80] or "model"
    version = re.sub(r"[^A-Za-z0-9._+-]", "_", onnxruntime)
    return f"{plain}-{bundle_sha256[:12]}-{cpu}-{version}.json"


def write_tuned(tuned: Tuned, samples: str, folder: Path | None = None) -> Path:
    """Write a profile, its samples first, and return its path; its provenance then names them. Raises OutputError."""
    folder = tuned_folder() if folder is None else folder
    origin = tuned.provenance
    path = folder / file_name(tuned.bundle, tuned.bundle_sha256, origin.cpu_key, origin.onnxruntime)
    part = path.with_name(f"{path.name.removesuffix('.json')}.part.json")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = path if tuned.complete else part
    target_samples = f"{target.name.removesuffix('.json')}.samples.csv"
    write_text(folder / target_samples, samples)
    write_json(replace(tuned, provenance=replace(origin, samples=target_samples)), target, checked=False)
    if tuned.complete:  # it stands for what was interrupted before
        with writing(part):
            part.unlink(missing_ok=True)
            part.with_name(f"{part.name.removesuffix('.json')}.samples.csv").unlink(missing_ok=True)
    return target


def read_tuned(bundle_sha256: str, folder: Path | None = None) -> Found:
    """Look for a bundle's profile that holds here; never raises for what lies there."""
    try:
        folder = folder or tuned_folder()
        paths = sorted(folder.glob(f"*-{bundle_sha256[:12]}-*.json"))
        strange = strange_owner(folder) if paths else ""
    except OSError:
        return Found()
    if strange:
        return _distrusted(strange)
    good: list[tuple[Tuned, Path]] = []
    refused = []
    for path in paths:
        try:
            tuned = _read(path)
            if tuned.bundle_sha256 != bundle_sha256:
                continue  # another bundle whose hash begins alike
            _check(tuned)
            good.append((tuned, path))
        except _RefusedError as error:
            refused.append(f"{path.name} is not used: {error}")
    if not good:
        return Found(refused=tuple(refused))
    # A whole run before one that was interrupted, then the latest.
    tuned, path = max(good, key=lambda found: (found[0].complete, found[0].provenance.created_utc))
    return Found(tuned, path, tuple(refused))


def _distrusted(strange: str) -> Found:
    """Nothing of a folder into which another user may have put what lies there; said once."""
    line = f"running without tuned profiles: {strange}, or set XDG_CONFIG_HOME to a folder of your own"
    _LOG.warning("%s", line)
    return Found(refused=(line,))


class _RefusedError(Exception):
    """Why a profile does not hold here."""


def _read(path: Path) -> Tuned:
    from edge_runtime.tune.tuned import Tuned  # when there is a file: a start without one is shorter

    try:
        if strange := strange_owner(path):
            raise _RefusedError(f"{strange}; {_ADVICE}")
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise _RefusedError(f"it has more than {_MOST_BYTES} bytes; {_ADVICE}")
        return from_json(Tuned, json.loads(data))
    except OSError as error:
        raise _RefusedError(f"it cannot be read ({error.strerror}); {_ADVICE}") from error
    except (ValueError, RecursionError, SchemaError) as error:
        raise _RefusedError(
            f"it is damaged or of another version ({' '.join(str(error).split())[:120]}); {_ADVICE}"
        ) from error


def _check(tuned: Tuned) -> None:
    """Refuse what was measured on another machine, and what no machine can do."""
    origin, runtime = tuned.provenance, import_onnxruntime()
    if origin.cpu_key != cpu_key():
        raise _RefusedError(f"it was measured on another processor ({origin.cpu}); {_ADVICE}")
    if origin.onnxruntime != runtime.__version__:
        raise _RefusedError(
            f"it was measured with onnxruntime {origin.onnxruntime}, this is {runtime.__version__}; {_ADVICE}"
        )
    if tuned.speeds.cores != usable_cores():
        raise _RefusedError(
            f"it was measured with {tuned.speeds.cores} cores, {usable_cores()} can be used now; {_ADVICE}"
        )
    for choice in (tuned.latency, tuned.throughput):
        _check_choice(choice, tuple(runtime.get_available_providers()))


def _check_choice(choice: Choice, providers: tuple[str, ...]) -> None:
    if choice.provider not in providers:
        raise _RefusedError(f"its {choice.provider} is not in this onnxruntime; {_ADVICE}")
    if not (1 <= choice.threads <= 1024 and 1 <= choice.lanes <= 1024 and 1 <= choice.batch <= 4096):
        raise _RefusedError(
            f"its settings ({choice.threads} threads, {choice.lanes} lanes, batch {choice.batch}) cannot run; {_ADVICE}"
        )
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(choice.cores)
    if not set(choice.cores) <= set(allowed):
        raise _RefusedError(f"its cores {choice.cores} are not all allowed here; {_ADVICE}")

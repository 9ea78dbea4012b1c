"""Opening a bundle to verify it, as a run would open it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.opening.choice import open_runner
from edge_runtime.opening.options import OpenOptions
from edge_runtime.verify.golden import load_golden
from edge_runtime.verify.verification import Verification
from edge_runtime.verify.verify import verify

if TYPE_CHECKING:
    from edge_runtime.prepare.request import ProgressCall

__all__ = ["verify_bundle"]

_COPIES, _OWN_BYTES = 3, 4 << 20  # of inputs and outputs, while they are compared and read; and what is small


def verify_bundle(path: Path, options: OpenOptions, progress: ProgressCall | None = None) -> Verification:
    """Open a bundle as a run would and verify it. Raises what open_bundle and `verify` raise."""
    bundle = read_bundle(path, check_hashes=False)
    # Held before the runner looks at what is left of a memory limit; other hashes are checked where it is opened.
    arrays = load_golden(bundle.file("golden.npz"), bundle.manifest.files["golden.npz"].sha256)
    if options.memory_limit is not None:
        own = options.reserve_bytes + _own_bytes(bundle.manifest)
        options = dataclasses.replace(options, reserve_bytes=own)
    with contextlib.closing(open_runner(path, options, progress)) as opened:
        return verify(opened.runner, opened.bundle, arrays)


def _own_bytes(facts: ModelFacts) -> int:
    """What verifying takes beside the runner, in bytes, as far as the facts tell."""
    total = _OWN_BYTES
    for spec in (*facts.inputs, *facts.outputs):
        total += _COPIES * math.prod(spec.least_shape) * np.dtype(spec.dtype).itemsize
    return total

"""What each worker reads: imported from the script's own folder, so it may import only the standard library, numpy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Job", "read_job"]

Feeds = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Job:
    """One export: the FP32 graph, calibration tensors [samples, ...] by input, the file to write, options."""

    model: Path
    calibration: Path
    output: Path
    options: dict[str, Any]

    def samples(self) -> Iterator[Feeds]:
        """Yield one dict of arrays [1, ...] by input name for each sample."""
        with np.load(self.calibration) as archive:
            arrays = {name: archive[name] for name in archive.files}
        for index in range(len(next(iter(arrays.values())))):
            yield {name: values[index : index + 1] for name, values in arrays.items()}


def read_job() -> Job:
    """Return the job that the command line names."""
    model, calibration, output, options = sys.argv[1:5]
    return Job(Path(model), Path(calibration), Path(output), json.loads(options))

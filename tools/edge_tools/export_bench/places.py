"""Where things lie: the data, this checkout, the cache with other exporters' environments and everybody's outputs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CHECKOUT", "Places", "cache_folder"]

CHECKOUT = Path(__file__).resolve().parents[3]


def cache_folder() -> Path:
    """Return edgeline's folder in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "edgeline"


@dataclass(frozen=True)
class Places:
    """`data` holds models/, imagenet/, coco128/ and deeppcb/; `cache` is written to."""

    data: Path
    cache: Path

    @property
    def environments(self) -> Path:
        """One virtual environment for each other exporter."""
        return self.cache / "exporters"

    @property
    def models(self) -> Path:
        """Prepared models, and those of random weights."""
        return self.cache / "export_bench" / "models"

    @property
    def outputs(self) -> Path:
        """What exporters wrote, in a folder for each key."""
        return self.cache / "export_bench" / "outputs"

    @property
    def results(self) -> Path:
        """The rows of all runs."""
        return self.cache / "export_bench" / "results.json"

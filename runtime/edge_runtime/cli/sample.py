"""Where the sample that ships with the project lies: printed circuit boards with and without defects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import SourceError

__all__ = ["Sample", "find_sample"]

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Sample:
    """The shipped bundle and the folder of images to run it on."""

    bundle: Path
    images: Path


def find_sample(package: Path = _PACKAGE) -> Sample:
    """Return the sample of a source checkout or else of an installed wheel; SourceError if there is none."""
    places = (package.parent.parent / "samples" / "pcb", package / "_sample")
    for place in places:
        sample = Sample(place / "pcb.edge", place / "images")
        if sample.bundle.is_dir() and sample.images.is_dir():
            return sample
    raise SourceError(
        f"the shipped sample (pcb.edge, images) is neither in {places[0]} nor in {places[1]}; "
        "name a bundle and --source, or install Edgeline again"
    )

"""A first recipe, with comments, of the cameras and bundles that there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.errors import BundleError
from edge_runtime.station.recipe.schema import SCHEMA_FILE

__all__ = ["Found", "first_recipe", "look_around"]


@dataclass(frozen=True)
class Found:
    """What a folder and this machine have: bundles, cameras, films and folders of pictures, as a recipe names them."""

    bundles: tuple[str, ...]
    cameras: tuple[str, ...]
    films: tuple[str, ...]


def look_around(folder: Path, devices: Path = Path("/dev")) -> Found:
    """Look for what could be run, without opening a camera."""
    bundles = [path.name for path in sorted(folder.glob("*.edge")) if _is_bundle(path)]
    cameras = sorted(str(path) for path in devices.glob("video[0-9]*"))
    films = sorted(path.name for suffix in ("mp4", "avi", "mkv", "mov") for path in folder.glob(f"*.{suffix}"))
    return Found(tuple(bundles), tuple(cameras), tuple(films))


def _is_bundle(path: Path) -> bool:
    try:
        read_bundle(path, check_hashes=False)
    except (BundleError, OSError):
        return False
    return True


def first_recipe(found: Found, sample: tuple[str, str]) -> str:
    """Return a recipe that runs; where there is no bundle, or nothing to look at, the `sample` (bundle, source) is."""
    sources = [*found.cameras, *found.films]
    bundle = found.bundles[0] if found.bundles else sample[0]
    source = sources[0] if sources and found.bundles else sample[1]
    return f"""\
# yaml-language-server: $schema={SCHEMA_FILE}
# A station: edge-station check looks for mistakes, edge-run runs it. Paths are relative to this file.

# Records and pictures. Every verdict is here before anyone hears of it.
store: store/
# store: {{path: store/, records: 8GB, pictures: 2GB, pictures_a_day: 4GB}}    # beyond it the oldest goes

stations:
  line1:
    # A camera (0, /dev/video0), an RTSP or HTTP URL, a film, a picture, a folder, a pattern ('in/**/*.png').
    # Passwords come from the environment and are shown nowhere: rtsp://user:${{CAMERA_PASSWORD}}@192.168.0.9/1
    source: {_plain(source)}{_others(sources, source)}
    bundle: {_plain(bundle)}{_others(found.bundles, bundle)}
    # Where to look: a part of the picture, what of it not, in tiles as large as the model's input.
    # region: {{x: 0.1, y: 0.1, width: 0.8, height: 0.8}}
    # mask: {{polygons: [[[0, 0], [0.2, 0], [0.2, 0.1]]]}}
    # tiles: {{width: 640, overlap: 128}}
    # What is NG or WARN, where the bundle's own word is not enough: by class, score, size, zone, count, place, ...
    # rules: {{shorts: {{classes: short, score: 0.4}}, spurs: {{classes: spur, count: {{max: 2}}, verdict: WARN}}}}
    # Who is told. What cannot be told waits in the store, and is told once.
    outputs:
      - jsonl: verdicts.jsonl
    # Which pictures are kept: all that are NG or could not be judged, and of the good ones each hundredth.
    # pictures: {{ok_every: 100, ng: true, no_read: true}}
"""


def _plain(name: str) -> str:
    """A name as YAML has it: in quotes where it could be read as something else."""
    if re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*", name):
        return name
    return "'" + name.replace("'", "''") + "'"


def _others(names: Sequence[str], taken: str) -> str:
    rest = [name for name in names if name != taken]
    return f"    # also here: {', '.join(rest)}" if rest else ""

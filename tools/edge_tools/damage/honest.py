"""Honest material: how much of it is not judged. Folders are walked, films are judged whole.

Pictures are tried as they are, and as copies in the formats of the damaged ones, another with every picture.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2

from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES
from edge_tools.damage.encode import FORMATS
from edge_tools.damage.judge import EdgeRun

__all__ = ["honest_lines"]

# These are not judged without a flag, and the reason says which.
_ASKED = frozenset({"png transparent", "png 12 in 16 bit", "tiff 12 in 16 bit", "tiff float"})
_FILMS = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov", ".ts", ".mpg"})


def honest_lines(
    places: Sequence[Path], copies: int, judge: EdgeRun, work: Path, say: Callable[[str], None]
) -> Iterator[str]:
    """Yield a Markdown table: frames and NO_READ for each folder and film, the reasons, and the sum.

    `copies`: how many of each picture are made, in `work`, and judged too.
    """
    yield "| what | frames | NO_READ | reasons |"
    yield "| --- | ---: | ---: | --- |"
    frames = unread = 0
    for source in _with_copies(_sources(places), copies, work / "copies"):
        records = judge.of(source)
        reasons = Counter(reason for record in records if record.verdict == "NO_READ" for reason in record.reasons)
        failed = sum(record.verdict == "NO_READ" for record in records)
        frames, unread = frames + len(records), unread + failed
        say(f"{source}: {len(records)} frames, {failed} NO_READ")
        told = "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        yield f"| {source.name} | {len(records)} | {failed} | {told} |"
    yield f"| all | {frames} | {unread} | {unread / max(frames, 1):.3%} |"


def _sources(places: Sequence[Path]) -> Iterator[Path]:
    """Films, and every folder that holds pictures."""
    for place in places:
        if place.is_file():
            yield place
            continue
        every = sorted(path for path in place.rglob("*") if path.is_file())
        yield from (path for path in every if path.suffix.lower() in _FILMS)
        yield from sorted({path.parent for path in every if path.suffix.lower() in IMAGE_SUFFIXES})


def _with_copies(sources: Iterator[Path], copies: int, work: Path) -> Iterator[Path]:
    forms = [form for name, form in FORMATS.items() if name not in _ASKED and form.pages == 1]
    for source in sources:
        yield source
        if source.is_file():
            continue
        pictures = sorted(path for path in source.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        for turn in range(copies):
            folder = work / f"{source.name}, copies {turn + 1}"
            folder.mkdir(parents=True, exist_ok=True)
            for number, path in enumerate(pictures):
                gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
                form = forms[(number + 7 * turn) % len(forms)]
                if gray is not None:
                    gray[gray.max(axis=1) == gray.min(axis=1), 0] ^= 1  # else boards.coloured leaves its rows gray
                    (folder / f"{number:05d}{form.suffix}").write_bytes(form(gray, gray))
            yield folder
            shutil.rmtree(folder)

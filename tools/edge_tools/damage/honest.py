"""Honest material: how much of it is not judged. Folders are walked, films are judged whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_runtime.inspect.suffixes import IMAGE_SUFFIXES
from edge_tools.damage.judge import EdgeRun

__all__ = ["honest_lines"]

_FILMS = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov", ".ts", ".mpg"})


def honest_lines(places: Sequence[Path], judge: EdgeRun, work: Path, say: Callable[[str], None]) -> Iterator[str]:
    """Yield a Markdown table: frames and NO_READ for each folder and film, the reasons, and the sum."""
    yield "| what | frames | NO_READ | reasons |"
    yield "| --- | ---: | ---: | --- |"
    frames = unread = 0
    for source in _sources(places):
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

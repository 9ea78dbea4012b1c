"""One case after the other: made by ffmpeg, judged by edge-run, and in doubt by what ffmpeg itself reads of it."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_tools.damage.judge import Answer, EdgeRun
from edge_tools.formats.cases import Case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ANSWERS", "Result", "as_table", "tried", "verdict"]

ANSWERS = ("right", "no read", "sentence", "short", "lost in the codec", "WRONG", "not made")


@dataclass(frozen=True)
class Result:
    """`answer` is one of ANSWERS; `said` is the reason or the sentence."""

    group: str
    name: str
    suffix: str
    answer: str
    said: str = ""


def tried(frames: NDArray[np.uint8], cases: Iterable[Case], judge: EdgeRun, work: Path) -> Iterator[Result]:
    """Yield what becomes of each case; `frames` [n, height, width, 3] BGR, all show a defect."""
    for case in cases:
        path = work / f"film{case.suffix}"
        failed = _make(frames[:1] if case.still else frames, case, path)
        if failed is not None:
            yield Result(case.group, case.name, case.suffix, "not made", failed)
            continue
        source = path
        if case.still:
            source = work / "still"
            source.mkdir(exist_ok=True)
            path.rename(source / f"00000{case.suffix}")
        answer, said = verdict(judge.asked(source), 1 if case.still else len(frames))
        if answer == "WRONG" and not _shown(source if not case.still else source / f"00000{case.suffix}", judge, work):
            answer = "lost in the codec"
        for left in [path, *(work / "still").glob("*")]:
            left.unlink(missing_ok=True)
        yield Result(case.group, case.name, case.suffix, answer, said)


def verdict(answer: Answer, frames: int) -> tuple[str, str]:
    """Return what edge-run's answer about a film that is NG in all of its frames is worth, and what it said."""
    verdicts = Counter(record.verdict for record in answer.records)
    reasons = [reason for record in answer.records if record.verdict == "NO_READ" for reason in record.reasons]
    if verdicts["OK"]:
        return "WRONG", f"{verdicts['OK']} of {len(answer.records)} OK"
    if verdicts["NO_READ"]:
        return ("no read", reasons[0]) if reasons else ("WRONG", "NO_READ without a reason")
    if not answer.records:
        return ("sentence", answer.sentence) if answer.code not in (0, 1) and answer.code > 0 else ("WRONG", "nothing")
    if len(answer.records) < frames:
        return "short", f"{len(answer.records)} of {frames} frames"
    return "right", ""


def _make(frames: NDArray[np.uint8], case: Case, path: Path) -> str | None:
    """Why the file could not be made, or None."""
    height, width = frames.shape[1:3]
    size = ("-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", "10", "-i", "-")
    path.unlink(missing_ok=True)
    command = ["ffmpeg", "-v", "error", "-y", *size, *case.options, str(path)]
    try:
        made = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        return "ffmpeg took too long"
    if made.returncode or not path.exists() or not path.stat().st_size:
        return (made.stderr.decode(errors="replace").strip().splitlines() or ["no file"])[-1][:120]
    return None


def _shown(path: Path, judge: EdgeRun, work: Path) -> bool:
    """Whether ffmpeg's own reading of the file, as pictures, is NG throughout: then the film shows the defect."""
    folder = work / "reading"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    read = ["ffmpeg", "-v", "quiet", "-i", str(path), "-pix_fmt", "bgr24", str(folder / "%05d.png")]
    subprocess.run(read, check=False, timeout=120)
    records = judge.asked(folder).records
    return bool(records) and all(record.verdict == "NG" for record in records)


def as_table(results: Sequence[Result]) -> str:
    """Return a Markdown table of groups, and a line for each case that is not right."""
    groups = dict.fromkeys(result.group for result in results)
    lines = ["| group | cases | " + " | ".join(ANSWERS) + " |", "| --- |" + " ---: |" * (len(ANSWERS) + 1)]
    for group in [*groups, "all"]:
        counts = Counter(result.answer for result in results if group in (result.group, "all"))
        lines.append(f"| {group} | {sum(counts.values())} | " + " | ".join(str(counts[a]) for a in ANSWERS) + " |")
    told = [f"- {r.answer}: {r.group} {r.name} ({r.suffix}): {r.said}" for r in results if r.answer != "right"]
    return "\n".join([*lines, "", *told])

"""The real edge-run as a judge: what it says of a folder, a film or a stream, a record at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from edge_tools.damage.boards import Box

__all__ = ["Answer", "EdgeRun", "Said", "by_file", "default_command", "parsed"]


@dataclass(frozen=True)
class Said:
    """One record: the verdict, the reasons, where something was found, and which file it is about ("" for a film)."""

    verdict: str
    reasons: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    file: str = ""
    sure: float = 0.0  # the least confidence of what was found
    at: float = 0.0  # when its frame was taken, by the wall clock


@dataclass(frozen=True)
class Answer:
    """The records, the exit code (below 0: killed by a signal) and the last line of stderr."""

    records: list[Said]
    code: int
    sentence: str


def default_command() -> str:
    """Return the edge-run beside this Python."""
    return str(Path(sys.executable).with_name("edge-run"))


def parsed(lines: Iterable[str]) -> list[Said]:
    """Return the records among an output's lines; a line that was cut is left out."""
    found = []
    for line in lines:
        try:
            record: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "verdict" in record:
            places = [told["box"] for told in record["predictions"]]
            boxes = tuple(Box(place["x1"], place["y1"], place["x2"], place["y2"]) for place in places)
            file = Path(record.get("image") or "").name
            at = datetime.fromisoformat(record["ts_utc"].replace("Z", "+00:00")).timestamp()
            sure = min((told["confidence"] for told in record["predictions"]), default=0.0)
            found.append(Said(record["verdict"], tuple(record["reasons"]), boxes, file, sure, at))
    return found


def by_file(records: Iterable[Said]) -> dict[str, list[Said]]:
    """Return the records of each file; pages of a file, however they are told apart, are the file's."""
    found: dict[str, list[Said]] = defaultdict(list)
    for record in records:
        found[record.file[:5]].append(record)
    return found


@dataclass(frozen=True)
class EdgeRun:
    """`command` is an edge-run, `bundle` what judges, `flags` more for every run."""

    command: str
    bundle: Path
    flags: tuple[str, ...] = ()
    seconds: float = 600.0
    deaths: list[str] = field(default_factory=list)

    def of(self, source: str | Path, flags: Sequence[str] = ()) -> list[Said]:
        """Judge a source to its end. How it ended, if not by itself, is added to `deaths`."""
        return self.asked(source, flags).records

    def asked(self, source: str | Path, flags: Sequence[str] = ()) -> Answer:
        """As `of`, with the exit code and the last line of stderr."""
        arguments = [self.command, str(self.bundle), "--source", str(source), "--json", *self.flags, *flags]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
            try:
                code = subprocess.run(arguments, stdout=out, stderr=err, timeout=self.seconds, check=False).returncode
            except subprocess.TimeoutExpired:
                code = 124
            out.seek(0)
            err.seek(0)
            lines = [line.strip() for line in err if line.strip()]
            if code < 0 or code in (1, 124) or code > 128:
                self.deaths.append(f"{Path(str(source)).name}: exit code {code}; {lines[-1:]}")
            return Answer(parsed(out), code, lines[-1] if lines else "")

    def learn(self, good: Path, limits: Path) -> bool:
        """Learn from good pictures what they are like; False where this edge-run cannot."""
        arguments = [self.command, str(self.bundle), "--source", str(good), "--learn-health", str(limits)]
        done = subprocess.run(arguments, capture_output=True, timeout=self.seconds, check=False)
        return done.returncode == 0 and limits.exists()

    def while_it_lasts(self, source: str, act: Callable[[], None], flags: Sequence[str] = ()) -> list[Said]:
        """Judge a live source while `act` runs, then stop with SIGTERM."""
        arguments = [self.command, str(self.bundle), "--source", source, "--json", *self.flags, *flags]
        lines: list[str] = []
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
            assert run.stdout is not None
            out = run.stdout
            reading = threading.Thread(target=lambda: lines.extend(out), daemon=True)
            reading.start()
            act()
            run.send_signal(signal.SIGTERM)
            try:
                run.wait(30)
            except subprocess.TimeoutExpired:
                run.kill()
                self.deaths.append(f"{source}: did not end within 30 s of SIGTERM")
            reading.join()
        return parsed(lines)

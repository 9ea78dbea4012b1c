"""The whole table: every exporter on every subject, exported, judged and timed, whatever fails on the way."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_runtime.errors import EdgelineError
from edge_runtime.files.atomic import sha256_file, write_text
from edge_tools.export_bench.children import JudgeChild, time_in_child
from edge_tools.export_bench.environments import install, version_of
from edge_tools.export_bench.export import WORKERS, Calibration, Limits, bundle_bytes, export, weighed
from edge_tools.export_bench.exporters import ENVIRONMENTS, EXPORTERS
from edge_tools.export_bench.images import calibration_images, write_list, write_tensors
from edge_tools.export_bench.models import Files, find_files
from edge_tools.export_bench.places import CHECKOUT, Places
from edge_tools.export_bench.results import Results, Row, key_of, sources_digest
from edge_tools.export_bench.subjects import SUBJECTS, facts_of

__all__ = ["Wanted", "run_all", "same_files", "versions_of"]

Say = Callable[[str], None]
_OURS = ("devices", "runtime", "export")


@dataclass(frozen=True)
class Wanted:
    """What to run. `refresh`: even what is in the results; `rounds` 0: no latencies;
    `retime`: all latencies, whatever was exported; `twice`: export edgeline's again and compare the bytes;
    `boards` 0: all of DeepPCB's.
    """

    subjects: tuple[str, ...]
    exporters: tuple[str, ...]
    samples: int = 32
    rounds: int = 30
    boards: int = 200
    refresh: bool = False
    retime: bool = False
    twice: bool = False
    limits: Limits = field(default_factory=Limits)


def versions_of(exporters: Sequence[str], places: Places, say: Say) -> dict[str, str]:
    """Return each exporter's version; an environment that cannot be made leaves "" and the reason in what is said."""
    ours = f"edgeline {sources_digest([CHECKOUT / root for root in _OURS])}"
    versions: dict[str, str] = {}
    made: dict[str, str] = {}
    for name in exporters:
        environment = EXPORTERS[name].environment
        if environment and environment not in made:
            try:
                install(environment, places.environments, say)
                made[environment] = version_of(environment, places.environments)
            except EdgelineError as error:
                say(str(error))
                made[environment] = f"! {error}"
        versions[name] = made[environment] if environment else ours
    return versions


def run_all(wanted: Wanted, places: Places, results: Results, say: Say) -> None:
    """Fill the results. One model or exporter that fails is a row with its reason, and the next one's turn."""
    versions = versions_of(wanted.exporters, places, say)
    left = len(wanted.subjects) * len(wanted.exporters)
    clock = _Left(left, say)
    for name in wanted.subjects:
        try:
            _run_subject(name, wanted, places, results, versions, clock)
        except EdgelineError as error:
            say(f"{name}: {error}")


class _Left:
    """Says what is going on and how long the rest may take, by the mean of what was done."""

    def __init__(self, total: int, say: Say) -> None:
        self._total, self._say, self._done, self._spent = total, say, 0, 0.0

    def __call__(self, text: str) -> None:
        rest = self._spent / self._done * (self._total - self._done) if self._done else None
        self._say(f"{text}  ({self._total - self._done} to go{f', about {_minutes(rest)}' if rest else ''})")

    def done(self, seconds: float | None) -> None:
        """Count one row; None: it was there already and tells nothing of the others."""
        if seconds is None:
            self._total -= 1
        else:
            self._done, self._spent = self._done + 1, self._spent + seconds


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _run_subject(
    name: str, wanted: Wanted, places: Places, results: Results, versions: dict[str, str], clock: _Left
) -> None:
    subject = SUBJECTS[name]
    files = find_files(name, subject, places)
    images = calibration_images(subject, places, wanted.samples)
    calibration = _calibrate(name, files, images, places)
    asked = {
        "subject": name,
        "data": str(places.data.resolve()),
        "cache": str(places.cache.resolve()),
        "seen": str(calibration.listed),
        "fp32": str(files.ours),
        "limit": wanted.boards,
    }
    untimed = False
    with JudgeChild(asked, wanted.limits.seconds) as child:
        for one in wanted.exporters:
            key = _key(name, one, versions[one], files, calibration, wanted)
            row = None if wanted.refresh else results.find(key)
            again = wanted.twice and EXPORTERS[one].effort != "" and (row is None or _untried(row))
            if row is not None and not again:
                results.put(row)  # the youngest now, if another version was measured since
                untimed |= row.judged is not None and row.timed is None
                clock.done(None)
                continue
            started = time.monotonic()
            clock(f"{name}: {one}")
            if row is None:
                row = Row(key, name, one, versions[one], files.ours.stat().st_size)
                row = _one_row(row, wanted, places, files, calibration, child)
                untimed = True
            if again:
                row = _twice(row, wanted, places, files, calibration)
            results.put(row)
            clock.done(time.monotonic() - started)
    if wanted.rounds and (untimed or wanted.retime):
        clock(f"{name}: latency of all, {wanted.rounds} rounds")
        _time(name, files.ours, calibration.tensors, results, wanted.rounds)


def _one_row(
    row: Row, wanted: Wanted, places: Places, files: Files, calibration: Calibration, child: JudgeChild
) -> Row:
    if row.version.startswith("! "):
        return replace(row, problem=row.version.removeprefix("! "))
    exporter, subject = EXPORTERS[row.exporter], SUBJECTS[row.subject]
    folder = places.outputs / row.key
    shutil.rmtree(folder, ignore_errors=True)
    try:
        done = export(exporter, subject, files, calibration, folder, places.environments, wanted.limits)
        row = replace(
            row,
            seconds=done.seconds,
            peak_bytes=done.peak_bytes,
            bytes=weighed(done.model),
            folder_bytes=bundle_bytes(done.model),
            output=str(done.model),
        )
        return replace(row, judged=child.judge(done.model))
    except EdgelineError as error:
        return replace(row, problem=str(error))


def _untried(row: Row) -> bool:
    return not row.problem and row.identical is None


def _twice(row: Row, wanted: Wanted, places: Places, files: Files, calibration: Calibration) -> Row:
    """Export once more, elsewhere, and compare all files."""
    if row.problem:
        return row
    exporter, subject = EXPORTERS[row.exporter], SUBJECTS[row.subject]
    folder = places.outputs / f"{row.key}-again"
    try:
        done = export(exporter, subject, files, calibration, folder, places.environments, wanted.limits)
    except EdgelineError as error:
        return replace(row, problem=f"the second time: {error}")
    same = same_files(Path(row.output).parent, done.model.parent)
    if same:  # else both are kept, to be looked at
        shutil.rmtree(folder)
    return replace(row, identical=same)


def same_files(one: Path, other: Path) -> bool:
    """Say whether two folders hold the same files, byte for byte."""
    left, right = (
        {str(path.relative_to(root)): sha256_file(path) for path in sorted(root.rglob("*")) if path.is_file()}
        for root in (one, other)
    )
    return left == right


def _time(name: str, fp32: Path, tensors: Path, results: Results, rounds: int) -> None:
    """Time everything there is of a subject together, rows of earlier runs too."""
    rows = [row for row in results.youngest() if row.subject == name and row.judged and Path(row.output).is_file()]
    answers = time_in_child(fp32, {row.key: Path(row.output) for row in rows}, tensors, rounds)
    for row in rows:
        answer = answers[row.key]
        results.amend(row.key, None if isinstance(answer, str) else answer)


def _calibrate(name: str, files: Files, images: Sequence[Path], places: Places) -> Calibration:
    """Write the calibration of a subject as the exporters want it, named by what is in it."""
    subject = SUBJECTS[name]
    said = facts_of(subject) + files.input + "".join(f"{path.resolve()}\n" for path in images)
    digest = hashlib.sha256(said.encode()).hexdigest()[:12]
    folder = places.models / f"{name}-{digest}"
    calibration = Calibration(folder / "images.txt", folder / "images.npz", folder / "facts.json")
    if not calibration.facts.is_file():  # written last
        folder.mkdir(parents=True, exist_ok=True)
        write_list(images, calibration.listed)
        write_tensors(subject, files.input, images, calibration.tensors)
        write_text(calibration.facts, facts_of(subject))
    return calibration


def _key(name: str, exporter: str, version: str, files: Files, calibration: Calibration, wanted: Wanted) -> str:
    spec = EXPORTERS[exporter]
    given = files.ours if spec.effort else files.others
    return key_of(
        {
            "subject": name,
            "exporter": exporter,
            "version": version,
            "options": {**spec.options, "effort": spec.effort},
            "script": sha256_file(WORKERS / spec.script) if spec.script else "",
            "installs": ENVIRONMENTS[spec.environment].installs if spec.environment else (),
            "model": sha256_file(given),
            "calibration": calibration.facts.parent.name,
            "boards": wanted.boards,
        }
    )

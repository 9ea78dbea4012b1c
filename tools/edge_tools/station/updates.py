"""Do updates survive kills and power cuts? Whatever comes when, one whole version runs; the next start needs no hand.

    python -m edge_tools.station.updates --kills 20 --cuts 20      a short form; 300 of each is the proof. Cuts need gcc

Kills: updates (of folders and archives), confirmations, ways back and stations' starts are processes of their own that
get SIGKILL at random instants. Cuts: what such processes write and flush is recorded, and for random instants a folder
is made as a power cut may leave it (power/disk.py). After each one: `current` leads to a version, which is one of those
that it may be (what was said to be done is), whose every file is as it was exported; what was half made is removed by
`settle`, which every start does; and nothing is on probation but what runs. After every tenth one an update is made.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.bundle.bundle import MANIFEST, bundle_sha256, read_bundle
from edge_runtime.bundle.seal import UNSEALED, seal
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import EdgelineError
from edge_runtime.station.updates.state import read_state
from edge_runtime.station.updates.switching import settle
from edge_runtime.station.updates.versions import Versions
from edge_tools.station.books import run_and_tell
from edge_tools.station.power.disk import Disk
from edge_tools.station.power.log import build_recorder, read_log, recording

__all__ = ["Found", "run_cuts", "run_kills"]

_BUNDLES = 4
_RECIPE = (
    "{{store: store, updates: {{parts: 3, time: 0s}}, stations: {{a: {{source: {images}, bundle: models/current}}}}}}"
)
_EACH = 10  # after how many an update is made


@dataclass
class Found:
    """What was found of how many kills or cuts. `switched`: how often the version behind `current` had changed."""

    count: int = 0
    switched: int = 0
    returned: int = 0
    updates: int = 0
    wrong: list[str] = field(default_factory=list)

    def line(self, what: str) -> str:
        """Return it as one line."""
        state = f"{len(self.wrong)} things are wrong" if self.wrong else "always one whole version, nothing left half"
        return (
            f"{self.count} {what}: {self.switched} after the switch, {self.returned} returned from or gone back; "
            f"{self.updates} updates made after them; {state}"
        )


def _bundles(folder: Path) -> list[Path]:
    """Bundles that follow one another; every second one as an archive beside."""
    made = []
    for number in range(1, _BUNDLES + 1):
        bundle = Path(shutil.copytree(find_sample().bundle, folder / f"{number}.edge"))
        data = json.loads((bundle / MANIFEST).read_bytes())
        data["model"]["version"] = str(number)
        data["digest"] = UNSEALED
        (bundle / MANIFEST).write_bytes(seal(json.dumps(data).encode()))
        if number % 2:
            with tarfile.open(folder / f"{number}.tar", "w") as archive:
                archive.add(bundle, bundle.name)
        made.append(folder / f"{number}.tar" if number % 2 else bundle)
    return made


@dataclass
class _Line:
    """A station's folder, and processes that change its version."""

    place: Path
    bundles: Sequence[Path]
    shas: frozenset[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> Versions:
        return Versions(self.place / "models")

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `edge-station update`, or for no words a station."""
        command = python_module("edge_runtime.cli.station", "update", *words, "--in", "models")
        if not words:
            (self.place / "station.yaml").write_text(_RECIPE.format(images=find_sample().images), encoding="utf-8")
            command = python_module("edge_runtime.cli.run", "station.yaml")
        environment = {**python_environment(), **self.environment}
        return subprocess.Popen(
            command, cwd=self.place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def next_bundle(self) -> str:
        """One that is not what runs."""
        now = self.versions.number()
        last = 0 if now is None else int(read_bundle(self.versions.version(now)).manifest.model.version)
        return str(self.bundles[last % _BUNDLES])

    def may_be(self, words: Sequence[str]) -> set[int | None]:
        """Which versions may run after a process was started with these words, or while it is at work."""
        folder = self.versions
        state, now = read_state(folder.state), folder.number()
        before = state.before if state.trial is None else state.trial.before
        if words and words[0] not in ("--back", "--confirm"):
            return {now, 1 + max([0, *folder.numbers(), *(one.version for one in state.endings)])}
        return {now} if words[:1] == ("--confirm",) else {now, before}

    def check(self, allowed: set[int | None], when: str, found: Found) -> None:
        """Hold the folder against what must be true, as it is and once a start has settled it."""
        folder = self.versions
        for moment in ("", " settled"):
            if moment:
                settle(folder)
            now = folder.number()
            if now not in allowed:
                found.wrong.append(f"{when}{moment}: version {now} runs, may be {sorted(filter(None, allowed))}")
            if now is None:
                return
            try:
                if read_bundle(folder.version(now)).sha256 not in self.shas:
                    found.wrong.append(f"{when}{moment}: version {now} is none that was brought")
            except EdgelineError as error:
                found.wrong.append(f"{when}{moment}: {error}")
            allowed = allowed if not moment else {now}
        trial = read_state(folder.state).trial
        if trial is not None and (trial.version != now or trial.before not in folder.numbers() or trial.returning):
            found.wrong.append(f"{when}: on probation is {trial}, {now} runs")
        names = {path.name for path in (folder.root / "versions").iterdir()}
        if strange := sorted(names - {str(number) for number in folder.numbers()}):
            found.wrong.append(f"{when}: {strange} was left")

    def update(self, when: str, found: Found) -> None:
        """Make an update, which must do."""
        before = self.versions.number()
        process = self.start(self.next_bundle())
        found.updates += 1
        if process.wait() or self.versions.number() == before:
            found.wrong.append(f"{when}: an update afterwards ended with {process.returncode}")


def _line(folder: Path, bundles: Sequence[Path], environment: Mapping[str, str]) -> _Line:
    folder.mkdir()
    shas = frozenset(bundle_sha256(path.with_suffix(".edge")) for path in bundles)
    return _Line(folder, bundles, shas, environment)


def _own(folder: Path) -> dict[str, str]:
    """Caches and states of one's own."""
    return {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CACHE", "STATE", "CONFIG")}


def _words(line: _Line, chance: random.Random) -> tuple[str, ...]:
    """What is done next: mostly an update."""
    kind = chance.choices(("update", "station", "--confirm", "--back"), (6, 2, 1, 1))[0]
    return () if kind == "station" else (line.next_bundle(),) if kind == "update" else (kind,)


def run_kills(folder: Path, kills: int, chance: random.Random) -> Found:
    """Kill what changes the version of a station, again and again."""
    line, found = _line(folder / "killed", _bundles(folder), _own(folder)), Found()
    line.update("at the beginning", found)
    started = time.monotonic()
    line.update("at the beginning", found)
    whole = time.monotonic() - started
    whole *= 1.5  # a bundle that was not prepared yet takes longer
    for number in range(1, kills + 1):
        words = _words(line, chance)
        allowed, before = line.may_be(words), line.versions.number()
        process = line.start(*words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.0, whole))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found.count += 1
        line.check(allowed, f"kill {number} of {words or 'a station'}", found)
        found.switched += bool(words) and line.versions.number() not in (before, None) and words[0] != "--back"
        found.returned += (not words or words[0] == "--back") and line.versions.number() != before
        if number % _EACH == 0:
            line.update(f"after kill {number}", found)
    return found


def run_cuts(folder: Path, cuts: int, chance: random.Random) -> Found:
    """Record what changes the version of a station, and cut its power at random instants of that."""
    bundles, log = _bundles(folder), folder / "steps"
    place = folder / "recorded"
    own = _own(folder)
    line, found = _line(place, bundles, {**own, **recording(build_recorder(folder), place, log)}), Found()
    ends = _recorded(line, log, chance, found)
    instants = sorted(chance.randrange(1, ends[-1][0] + 1) for _ in range(cuts))
    disk = Disk()
    for number, step in enumerate(read_log(log, place), 1):
        disk.follow(step)
        while instants and instants[0] == number:
            instants.pop(0)
            found.count += 1
            allowed = next(may for end, may in ends if end >= number)
            _cut(
                folder,
                disk,
                chance,
                _Line(folder, bundles, line.shas, own),
                allowed,
                f"cut {found.count} at {number}",
                found,
            )
    return found


def _recorded(line: _Line, log: Path, chance: random.Random, found: Found) -> list[tuple[int, set[int | None]]]:
    """Run what changes the version; returns of each up to which step it went, and which versions may run meanwhile."""
    ends: list[tuple[int, set[int | None]]] = []
    sequence = (
        "update",
        "update",
        "--confirm",
        "update",
        "station",
        "update",
        "kill",
        "update",
        "--back",
        "update",
        "kill",
    )
    for kind in sequence:
        words = () if kind == "station" else (kind,) if kind.startswith("--") else (line.next_bundle(),)
        allowed = line.may_be(words)
        process = line.start(*words)
        if kind == "kill":
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.5, 1.5))
            process.send_signal(signal.SIGKILL)
        if process.wait() not in (0, -signal.SIGKILL):
            found.wrong.append(f"{kind} ended with {process.returncode} before any cut")
        ends.append((sum(1 for _ in read_log(log, line.place)), allowed))
    return ends


def _cut(
    folder: Path, disk: Disk, chance: random.Random, line: _Line, allowed: set[int | None], when: str, found: Found
) -> None:
    with tempfile.TemporaryDirectory(dir=folder, prefix="cut-") as name:
        left = _Line(Path(name), line.bundles, line.shas, line.environment)
        disk.cut(left.place, chance)
        if not (left.place / "models" / "versions").is_dir():  # before the first update had made the folder
            if None not in allowed:
                found.wrong.append(f"{when}: the folder is gone")
            return
        left.check(allowed, when, found)
        found.switched += left.versions.number() == max(filter(None, allowed), default=0)
        found.returned += any(
            one.how in ("returned", "went back") for one in read_state(left.versions.state).endings[-1:]
        )
        if found.count % _EACH == 0:
            left.update(when, found)


@click.command()
@click.option("--kills", type=click.IntRange(min=0), default=20, show_default=True, help="How often to kill.")
@click.option("--cuts", type=click.IntRange(min=0), default=20, show_default=True, help="How often to cut the power.")
@click.option("--seed", type=int, default=None, help="Of the random instants.  [default: another each time, printed]")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
def main(kills: int, cuts: int, seed: int | None, folder: Path | None) -> None:
    """Kill and cut the power of updates at random instants, and look at what is left."""

    def run(place: Path, chance: random.Random) -> tuple[list[str], str]:
        wrong: list[str] = []
        lines: list[str] = []
        for name, count, trial in (("kills", kills, run_kills), ("power cuts", cuts, run_cuts)):
            if count:
                where = place / name.split()[-1]
                where.mkdir()
                found = trial(where, count, chance)
                wrong += found.wrong
                lines.append(found.line(name))
        return wrong, "\n".join(lines)

    run_and_tell("updates", seed, folder, run)


if __name__ == "__main__":
    main()

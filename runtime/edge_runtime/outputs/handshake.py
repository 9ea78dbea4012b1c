"""The handshake with a controller, the same over Modbus and over wires. HANDSHAKE.md draws it. Pure.

The controller says: trigger, acknowledged. The station says: ready, busy, valid, OK, NG, NO_READ, WARN, alive.
No bit of a result is up while the next part is looked at, and a result that comes too late is NO_READ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from edge_runtime.store.entries import PartVerdict

__all__ = [
    "CODES",
    "Acknowledging",
    "FakeWires",
    "Handshake",
    "Seen",
    "Shown",
    "Step",
    "Wires",
    "shown_as",
    "without_result",
]

# How a result is acknowledged: by a bit of its own; by the trigger, which is up until then; or not at all: it stands
# until the next trigger.
Acknowledging: TypeAlias = Literal["bit", "trigger", "none"]
CODES: dict[PartVerdict, int] = {"OK": 1, "WARN": 2, "NG": 3, "NO_READ": 4}  # of the register; 0: no result


@dataclass(frozen=True)
class Seen:
    """What the controller says. `rose`: trigger has come up since the last look, though it may be down again by now.

    `at`: when it did, on time.monotonic's clock, where that is known. `part`: what it calls the part.
    """

    trigger: bool = False
    acknowledged: bool = False
    rose: bool = False
    at: float | None = None
    part: str | None = None


@dataclass(frozen=True)
class Shown:
    """What the station says, in the order of its bits; and the two numbers beside them."""

    ready: bool = False
    busy: bool = False
    valid: bool = False
    ok: bool = False
    ng: bool = False
    no_read: bool = False
    warn: bool = False
    alive: bool = False
    part: int = 0  # counts parts, modulo 65536
    code: int = 0  # CODES

    @property
    def bits(self) -> tuple[bool, ...]:
        """The eight of them."""
        return (self.ready, self.busy, self.valid, self.ok, self.ng, self.no_read, self.warn, self.alive)


class Wires(Protocol):
    """A way to a controller. Both raise OutputError, in one line, where it cannot be reached."""

    def read(self) -> Seen:
        """Return what the controller says."""
        ...

    def write(self, shown: Shown) -> None:
        """Say something else. The bits of a result are there before `valid` is, and gone after it is."""
        ...

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        ...


def shown_as(verdict: PartVerdict, shown: Shown) -> Shown:
    """Return what is said with a result in it. WARN is OK with one bit more: who does not know it takes the part."""
    return replace(
        shown,
        busy=False,
        valid=True,
        ok=verdict in ("OK", "WARN"),
        ng=verdict == "NG",
        no_read=verdict == "NO_READ",
        warn=verdict == "WARN",
        code=CODES[verdict],
    )


def without_result(shown: Shown) -> Shown:
    """Return what is said without a result in it."""
    return Shown(ready=shown.ready, busy=shown.busy, alive=shown.alive, part=shown.part)


@dataclass(frozen=True)
class Step:
    """What follows from a look: what is said from now on, and whether a part is there that must be judged."""

    shown: Shown
    announce: bool = False
    unread: bool = False  # a trigger came up while nobody looked: it has its NO_READ, and is not judged
    late: bool = False  # a result has just become NO_READ, because it did not come in time


class Handshake:
    """Where the handshake of one station stands.

    `begin` after each time that the controller could not be reached, the first one too; then `step` at each look.
    """

    def __init__(self, result_within: float, heartbeat: float, acknowledging: Acknowledging) -> None:
        """Seconds: from a trigger to its result, and from one change of `alive` to the next."""
        self._within, self._beat, self._acknowledging = result_within, heartbeat, acknowledging
        self.shown = Shown()
        self._trigger = False  # as it was at the last look
        self._since: float | None = None  # when the part that is looked at was triggered
        self._beaten = float("-inf")
        self._lost = True
        self._taken_down = False  # acknowledged was, since the result stands
        self._well = True

    @property
    def waiting(self) -> bool:
        """Whether a part is looked at that has no result yet."""
        return self._since is not None

    @property
    def owing(self) -> bool:
        """Whether somebody waits for a result, or has not taken it yet."""
        return self.waiting or (self.shown.valid and self._acknowledging == "bit")

    def begin(self) -> None:
        """The controller can be reached (again): what it was told before may be gone, or old."""
        self._lost = True

    def step(self, seen: Seen, now: float, verdict: PartVerdict | None, well: bool) -> Step:
        """Look once, at `now`. `verdict`: that on the part that is looked at, once it is stored.

        `well`: verdicts come; while they do not, `alive` stands still.
        """
        if self._lost:
            return self._again(seen)
        self._alive(now, well)
        rises = seen.rose or (seen.trigger and not self._trigger)
        self._trigger = seen.trigger
        if rises:
            self._since = now if seen.at is None else min(seen.at, now)
            fresh = without_result(self.shown)
            self.shown = replace(fresh, ready=False, busy=True, part=(self.shown.part + 1) % 65536)
            return Step(self.shown, announce=True)
        if self._since is not None:
            late = now - self._since > self._within
            if not late and verdict is None:
                return Step(self.shown)
            self._since = None
            self.shown = shown_as("NO_READ" if late or verdict is None else verdict, self.shown)
            self._taken_down = not seen.acknowledged
            return Step(self._readied(seen), late=late)
        if self.shown.valid and self._is_acknowledged(seen):
            self.shown = without_result(self.shown)
        return Step(self._readied(seen))

    def over(self) -> Shown:
        """Return what is said at the end: nothing."""
        return Shown(part=self.shown.part)

    def _again(self, seen: Seen) -> Step:
        """A part that was triggered while the controller was away was not looked at: it is NO_READ, and taken so."""
        self._lost = False
        waited, self._since = self._since is not None, None
        self._trigger = seen.trigger
        self.shown = without_result(replace(self.shown, busy=False))
        if seen.trigger or seen.rose or (waited and self._acknowledging != "trigger"):
            self.shown = shown_as("NO_READ", self.shown)
            self._taken_down = not seen.acknowledged
            return Step(self._readied(seen), unread=True)
        return Step(self._readied(seen))

    def _readied(self, seen: Seen) -> Shown:
        """A new part may come once the trigger of the one before is down, and its result taken."""
        held = self._acknowledging != "none" and (self.shown.valid or seen.trigger)
        asked = self._acknowledging == "bit" and seen.acknowledged
        self.shown = replace(self.shown, ready=not (held or asked or self.shown.busy) and self._well)
        return self.shown

    def _is_acknowledged(self, seen: Seen) -> bool:
        if self._acknowledging == "bit":
            before, self._taken_down = self._taken_down, self._taken_down or not seen.acknowledged
            return before and seen.acknowledged
        return self._acknowledging == "trigger" and not seen.trigger

    def _alive(self, now: float, well: bool) -> None:
        self._well = well
        if well and now - self._beaten >= self._beat:
            self._beaten = now
            self.shown = replace(self.shown, alive=not self.shown.alive)


class FakeWires:
    """A complete controller for tests: it says what `seen` is set to, remembers what it was told, or is not there."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.told: list[Shown] = []
        self.closed = False

    def read(self) -> Seen:
        """Return what is set; `rose` once."""
        seen = self.seen
        self.seen = replace(seen, rose=False, at=None)
        return seen

    def write(self, shown: Shown) -> None:
        """Remember it."""
        self.told.append(shown)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

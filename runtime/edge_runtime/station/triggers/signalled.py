"""Parts that something outside announces: a request, a message, an edge, a coil, a file. One base for all of them.

A listener, in threads of its own, calls `Signals.announce` for each part. Of a camera or stream the next frames that
are taken show it (matching.py); they are looked for as fast as frames come, whether a part is being judged or not. Of
a film or of pictures, which wait, a part is shown by the next ones that there are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from edge_runtime.inspect.sources.base import Frame, Source, now_utc
from edge_runtime.inspect.sources.guard import GuardedSource
from edge_runtime.station.parts.part import Part, PartFrame, showing
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.matching import Matching, Showing, Signal
from edge_runtime.station.triggers.settings import Timing

__all__ = ["WAITING_BYTES", "Listener", "SignalledTrigger", "Signals"]

_LOOK_S = 0.2  # how often it is looked whether the run should end
_MOST_SIGNALS = 10_000  # parts that wait for a frame
# Pictures that were taken and wait to be judged; two may always. A memory limit leaves as much (groups.py).
WAITING_BYTES = 32 << 20


class Signals:
    """Where listeners announce parts. For any thread; each part that is not refused becomes an event."""

    def __init__(self, line: Line, timing: Timing) -> None:
        self.line = line
        self._timing = timing
        self._changed = threading.Condition()
        self._matching = Matching(timing)
        self._ready: deque[Showing] = deque()
        self._bytes = 0  # of the pictures among them
        self._pictures = 0
        self._next = 0
        self._at = float("-inf")
        self._ended = False  # no frame comes any more
        self._closed = ""
        self._error: BaseException | None = None

    def announce(self, part: str | None = None, at: float | None = None, asked: bool = False) -> Signal:
        """A part is there, now, or since `at` (time.monotonic) where something knows that better.

        `asked`: whoever announces it calls `verdict` afterwards. A part is `refused` when the run ends, or far too many
        wait.
        """
        with self._changed:
            now = time.monotonic()
            self._at = max(self._at, now if at is None else min(at, now))
            why = self._closed or ("the source has ended" if self._ended else "")
            if len(self._matching) >= _MOST_SIGNALS:
                why = f"{_MOST_SIGNALS} parts wait for a frame already"
            if why:
                return Signal(-1, part, self._at, why)
            signal = Signal(self._next, part, self._at)
            self._next += 1
            if asked:
                self.line.awaited.ask(signal.number)
            self._matching.announce(signal)
            self._changed.notify_all()
            return signal

    def verdict(self, signal: Signal, seconds: float) -> dict[str, object] | None:
        """Return the record of a part that was `asked` about, once it is stored; None: it was not within that time."""
        event = self.line.awaited.answer(signal.number, seconds)
        return None if event is None else dict(event.body)

    def close(self, why: str) -> None:
        """Refuse what is announced from now on, and what was not handed on."""
        with self._changed:
            self._closed = self._closed or why
            left = [*self._ready, *self._matching.end(why)]
            self._ready.clear()
            for shown in left:
                shown.signal.over(why)
            self._changed.notify_all()

    def pump(self, source: Source) -> None:
        """Look at every frame of a camera: the work of a thread, until the source ends."""
        try:
            for frame in source:
                with self._changed:
                    if self._closed:
                        return
                    self._keep(self._matching.see(frame))
        except BaseException as error:  # noqa: BLE001  # raised where parts are taken
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._keep(self._matching.end("the source has ended"))

    def seen(self) -> Iterator[Showing]:
        """Yield what `pump` finds, as soon as it is there, until the source ends. Raises what ended the source."""
        while (shown := self._take()) is not None:
            if shown.last:
                shown.signal.over()
            yield shown
        if self._error is not None:
            raise self._error

    def waited_for(self, frames: Iterator[Frame]) -> Iterator[Showing]:
        """Yield frames that wait for a part, `timing.frames` for each, until there are none."""
        frame = next(frames, None)  # so that the end is known before the next part is waited for
        while frame is not None and (signal := self._turn()) is not None:
            for number in range(self._timing.frames):
                last = number == self._timing.frames - 1
                signal.missing = "" if frame is not None else "the source has ended"
                if last:
                    signal.over()
                # It was read when nobody had asked for it: its time begins here.
                now: Frame | str = signal.missing if frame is None else _taken_now(frame)
                yield Showing(signal, now, last)
                frame = None if frame is None else next(frames, None)
        with self._changed:
            self._ended = True
            left = self._matching.end("the source has ended")
        for shown in left:
            if shown.last:
                shown.signal.over()
            yield shown

    def _turn(self) -> Signal | None:
        """Wait for a part to be announced; None: the run is to end."""
        with self._changed:
            while not self._stopped():
                if (signal := self._matching.first()) is not None:
                    return signal
                self._changed.wait(_LOOK_S)
            return None

    def _take(self) -> Showing | None:
        with self._changed:
            while not self._stopped():
                self._keep(self._matching.expire(time.monotonic()))
                if self._ready:
                    shown = self._ready.popleft()
                    self._count(shown, -1)
                    return shown
                if self._ended:
                    return None
                until = self._matching.next_s()
                left = _LOOK_S if until is None else min(_LOOK_S, until - time.monotonic() + 0.001)
                self._changed.wait(max(0.0, left))
            return None

    def _stopped(self) -> bool:
        return bool(self._closed) or self.line.stop()

    def _keep(self, found: list[Showing]) -> None:
        """Let them wait to be judged, without their pictures where too many do. Under the lock."""
        for each in found:
            shown = each
            if _bytes_of(each) and self._pictures >= 2 and self._bytes + _bytes_of(each) > WAITING_BYTES:
                each.signal.missing = f"{self._pictures} pictures wait to be judged already: parts come too fast"
                shown = dataclasses.replace(each, frame=each.signal.missing)
            self._count(shown, 1)
            self._ready.append(shown)
        if found:
            self._changed.notify_all()

    def _count(self, shown: Showing, by: int) -> None:
        self._pictures += by * (_bytes_of(shown) > 0)
        self._bytes += by * _bytes_of(shown)


class Listener(Protocol):
    """What hears of parts, and announces them, until it is closed."""

    def close(self) -> None:
        """Hear no more; returns when no thread of it announces anything any more."""
        ...


class SignalledTrigger:
    """A trigger (base.py) of parts that a listener announces."""

    def __init__(self, timing: Timing, line: Line, listen: Callable[[Signals], Listener]) -> None:
        """`listen` begins to hear; it raises EdgelineError in one line where that cannot be."""
        self._timing, self._line, self._listen = timing, line, listen

    def parts(self, source: Source) -> Iterator[PartFrame]:
        """Yield the frames of the parts."""
        signals = Signals(self._line, self._timing)
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(signals.close, "the station ends")
            cleanup.enter_context(contextlib.closing(self._listen(signals)))
            if source.kind == "live":
                guarded = GuardedSource(source)  # its reader is another thread than the one that closes it
                cleanup.callback(guarded.close)
                thread = threading.Thread(target=signals.pump, args=(guarded,), name="edgeline-parts", daemon=True)
                thread.start()
                found = signals.seen()
            else:
                found = signals.waited_for(iter(source))
            for shown in found:
                yield _part_frame(source.name, shown)


def _part_frame(name: str, shown: Showing) -> PartFrame:
    signal, frame = shown.signal, shown.frame
    if isinstance(frame, str):
        frame = Frame(name, signal.number, f"part_{signal.number:06d}", error=frame)
    return showing(frame, Part(signal.number, signal.part, signal.at), shown.last)


def _taken_now(frame: Frame) -> Frame:
    return dataclasses.replace(frame, captured=now_utc(), taken_s=time.monotonic())


def _bytes_of(shown: Showing) -> int:
    picture = None if isinstance(shown.frame, str) else shown.frame.shown
    return 0 if picture is None else picture.nbytes

"""What systemd is told (sd_notify(3)): ready, reloading, still at work; nothing where nobody listens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping

__all__ = ["Hangup", "Notifier", "Service"]


class Notifier:
    """Sends to the socket that the environment names."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        asked = usec.isdigit() and int(usec) > 0 and pid in ("", str(os.getpid()))
        self.watchdog_s = int(usec) / 1e6 if asked else None

    def send(self, *lines: str) -> None:
        """Tell; a socket that is gone or full makes nobody wait."""
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one,
        ):
            one.setblocking(False)
            one.sendto("\n".join(lines).encode(), self._address)


class Hangup:
    """SIGHUP: asks for the recipe to be read anew; where the terminal is gone that began the run, it ends it."""

    def __init__(self, tty: Callable[[], bool] = lambda: _has_terminal()) -> None:
        self._tty, self._had = tty, tty()
        self._came = False

    def __call__(self) -> None:
        """It has come; called in a signal's handler."""
        self._came = True

    def asked(self) -> bool:
        """Whether it has come since this was last asked."""
        came, self._came = self._came, False
        return came

    def ends(self) -> bool:
        """Whether it came of a terminal that went away."""
        return self._had and not self._tty()

    number = getattr(signal, "SIGHUP", 1)


class Service:
    """Tells systemd how a run goes. For one thread."""

    def __init__(self, notifier: Notifier, say: Callable[[str], None]) -> None:
        self._notifier, self._say = notifier, say
        self._every = None if notifier.watchdog_s is None else notifier.watchdog_s / 4
        self._beaten = float("-inf")
        self._stuck = ""

    def ready(self, what: str) -> None:
        """Everything is open and at work."""
        self._notifier.send("READY=1", f"STATUS={what}")

    def reloading(self) -> None:
        """The recipe is being read anew; `ready` follows, whatever comes of it."""
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reading the recipe")

    def stopping(self) -> None:
        """What is left is committed and told."""
        self._notifier.send("STOPPING=1", "STATUS=committing what was judged")

    def beat(self, stuck: str, now: float) -> None:
        """Tell the watchdog that verdicts go on; `stuck`: why they do not, "" where they do. Then it is not told."""
        if stuck:
            if not self._stuck:
                self._say(f"AT A STAND, the watchdog is not told any more: {stuck}")
                self._notifier.send(f"STATUS=at a stand: {stuck}")
            self._stuck = stuck
            return
        if self._stuck:
            self._say("it goes on again")
            self._stuck = ""
        if self._every is not None and now - self._beaten >= self._every:
            self._beaten = now
            self._notifier.send("WATCHDOG=1")


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True

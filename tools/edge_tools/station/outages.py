"""Is anything lost when nobody listens? Broker and receiver go away, stations are killed, and the books are checked.

    python -m edge_tools.station.outages --verdicts 1000 --kills 10

Two stations publish to a mosquitto of our own and to a server of webhooks. Both go away; then so many verdicts are made
and stored, while the stations are killed by SIGKILL again and again. Both come back, and while the backlog is told they
are restarted, requests fail in every way that they can, and the stations are killed as often once more. A last run that
nobody kills must end with 0. By then a subscriber must have heard every event once and in order, and the receiver must
have taken every event in order; those that it took and did not answer come again, by the same key.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.cli.sample import find_sample
from edge_runtime.errors import StoreError
from edge_runtime.outputs.base import published
from edge_runtime.store.reading import Asked, open_reader
from edge_runtime.store.verify import verify_log
from edge_tools.station.books import run_and_tell
from edge_tools.station.mosquitto import Ear, Mosquitto, free_port

__all__ = ["Books", "Hooks", "main", "run_outages", "unlike"]

_RECIPE = """\
store: store
stations:
  one: {{source: {source}, bundle: {bundle}, pictures: {{ok_every: 0, ng: false}}, outputs: &all [
    mqtt: "{broker}", webhook: {{url: "{hook}", timeout: 500ms}}]}}
  two: {{source: {source}, bundle: {bundle}, pictures: {{ok_every: 0, ng: false}}, outputs: *all}}
"""
_PATIENCE_S = 300.0


@dataclass
class Books:
    """What was found."""

    kills: int = 0
    restarts: int = 0
    waited: int = 0  # verdicts that were stored while nobody listened
    events: int = 0
    heard: int = 0
    again: int = 0  # requests that came again, because their answer was withheld
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it as one line."""
        state = f"{len(self.wrong)} things are wrong" if self.wrong else "nothing lost, none twice, all in order"
        return (
            f"{self.waited} verdicts while nobody listened, {self.kills} kills, {self.restarts} more restarts of the "
            f"broker: {self.events} events stored, {self.heard} heard, {self.again} requests came again, by their key; "
            f"{state}"
        )


class Hooks:
    """A receiver of webhooks that is there or not, and fails now and then: `taken` are the bodies that it took."""

    def __init__(self, chance: random.Random, failing: float = 0.1) -> None:
        self.port, self.taken = free_port(), list[dict[str, object]]()
        self._chance, self._failing = chance, failing
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen."""
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hooks.answer(body)
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = _Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, body: bytes) -> int | None:
        """Take a request, or not; None: it is taken, and the answer withheld."""
        chance = self._chance.random() / self._failing if self._failing else 1.0
        if chance < 0.7:
            return (500, 429, 503, 404)[int(chance * 4 / 0.7)]
        self.taken.append(json.loads(body))
        return None if chance < 1.0 else 200

    def stop(self) -> None:
        """Go away; a second call does nothing."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A station that is killed hangs up."""


def run_outages(folder: Path, verdicts: int, kills: int, chance: random.Random, source: Path | None = None) -> Books:
    """Try it in a folder; `source`: another one than the sample's film."""
    sample = find_sample()
    broker, hooks = Mosquitto(folder / "broker"), Hooks(chance)
    recipe = _RECIPE.format(
        source=source or sample.images.parent / "belt.mp4",
        bundle=sample.bundle,
        broker=broker.url,
        hook=f"http://127.0.0.1:{hooks.port}/events",
    )
    (folder / "station.yaml").write_text(recipe, encoding="utf-8")
    books = Books()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(broker.stop)
        cleanup.callback(hooks.stop)
        broker.start()
        ear = cleanup.enter_context(contextlib.closing(Ear(broker.port)))
        broker.stop()
        for number in range(kills + 1):
            _run_until(folder, verdicts * (number + 1) // (kills + 1), books)
        books.waited = _stored(folder)
        broker.start()
        hooks.start()
        for _ in range(kills):
            _kill_while_telling(folder, broker, chance, books)
        _finish(folder, books)
        _check(folder, ear, hooks, books)
    return books


def _start(folder: Path) -> subprocess.Popen[str]:
    command = python_module("edge_runtime.cli.run", "station.yaml")
    return subprocess.Popen(command, cwd=folder, env=python_environment(), stderr=subprocess.PIPE, text=True)


def _stored(folder: Path) -> int:
    with contextlib.suppress(StoreError), contextlib.closing(open_reader(folder / "store")) as reader:
        return sum(reader.counts().values())
    return 0


def _run_until(folder: Path, count: int, books: Books) -> None:
    """Run until so many verdicts are stored, as often as it takes, and kill it then."""
    until = time.monotonic() + _PATIENCE_S
    while _stored(folder) < count:
        process = _start(folder)
        while process.poll() is None and _stored(folder) < count and time.monotonic() < until:
            time.sleep(0.05)
        _kill(process, books)
        if time.monotonic() >= until:
            raise RuntimeError(f"after {_PATIENCE_S:g} s {_stored(folder)} of {count} verdicts are stored")


def _kill_while_telling(folder: Path, broker: Mosquitto, chance: random.Random, books: Books) -> None:
    """Let it tell for a while; the broker goes away in between, or not; then kill it."""
    process = _start(folder)
    until = time.monotonic() + chance.uniform(0.5, 6.0)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0.2, 3.0))
        broker.stop()
        time.sleep(chance.uniform(0.0, 0.5))
        broker.start()
        books.restarts += 1
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, until - time.monotonic()))
    _kill(process, books)


def _kill(process: subprocess.Popen[str], books: Books) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        books.kills += 1
    elif process.returncode:
        books.wrong.append(f"a run ended with {process.returncode} by itself")
    process.communicate()


def _finish(folder: Path, books: Books) -> None:
    """Runs that nobody kills, until all is told: whoever failed last may have to be waited for longer than a run is."""
    for _ in range(5):
        process = _start(folder)
        _, said = process.communicate()
        if process.returncode:
            books.wrong.append(f"a run ended with {process.returncode}: {said.strip()[-500:]}")
        if "not everything was told" not in said:
            return
    books.wrong.append("five runs have not told everything")


def _check(folder: Path, ear: Ear, hooks: Hooks, books: Books) -> None:
    with contextlib.closing(open_reader(folder / "store")) as reader:
        books.wrong += [one.what for one in verify_log(reader).breaks]
        stored = [published(event) for event in reader.query(Asked())]
    with contextlib.suppress(RuntimeError):  # what is missing is found below
        ear.wait(lambda: bool(ear.verdicts()) and ear.verdicts()[-1]["event_id"] == stored[-1]["event_id"])
    books.events, books.heard = len(stored), len(ear.verdicts())
    books.wrong += [f"mqtt: {fault}" for fault in unlike(ear.verdicts(), stored)]
    once = list({str(record["event_id"]): record for record in hooks.taken}.values())
    books.again = len(hooks.taken) - len(once)
    books.wrong += [f"webhook: {fault}" for fault in unlike(once, stored)]


def unlike(told: Sequence[object], stored: Sequence[object]) -> list[str]:
    """Return how what was told differs from what is stored: nothing where it is the same, in the same order."""
    for number, (one, other) in enumerate(zip(told, stored, strict=False)):
        if one != other:
            return [f"number {number} that was told is not number {number} that is stored: {one!r:.120}"]
    return [] if len(told) == len(stored) else [f"{len(told)} were told of {len(stored)}"]


@click.command()
@click.option("--verdicts", type=click.IntRange(min=1), default=1000, show_default=True, help="While nobody listens.")
@click.option("--kills", type=click.IntRange(min=0), default=10, show_default=True, help="Of the stations, each time.")
@click.option(
    "--seed", type=int, default=None, help="Of what happens by chance.  [default: another each time, printed]"
)
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
def main(verdicts: int, kills: int, seed: int | None, folder: Path | None) -> None:
    """Let broker and receiver go away, kill stations, and check the books."""

    def run(place: Path, chance: random.Random) -> tuple[list[str], str]:
        books = run_outages(place, verdicts, kills, chance)
        return books.wrong, books.line()

    run_and_tell("outages", seed, folder, run)


if __name__ == "__main__":
    main()

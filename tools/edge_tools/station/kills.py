"""Does a station survive kills? SIGKILL at random instants, again and again, and after each one the books are checked.

    python -m edge_tools.station.kills --kills 20        a short form; 500 is the proof

Four stations run on the sample's film and pictures. After every kill: each line that was published is in the store as
it was published, none twice, and the chain verifies. The next start needs no hand. At the end a run that nobody kills
must end with 0, and by then every event that was ever stored has been told exactly once.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from pathlib import Path

import click

from edge_tools.station.books import Books, check, finish, run_and_tell, start, write_recipe

__all__ = ["main", "run_kills"]


def run_kills(folder: Path, kills: int, chance: random.Random, film: str = "") -> Books:
    """Run and kill stations in a folder; `film`: another one than the sample's."""
    write_recipe(folder, film)
    books = Books()
    started = time.monotonic()
    finish(folder, books)
    whole = time.monotonic() - started
    for number in range(kills):
        _kill(folder, chance.uniform(0.0, whole), books)
        books.kills += 1
        check(folder, books, f"after kill {number + 1}")
    finish(folder, books)
    check(folder, books, "at the end", whole=True)
    return books


def _kill(folder: Path, after: float, books: Books) -> None:
    process = start(folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    elif process.returncode:
        books.wrong.append(f"a start ended with {process.returncode} by itself")
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


@click.command()
@click.option("--kills", type=click.IntRange(min=0), default=20, show_default=True, help="How often to kill.")
@click.option("--seed", type=int, default=None, help="Of the random instants.  [default: another each time, printed]")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
def main(kills: int, seed: int | None, folder: Path | None) -> None:
    """Kill stations at random instants and check the books."""

    def run(place: Path, chance: random.Random) -> tuple[list[str], str]:
        books = run_kills(place, kills, chance)
        return books.wrong, books.line()

    run_and_tell("kills", seed, folder, run)


if __name__ == "__main__":
    main()

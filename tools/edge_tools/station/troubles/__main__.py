"""What months bring, within minutes, to a real `edge-run station.yaml`: is a verdict lost, told twice, or made up?

    python -m edge_tools.station.troubles --restarts 50 --times 10        as root, for the small disk
    python -m edge_tools.station.troubles --part clock --part decoder

sizes    an RTSP camera (GStreamer's server) is killed and comes back with another size, bad and good parts by turns
decoder  the process that decodes a film and a camera is killed by SIGKILL
clock    the wall clock is set back an hour and ahead a day
full     the store lies on a small tmpfs: pictures fill it, then something else does, then there is room again;
         a kill and a start while it is full, and a start on one without a page left
ro       the store's disk is read-only, then it is not; a start on it while it is

After each: what was told is stored as it was told, none twice, none lost, the chain verifies; each verdict is the one
that the picture has where nothing is in the way, or NO_READ where it could not be seen. What `edge-station status` said
meanwhile is printed. A broker that is down has a tool of its own: python -m edge_tools.station.outages.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from edge_runtime.errors import UsageError
from edge_tools.damage.rtsp import missing
from edge_tools.station.troubles.clock import clock
from edge_tools.station.troubles.decoder import decoder
from edge_tools.station.troubles.disk import full, read_only
from edge_tools.station.troubles.running import Found, Truth, truth_of
from edge_tools.station.troubles.sizes import sizes

__all__ = ["PARTS", "main"]

_WAITING = 50  # verdicts in memory each time that a disk refuses them

# Each is told where to work, how often there is a restart, how often something else happens, and what is true.
PARTS: dict[str, Callable[[Path, int, int, str | None, Truth], Found]] = {
    "sizes": lambda folder, restarts, _, encoder, __: sizes(folder, restarts, _needed(encoder)),
    "decoder": lambda folder, _, times, encoder, truth: decoder(folder, times, encoder, truth),
    "clock": lambda folder, _, times, __, truth: clock(folder, times, truth),
    "full": lambda folder, _, times, __, truth: full(folder, times, _WAITING, truth),
    "ro": lambda folder, _, times, __, truth: read_only(folder, times, _WAITING, truth),
}


def _needed(encoder: str | None) -> str:
    if encoder is None:
        raise UsageError(f"there can be no camera here: {missing()}")
    return encoder


@click.command()
@click.option("--part", "parts", type=click.Choice(list(PARTS)), multiple=True, help="Only this one.  [default: all]")
@click.option("--restarts", type=click.IntRange(min=1), default=50, show_default=True, help="Of the camera.")
@click.option("--times", type=click.IntRange(min=1), default=10, show_default=True, help="Of each other trouble.")
@click.option("--encoder", default="mjpeg", show_default=True, help="Of the camera, or h264.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep everything here.")
def main(parts: Sequence[str], restarts: int, times: int, encoder: str, folder: Path | None) -> None:
    """Make trouble for stations and check the books."""
    wrong = False
    with contextlib.ExitStack() as cleanup:
        place = folder or Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="edgeline-troubles-")))
        place.mkdir(parents=True, exist_ok=True)
        truth = truth_of(place / "truth")
        camera = None if missing() else encoder
        for part in parts or list(PARTS):
            (place / part).mkdir()
            try:
                found = PARTS[part]((place / part).absolute(), restarts, times, camera, truth)
            except UsageError as error:
                click.echo(f"{part}: not tried: {error}")
                continue
            for said in dict.fromkeys(found.states):
                click.echo(f"    {said}")
            for fault in found.wrong:
                click.echo(fault)
            click.echo(found.line())
            wrong |= bool(found.wrong)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

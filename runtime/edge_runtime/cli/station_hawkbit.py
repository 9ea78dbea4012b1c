"""`edge-station hawkbit`: updates of a station's bundle that are deployed by Eclipse hawkBit."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import click

from edge_devices.interpreter import python_environment, python_module
from edge_runtime.errors import EdgelineError, SourceError, UpdateError, UsageError
from edge_runtime.inspect.stop import Stop, stop_on_signals

__all__ = ["hawkbit"]

_AGAIN_S = 60.0  # after an answer that was none
_LOOK_S = 0.5


@click.command()
@click.option("--url", required=True, help="Of the server, as https://hawkbit.local:8080.")
@click.option("--tenant", default="DEFAULT", show_default=True)
@click.option("--controller", help="This device's controller id.  [default: its host name]")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="One line, the Authorization header: TargetToken ... or GatewayToken ...",
)
@click.option(
    "--in",
    "place",
    metavar="RECIPE|FOLDER",
    type=click.Path(path_type=Path),
    default=Path("station.yaml"),
    show_default=True,
    help="Whose bundle is updated, as for edge-station update.",
)
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="How long a probation may last; then the version before goes on.",
)
@click.option("--once", is_flag=True, help="Ask once, and end.")
def hawkbit(
    url: str, tenant: str, controller: str | None, token_file: Path | None, place: Path, wait: float, once: bool
) -> int:
    """Ask a hawkBit server for updates of a station's bundle, and tell it how they ended, until SIGTERM or Ctrl-C.

    A software module has one archive of a bundle. An action succeeds when its bundle came through its probation.
    """
    from edge_runtime.station.updates.hawkbit import Server, poll  # the web: other commands do without

    server = Server(url, tenant, controller or platform.node(), _token(token_file))

    def deploy(archive: Path) -> str:
        before = _update(place, "--number")
        _update(place, str(archive))
        try:
            return _update(place, "--wait", str(wait))
        except UpdateError:
            if before:
                with contextlib.suppress(EdgelineError):  # it was returned from already
                    _update(place, "--back", "--to", before)
            raise

    stop, soon = Stop(), threading.Event()
    with stop_on_signals(stop):
        while not stop():
            try:
                seconds = poll(server, deploy, lambda: {"edgeline.version": _update(place, "--number")}, _say)
            except SourceError as error:
                if once:
                    raise
                _say(str(error))
                seconds = _AGAIN_S
            if once:
                break
            while seconds > 0 and not stop():
                soon.wait(_LOOK_S)
                seconds -= _LOOK_S
    return stop.exit_code


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        lines = file.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the token in {file}: {error}") from error
    return lines[0].strip()


def _update(place: Path, *words: str) -> str:
    """Run `edge-station update`; returns what it says last. Raises UpdateError with what it says of what is wrong."""
    command = [*python_module("edge_runtime.cli.station", "update", "--in", os.fspath(place)), *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        env=python_environment(),
    )  # fmt: skip
    if done.returncode:
        raise UpdateError(f"{_last(done.stderr).removeprefix('error: ')} (exit code {done.returncode})")
    return _last(done.stdout)


def _last(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines() or [""]
    return lines[-1]


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(line, err=True)

"""`edge-station update`: another version of a bundle, tried before it is switched to, gone back from if it fails."""

from __future__ import annotations

import json
import os
import pwd
import time
from pathlib import Path
from typing import Any

import click

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.trust import TrustPolicy
from edge_runtime.cli.options import RECIPES
from edge_runtime.errors import EdgelineError, UpdateError, UsageError
from edge_runtime.files.schema import to_json
from edge_runtime.ort.session import DEVICES
from edge_runtime.station.recipe.load import read_what_is_right
from edge_runtime.station.updates.state import read_state
from edge_runtime.station.updates.switching import confirm, go_back, settle
from edge_runtime.station.updates.versions import Versions, versions_of

__all__ = ["update"]

_MODULES = Path(__file__).parent.parent / "station" / "updates"
_LOOK_S = 1.0


@click.command()
@click.argument("source", metavar="[FILE|URL]", required=False)
@click.option(
    "--in",
    "place",
    metavar="RECIPE|FOLDER",
    type=click.Path(path_type=Path),
    default=Path("station.yaml"),
    show_default=True,
    help="Whose bundle it is: the recipe of a station that runs FOLDER/current, or FOLDER, which is made where it is "
    "not there.",
)
@click.option("--station", metavar="NAME", help="Of a recipe whose stations run several folders of versions.")
@click.option("--status", is_flag=True, help="Say what runs, what is on probation, and how updates ended.")
@click.option("--json", "as_json", is_flag=True, help="With --status: as one JSON object.")
@click.option("--number", is_flag=True, help="Print the number of the version that runs, an empty line for none.")
@click.option("--confirm", "confirmed", is_flag=True, help="Confirm the version on probation now.")
@click.option("--back", is_flag=True, help="Go back to the version before.")
@click.option("--to", metavar="N", type=click.IntRange(min=1), help="With --back: to this version.")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Wait for the end of the probation; 17 if it was returned from, or goes on then.",
)
@click.option("--keep", metavar="N", type=click.IntRange(min=0), default=2, show_default=True,
              help="Versions that are kept beside the one that runs and the one before.")  # fmt: skip
@click.option("--require-signed/--allow-unsigned", default=None, help="As for edge-run.")
@click.option("--allow-downgrade", is_flag=True, help="It may be older than what runs.")
@click.option("--other-model", is_flag=True, help="It may be of another model than what runs.")
@click.option("--device", metavar="NAME", type=click.Choice(DEVICES), help="It is tried as with edge-run --device.")
@click.option("--memory-limit", metavar="SIZE", help="It is tried within that, as with edge-run.")
@click.option("--mender", is_flag=True, help="Print Mender's update module, a shell script, and end.")
def update(
    source: str | None,
    place: Path,
    station: str | None,
    status: bool,
    as_json: bool,
    number: bool,
    confirmed: bool,
    back: bool,
    to: int | None,
    wait: float | None,
    keep: int,
    require_signed: bool | None,
    allow_downgrade: bool,
    other_model: bool,
    device: str | None,
    memory_limit: str | None,
    mender: bool,
) -> None:
    """Bring another version of a bundle: a folder, a .tar, .tar.gz or .zip of it, or a URL of one.

    It is checked, held against the trusted keys, and answers for its golden samples here before FOLDER/current leads
    to it, from one instant to the next. A running station takes it over by itself. Then it is on probation (`updates`
    in the recipe): if it cannot be opened, fails, or ends the process, the version before goes on.

    \b
    Examples:
      edge-station update pcb.edge --in models/pcb           a first version; in the recipe: bundle: models/pcb/current
      edge-station update https://files.local/pcb-7.tar.gz   of the one folder of station.yaml
      edge-station update --status
      edge-station update --back

    \b
    Exit codes: 0 done, 2 usage, 3 a damaged bundle, 5 a URL that gives nothing, 7 a disk that cannot be
    written, 13 it answers otherwise here, 16 not signed by a trusted key, or too old, 17 another update is
    under way, nothing to confirm or to go back to, returned from, still on probation.
    """
    if mender:
        click.echo((_MODULES / "mender").read_text(encoding="utf-8"), nl=False)
        return
    doing = [name for name, given in (("a file", source), ("--status", status), ("--number", number),
                                      ("--confirm", confirmed), ("--back", back)) if given]  # fmt: skip
    if len(doing) > 1 or (not doing and wait is None):
        named = " and ".join(doing) or "nothing"
        raise UsageError(
            f"name a bundle's folder, an archive or URL of it, or one of --status, --confirm, --back; found {named}"
        )
    if to is not None and not back:
        raise UsageError("--to is for --back; an update always gets the next number")
    # Archives and the web: other commands of edge-station do without.
    from edge_runtime.station.updates.bring import open_update
    from edge_runtime.station.updates.install import Wishes, install

    opened = None if source is None else open_update(source)  # by the rights that there are: they are dropped next
    try:
        folder = _folder(place, station, new=source is not None or number)
        _as_owner(folder.root)
        if status or number:
            _tell(folder, as_json, number)
            return
        if folder.root.is_dir():
            settle(folder)
        if opened is not None:
            machine = [*(("--device", device) if device else ()),
                       *(("--memory-limit", memory_limit) if memory_limit else ())]  # fmt: skip
            wishes = Wishes(TrustPolicy(require_signed, allow_downgrade), keep, machine, other_model)
            os.nice(10)  # stations are at work
            install(folder, opened, wishes, click.echo)
        elif confirmed:
            click.echo(f"version {confirm(folder, 'by hand')} of {folder.root} is confirmed")
        elif back:
            click.echo(f"current is version {go_back(folder, to, 'by hand')}")
    finally:
        if opened is not None:
            opened.close()
    if wait is not None:
        _wait(folder, wait)


def _folder(place: Path, station: str | None, new: bool) -> Versions:
    """The folder of versions that is meant. Raises UsageError."""
    if not place.name.lower().endswith(RECIPES):
        if not new and Versions(place).number() is None:
            raise UsageError(f"{place} is no folder of versions: edge-station update BUNDLE --in {place} makes it one")
        return Versions(place)
    links = read_what_is_right(place).links
    if station is not None and station not in links:
        raise UsageError(
            f"the station {station} of {place} runs no FOLDER/current; there are {', '.join(links) or 'none'}"
        )
    found = {folder for name, link in links.items() if station in (None, name) and (folder := versions_of(link))}
    if len(found) == 1:
        return found.pop()
    if found:
        raise UsageError(f"the stations of {place} run several folders of versions; name one with --station")
    raise UsageError(
        f"no station of {place} runs a folder of versions: edge-station update BUNDLE --in models/NAME makes one; then "
        "write bundle: models/NAME/current"
    )


def _as_owner(root: Path) -> None:
    """Go on as the owner of a folder where root was asked to: stations have to write there, and need not trust root."""
    if os.geteuid() != 0 or not root.exists():
        return
    status = root.stat()
    if status.st_uid == 0:
        return
    try:
        owner = pwd.getpwuid(status.st_uid)
    except KeyError as error:
        raise UsageError(f"{root} belongs to a user that is not known here (uid {status.st_uid}); chown it") from error
    os.initgroups(owner.pw_name, owner.pw_gid)
    os.setgid(owner.pw_gid)
    os.setuid(owner.pw_uid)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        os.environ.pop(name, None)
    os.environ.update(HOME=owner.pw_dir, USER=owner.pw_name, LOGNAME=owner.pw_name)


def _tell(folder: Versions, as_json: bool, number: bool) -> None:
    now, state = folder.number(), read_state(folder.state)
    if number:
        click.echo("" if now is None else now)
        return
    facts: dict[str, Any] = {"folder": str(folder.root), "current": now, "versions": folder.numbers(), **to_json(state)}
    del facts["schema"]
    if now is not None:
        try:
            bundle = read_bundle(folder.version(now), check_hashes=False)
            facts.update(model=bundle.manifest.model.name, bundle_sha256=bundle.sha256)
        except EdgelineError as error:  # which is what one looks for
            facts["error"] = str(error)
    if as_json:
        click.echo(json.dumps(facts))
        return
    model = facts.get("model", facts.get("error", "none yet"))
    click.echo(f"{folder.root}: version {now} runs ({model}); there are {', '.join(map(str, facts['versions']))}")
    if (trial := state.trial) is not None:
        click.echo(f"  version {trial.version} is on probation since {trial.begun_utc}; before it was {trial.before}")
    for ending in reversed(state.endings):
        click.echo(f"  {ending.time_utc} version {ending.version} {ending.how}: {ending.why}")


def _wait(folder: Versions, seconds: float) -> None:
    """Wait until nothing is on probation. Raises UpdateError where that ended badly, or not in time."""
    end = time.monotonic() + seconds
    while (trial := (state := read_state(folder.state)).trial) is not None:
        left = end - time.monotonic()
        if left <= 0:
            raise UpdateError(f"version {trial.version} of {folder.root} is still on probation; look at --status later")
        time.sleep(min(left, _LOOK_S))
    if state.endings and state.endings[-1].how != "confirmed":
        last = state.endings[-1]
        raise UpdateError(f"version {last.version} of {folder.root} was {last.how}: {last.why}")
    click.echo(f"version {folder.number()} of {folder.root} is confirmed")

"""`edge-station gate`: what a gate saves and loses on a user's pictures, and the file without which it does not run."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import click

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.cli.console import hidden_native_stderr
from edge_runtime.cli.options import PREPARING
from edge_runtime.cli.progress import ProgressLine
from edge_runtime.cli.station_run import recipe_of
from edge_runtime.errors import GateError, UsageError
from edge_runtime.inspect.opening import open_engine
from edge_runtime.inspect.settings import EngineSettings
from edge_runtime.opening.options import OpenOptions
from edge_runtime.station.gating import Measured, learn, measure, sequences
from edge_runtime.station.groups import counted, engine_floor
from edge_runtime.station.recipe.recipe import Recipe, Station
from edge_runtime.station.rules.held import with_floor
from edge_runtime.station.view.proof import Proof, write_proof
from edge_runtime.tune.standing import Asked, stand

__all__ = ["gate"]


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("labelled", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--budget", default="0.1%", show_default=True, help="The share of defects that may be lost.")
@click.option("--station", "name", metavar="NAME", help="The station.  [default: the one that has a gate]")
def gate(recipe: Path, labelled: Path, budget: str, name: str | None) -> None:
    """Measure on the pictures of LABELLED what the gate of a RECIPE's station saves and loses, and write its file.

    LABELLED holds films, and pictures in the order of their names, as the camera gave them; in ok/ and ng/ where they
    are labelled: what is found in ok/ is no defect. Each is judged with the gate and without. Exits with 15 where more
    is lost than the budget allows: such a gate does not run.
    """
    allowed = _share(budget)
    station = _station(recipe_of(recipe).recipe, name)
    settings = station.gate
    if settings is None or settings.proof is None:
        raise UsageError("the station's gate names no `proof`: the file that this is to be written to, as gate.json")
    bundle = read_bundle(station.bundle)
    here = stand(bundle.sha256, Asked())
    engine_settings = with_floor(EngineSettings(station.bundle, OpenOptions(here.session)), engine_floor(station))
    given = sequences(labelled)
    with ProgressLine(PREPARING) as progress, hidden_native_stderr():
        engine = open_engine(engine_settings, 1, 0, False, progress)
    with contextlib.closing(engine), hidden_native_stderr():
        noise = learn(station.view, engine, given) if settings.unchanged else None
        counts = counted(station, bundle.manifest, engine_settings)
        found = measure(station.view, settings, noise, engine, counts, given)
    if not found.ng:
        raise UsageError(f"{labelled}: nothing in it is NG without the gate: nothing could be lost; add defects")
    passed = found.loss <= allowed
    measured = {**found.to_json(), "budget": allowed, "pictures_of": str(labelled)}
    write_proof(settings.proof, bundle.sha256, station.view, settings, Proof(noise, measured, passed))
    for line in _lines(found, allowed):
        click.echo(line)
    if not passed:
        raise GateError(
            f"the gate loses {found.loss:.2%} of the defects, {allowed:.2%} are allowed: it does not run; "
            "a larger `margin` loses fewer where scores move, a lower `scout` visits more tiles"
        )
    click.echo(f"{settings.proof} is written: the gate runs with it")


def _lines(found: Measured, allowed: float) -> list[str]:
    more = _needed(allowed) - found.found
    proof = "" if more <= 0 else f"; {more} more, with none of them lost, would prove {allowed:g} at 95 %"
    return [
        f"{found.pictures} pictures, {found.unread} of them could not be judged",
        f"runs of the model: {found.runs} instead of {found.full_runs}: {found.saved:.1%} saved",
        f"time: {found.seconds:.2f} s instead of {found.full_s:.2f} s",
        f"defects: {found.lost} lost of {found.found} that are found without the gate, in {found.ng} NG pictures; "
        f"{found.escaped} of these are no longer NG, {found.overkill} others are",
        f"at 95 % at most {found.most:.2%} are lost{proof}",
    ]


def _needed(allowed: float) -> int:
    """How many defects, none of them lost, show that no more than that is lost: the rule of three."""
    return round(3 / allowed) if allowed else 0


def _share(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else 2.0
    if not 0 <= share < 1:
        raise UsageError(f"--budget {text!r}: expected a share of the defects such as 0.1%")
    return share


def _station(recipe: Recipe, name: str | None) -> Station:
    gated = [known for known, station in recipe.stations.items() if station.gate is not None]
    if name is None and len(gated) != 1:
        listed = ", ".join(gated) or "none"
        raise UsageError(f"stations with a gate: {listed}; name one with --station, or write `gate:` into the recipe")
    chosen = gated[0] if name is None else name
    if chosen not in recipe.stations:
        raise UsageError(f"the recipe has no station {chosen!r}; it has {', '.join(recipe.stations)}")
    return recipe.stations[chosen]

"""`edge-station thresholds`: what labelled pictures say of a station's thresholds."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from edge_runtime.bundle.bundle import bundle_sha256, read_bundle
from edge_runtime.cli.console import hidden_native_stderr
from edge_runtime.cli.options import PREPARING
from edge_runtime.cli.progress import ProgressLine
from edge_runtime.cli.station_run import recipe_of, tell_mistakes
from edge_runtime.errors import UsageError
from edge_runtime.inspect.opening import open_engine
from edge_runtime.inspect.pipeline import watched
from edge_runtime.inspect.settings import EngineSettings
from edge_runtime.inspect.sources.base import Source
from edge_runtime.opening.options import OpenOptions
from edge_runtime.station.groups import health_of, view_of
from edge_runtime.station.recipe.load import Loaded
from edge_runtime.station.recipe.recipe import Station
from edge_runtime.station.rules.held import rule_mistakes, with_floor
from edge_runtime.station.thresholds.choose import Costs
from edge_runtime.station.thresholds.dials import Panel, panel_of
from edge_runtime.station.thresholds.labelled import Labelled, Truth, read_labelled
from edge_runtime.station.thresholds.propose import Bars, Proposal, Proved, Rate, propose
from edge_runtime.station.view.source import ViewedSource
from edge_runtime.tune.standing import Asked, stand

__all__ = ["proposal_json", "proposal_lines", "thresholds"]


def _share(context: click.Context, option: click.Parameter, text: str) -> float:
    """Read a share: 1% or 0.01."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?(%?)", text, re.ASCII)
    share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0 < share < 1:
        raise click.BadParameter(f"{text!r}: expected a share between nothing and all, as 1% or 0.01", context, option)
    return share


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("labelled", type=click.Path(path_type=Path))
@click.option("--station", "name", metavar="NAME", help="Which one, where the recipe has several.")
@click.option(
    "--escape",
    metavar="COST",
    type=click.FloatRange(min=0, min_open=True),
    default=100.0,
    show_default=True,
    help="What it costs that a defect is OK.",
)
@click.option(
    "--overkill",
    metavar="COST",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="What it costs that a good part is NG.",
)
@click.option(
    "--defects",
    metavar="SHARE",
    callback=_share,
    default="1%",
    show_default=True,
    help="How many of the line's parts have a defect: labelled pictures seldom say.",
)
@click.option(
    "--prove-escapes",
    metavar="SHARE",
    callback=_share,
    default="1%",
    show_default=True,
    help="Of defects, most that may be OK: how many more pictures would prove it?",
)
@click.option(
    "--prove-overkills",
    metavar="SHARE",
    callback=_share,
    default="5%",
    show_default=True,
    help="Of good parts, most that may be NG.",
)
@click.option("--confidence", metavar="SHARE", callback=_share, default="95%", show_default=True, help="Of each bound.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def thresholds(
    recipe: Path,
    labelled: Path,
    name: str | None,
    escape: float,
    overkill: float,
    defects: float,
    prove_escapes: float,
    prove_overkills: float,
    confidence: float,
    as_json: bool,
) -> None:
    """Propose thresholds for a station of RECIPE, from LABELLED pictures and what mistakes cost.

    LABELLED is a folder with ok/ and ng/, with folders of which one is good/, or with labels as COCO, YOLO, DOTA or
    DeepPCB have them. One half of the pictures chooses, the other half proves: both rates with exact bounds
    (Clopper-Pearson). Nothing is changed: what to write into the recipe is printed.
    """  # fmt: skip
    loaded = recipe_of(recipe)
    name, station = _station(loaded, name)
    tell_mistakes(recipe, list(rule_mistakes(loaded)))
    costs, bars = Costs(escape, overkill, defects), Bars(prove_escapes, prove_overkills, confidence)
    facts = read_bundle(station.bundle, check_hashes=False).manifest
    panel = panel_of(station.rules, facts)
    pictures = read_labelled(labelled, _truth(panel))
    found = _propose(name, station, panel, pictures, costs, bars)
    if as_json:
        click.echo(json.dumps(proposal_json(name, found, costs, bars)))
        return
    for line in proposal_lines(name, recipe, found, costs, bars):
        click.echo(line)


def _station(loaded: Loaded, name: str | None) -> tuple[str, Station]:
    stations = loaded.recipe.stations
    if name is None and len(stations) > 1:
        raise UsageError(f"{loaded.file} has several stations: name one with --station: {', '.join(stations)}")
    name = name or next(iter(stations))
    if name not in stations:
        raise UsageError(f"{loaded.file} has no station {name!r}; it has {', '.join(stations)}")
    return name, stations[name]


def _truth(panel: Panel) -> Truth:
    """What is a defect in labels of objects: what the rules look for."""
    rules = [*(dial.rule for dial in panel.dials), *panel.fixed.values()]
    about = {one for rule in rules for one in rule.classes}
    everything = any(not rule.classes for rule in rules)
    return Truth(panel.facts.labels, () if everything else tuple(sorted(about)), panel.facts.verdict.ok_classes)


def _propose(
    name: str, station: Station, panel: Panel, pictures: Sequence[Labelled], costs: Costs, bars: Bars
) -> Proposal:
    here = stand(bundle_sha256(station.bundle), Asked())
    settings = with_floor(EngineSettings(station.bundle, OpenOptions(here.session)), panel.floor)
    view = view_of(settings, name, dataclasses.replace(station, gate=None))  # each picture by itself
    health = health_of(station)

    def around(source: Source) -> Source:
        seen = watched(source, False, "", health)
        return seen if view is None else ViewedSource(seen, view)

    with hidden_native_stderr(), contextlib.ExitStack() as cleanup:
        with ProgressLine(PREPARING) as progress:
            engine = open_engine(settings, 1, 0, False, progress)
        cleanup.callback(engine.close)
        with ProgressLine("judging pictures") as progress:
            return propose(panel, pictures, engine, around, costs, bars, progress)


def proposal_json(name: str, found: Proposal, costs: Costs, bars: Bars) -> dict[str, Any]:
    """Return all of it as plain JSON values."""
    good, bad = found.chosen_by
    return {
        "station": name,
        "costs": {"escape": costs.escape, "overkill": costs.overkill, "defects": costs.defects},
        "confidence": bars.confidence,
        "chosen_by": {"ok": good, "ng": bad},
        "unreadable": list(found.unreadable),
        "thresholds": [
            {"key": dial.key, "now": dial.now, "proposed": threshold}
            for dial, threshold in zip(found.panel.dials, found.thresholds, strict=True)
        ],
        "now": _proved_json(found.now, bars),
        "proposed": _proved_json(found.then, bars),
        "notes": list(found.panel.notes),
        "rules": yaml_rules(found),
    }


def _proved_json(proved: Proved, bars: Bars) -> dict[str, Any]:
    def rate(one: Rate, bar: float) -> dict[str, Any]:
        return {
            "found": one.found,
            "of": one.total,
            "at_least": one.low,
            "at_most": one.high,
            "bar": bar,
            "more_to_prove": one.more,
        }

    return {
        "escapes": rate(proved.escapes, bars.escapes),
        "overkills": rate(proved.overkills, bars.overkills),
        "not_judged": proved.unread,
        "cost_of_1000_parts": 1000 * proved.cost,
    }


def proposal_lines(name: str, recipe: Path, found: Proposal, costs: Costs, bars: Bars) -> Iterator[str]:
    """Yield it as lines for people."""
    good, bad = found.chosen_by
    now, then = found.now, found.then
    yield (
        f"{name}: {good + bad + now.escapes.total + now.overkills.total} pictures; {good} ok and {bad} ng chose, "
        f"{now.overkills.total} ok and {now.escapes.total} ng prove"
    )
    if count := len(found.unreadable):
        yield f"{count} could not be judged, and {'is' if count == 1 else 'are'} left out: {found.unreadable[0]}"
    yield (
        f"an escape costs {costs.escape:g}, an overkill {costs.overkill:g}; {_percent(costs.defects)} of all parts "
        "have a defect (--defects)"
    )
    yield from found.panel.notes
    yield ""
    keys = [dial.key if found.panel.rules else "the bundle's threshold" for dial in found.panel.dials]
    width = max(len("threshold of"), *map(len, keys))
    yield f"  {'threshold of':<{width}}  {'now':>8}  {'proposed':>8}"
    for key, dial, threshold in zip(keys, found.panel.dials, found.thresholds, strict=True):
        yield f"  {key:<{width}}  {dial.now:>8.6g}  {threshold:>8.6g}"
    yield ""
    heads = ("", "escapes", "overkills", "not judged", "1,000 parts cost")
    rows = [heads, *((word, *_cells(one)) for word, one in (("now", now), ("proposed", then)))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        yield "  " + "  ".join(f"{cell:<{size}}" for cell, size in zip(row, widths, strict=True)).rstrip()
    yield ""
    yield f"Bounds hold with {_percent(bars.confidence)} confidence, on pictures that chose nothing."
    yield _to_prove(then.escapes, bars.escapes, "escapes", "defective")
    yield _to_prove(then.overkills, bars.overkills, "overkills", "good")
    yield ""
    yield f"In {recipe}, stations.{name}:"
    yield from (f"  {line}" for line in yaml_rules(found).splitlines())


def _cells(one: Proved) -> tuple[str, ...]:
    def rate(found: Rate) -> str:
        share = found.found / max(found.total, 1)
        return f"{found.found} of {found.total}: {_percent(share)}, at most {_percent(found.high)}"

    return rate(one.escapes), rate(one.overkills), str(one.unread), f"{1000 * one.cost:,.1f}"


def _to_prove(rate: Rate, bar: float, what: str, kind: str) -> str:
    if rate.more == 0:
        return f"At most {_percent(bar)} {what} is proved."
    if rate.more is None:
        return f"At most {_percent(bar)} {what} cannot be proved by any number of pictures."
    more = f"{rate.more:,} more {kind} parts without one would prove it"
    seen = rate.found / max(rate.total, 1)
    if seen > bar:
        return f"At most {_percent(bar)} {what} is not what was seen ({_percent(seen)}); {more}."
    return f"At most {_percent(bar)} {what} is not proved yet: {more}."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def yaml_rules(found: Proposal) -> str:
    """Return what to write into the recipe: the rules that change, with only the keys that do where there are more."""
    lines = ["rules:"]
    for dial, threshold in zip(found.panel.dials, found.thresholds, strict=True):
        key = "score" if dial.rule.anomaly is None else "anomaly"
        classes = f"classes: [{', '.join(dial.rule.classes)}], " if dial.rule.classes else ""
        if found.panel.rules:
            lines.append(f"  {dial.name}: {{..., {key}: {threshold:g}}}")
        else:
            lines.append(f"  {dial.name}: {{{classes}{key}: {threshold:g}}}")
    return "\n".join(lines)

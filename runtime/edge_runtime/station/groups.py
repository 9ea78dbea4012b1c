"""Stations that are judged by one bundle share its engine: from a recipe to the runs that there are to be."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle.bundle import read_bundle
from edge_runtime.bundle.facts import ModelFacts
from edge_runtime.bundle.postprocess_spec import Detect
from edge_runtime.errors import UsageError
from edge_runtime.inspect.health.limits import read_limits
from edge_runtime.inspect.health.settings import HealthSettings
from edge_runtime.inspect.settings import EngineSettings, RunSettings
from edge_runtime.inspect.sinks.base import OutputSettings, Sink
from edge_runtime.inspect.sources.base import Source
from edge_runtime.inspect.sources.open import looks_like_source, looks_live
from edge_runtime.inspect.sources.options import DroppedOptions, StreamOptions
from edge_runtime.inspect.stop import Stop
from edge_runtime.inspect.suffixes import WATCHED
from edge_runtime.results import Judge
from edge_runtime.station.figures import Figures
from edge_runtime.station.recipe.recipe import Recipe, Station
from edge_runtime.station.rules.against import Floor
from edge_runtime.station.rules.held import floor_for, with_floor
from edge_runtime.station.sink import Shared, StationSink
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.open import triggered, waiting_bytes
from edge_runtime.station.updates.probation import trial_of
from edge_runtime.station.view.gate import Gate
from edge_runtime.station.view.proof import read_proof
from edge_runtime.station.view.source import ViewedSource
from edge_runtime.station.view.view import View
from edge_runtime.store.reading import known_events
from edge_runtime.vision.settings import Settings

_STORE_BYTES = 24 << 20  # SQLite, threads, records that wait, pictures on their way to the disk
__all__ = ["Group", "SettingsFor", "counted", "engine_floor", "groups_of", "health_of", "source_text", "view_of"]

# How a bundle is run on this machine for these sources: what the command line says of the machine is in it.
SettingsFor = Callable[[Path, Sequence[str]], RunSettings]


@dataclass(frozen=True)
class Group:
    """The stations of one bundle, by name, with the settings of their run.

    `views`: of each how its pictures are looked at, None where they are judged as they are.
    """

    stations: tuple[tuple[str, Station], ...]
    settings: RunSettings
    views: tuple[View | None, ...]

    def around(self, shared: Shared, stop: Stop, say: Callable[[str], None]) -> Callable[[int, Source], Source]:
        """Return what puts what a station wants around its source, the Nth."""

        def wrapped(number: int, source: Source) -> Source:
            name, station = self.stations[number]
            heard = shared.pulse.beneath(name, source)
            parts = triggered(heard, station.trigger, Line(name, stop, say, shared.awaited[name]))
            view = self.views[number]
            return shared.pulse.above(name, parts if view is None else ViewedSource(parts, view))

        return wrapped

    def open_sinks(self, shared: Shared, figures: dict[str, Figures]) -> OpenStationSinks:
        """Return what opens the sinks of the run."""
        return OpenStationSinks(self, shared, figures)


@dataclass(frozen=True)
class OpenStationSinks:
    """Opens each source's sink (pipeline.OpenSinks): sources come in the order of the group's stations."""

    group: Group
    shared: Shared
    figures: dict[str, Figures]

    def __call__(
        self, engine: Judge, sources: Sequence[tuple[str, Source]], stop: Stop, cleanup: contextlib.ExitStack
    ) -> tuple[list[list[Sink]], list[tuple[str, Path]]]:
        """Return one sink for each."""
        sinks: list[list[Sink]] = []
        everything = self.group.settings.engine.everything
        for (name, station), (_, source) in zip(self.group.stations, sources, strict=True):
            live = source.kind == "live"
            figures, facts = self.figures[name], engine.manifest
            sinks.append([StationSink(name, station, live, self.shared, figures, facts, everything)])
        return sinks, []


def groups_of(recipe: Recipe, folder: Path, settings_for: SettingsFor) -> list[Group]:
    """Return the groups of a recipe; `folder` is what sources are relative to. Raises what `settings_for` raises."""
    # One engine for what is asked the same of one bundle: a rule's lower score is no matter of stations without it.
    by_engine: dict[tuple[Path, Floor], list[tuple[str, Station]]] = {}
    for name, station in recipe.stations.items():
        floor = dataclasses.replace(engine_floor(station), everything=False)
        by_engine.setdefault((station.bundle.resolve(), floor), []).append((name, station))
    groups: list[Group] = []
    for (bundle, floor), stations in by_engine.items():
        settings = settings_for(bundle, [source_text(station, folder) for _, station in stations])
        floor = dataclasses.replace(floor, everything=any(engine_floor(station).everything for _, station in stations))
        engine = _on_probation(with_floor(settings.engine, floor), bundle)
        settings = dataclasses.replace(settings, engine=engine)
        views = tuple(view_of(settings.engine, name, station) for name, station in stations)
        settings = _with_sources(_with_health(settings, stations), stations, recipe.store.path)
        settings = _beside_the_store(settings, stations, sum(view.bytes for view in views if view is not None))
        inputs = dataclasses.replace(settings.inputs, whole=any(view is not None for view in views))
        groups.append(Group(tuple(stations), dataclasses.replace(settings, inputs=inputs), views))
    if len(groups) > 1 and groups[0].settings.engine.options.memory_limit is not None:
        bundles = len({bundle for bundle, _ in by_engine})
        raise UsageError(
            f"a memory limit is planned for one bundle; the stations have {bundles}: run each by itself"
            if bundles > 1
            else f"a memory limit is planned for one bundle that is asked one thing; scores and sizes in the rules of "
            f"the stations ask it {len(groups)}: run each by itself"
        )
    return groups


def _on_probation(engine: EngineSettings, bundle: Path) -> EngineSettings:
    """What is on probation is not kept as the newest that ran: the one before may have to run again."""
    trial = trial_of(bundle)
    if trial is None:
        return engine
    older = engine.trust.allow_downgrade or trial.downgrade
    return dataclasses.replace(engine, trust=dataclasses.replace(engine.trust, note=False, allow_downgrade=older))


def engine_floor(station: Station) -> Floor:
    """Return what the engine of a station returns: what its rules ask for, and what its gate does.

    Raises BundleError where it needs the bundle.
    """
    floor = floor_for(station)
    if station.gate is None:
        return floor
    facts = read_bundle(station.bundle, check_hashes=False).manifest
    if not isinstance(facts.postprocess, Detect):
        return floor
    counts = facts.thresholds.confidence if floor.confidence is None else floor.confidence
    margin = station.gate.margin if station.gate.unchanged else 0.0
    lower = min(counts - margin, counts if station.gate.scout is None else station.gate.scout)
    return dataclasses.replace(floor, confidence=max(lower, 0.0), everything=True)


def view_of(engine: EngineSettings, name: str, station: Station) -> View | None:
    """Return how a station looks at its pictures. Raises UsageError for what this bundle cannot do."""
    if not station.view:
        return None
    try:
        bundle = read_bundle(engine.bundle, check_hashes=False)
        settings = counted(station, bundle.manifest, engine)
        gate = None
        if station.gate is not None:
            if engine.options.memory_limit is not None:
                raise UsageError("a gate keeps the last picture, for which no memory limit plans; leave one out")
            proof = read_proof(bundle.sha256, station.view, station.gate)
            noise = proof.noise if station.gate.unchanged else None
            gate = Gate(station.gate, noise, bundle.manifest, settings.confidence)
        return View(station.view, bundle.manifest, settings, gate)
    except UsageError as error:
        raise UsageError(f"station {name}: {error}") from error


def counted(station: Station, facts: ModelFacts, engine: EngineSettings) -> Settings:
    """Return what of an engine's answers counts for a station: its gate's look at the whole sees more."""
    return Settings.of(
        facts,
        floor_for(station).confidence,
        engine.iou,
        engine.max_det,
        engine.classes,
        engine.everything,
        engine.min_area,
    )


def _with_health(settings: RunSettings, stations: Sequence[tuple[str, Station]]) -> RunSettings:
    """Each station's pictures are held against what it learnt. Raises UsageError for a file that holds no limits."""
    sources = [
        dataclasses.replace(source, health=health_of(station))
        for source, (_, station) in zip(settings.inputs.sources, stations, strict=True)
    ]
    return dataclasses.replace(settings, inputs=dataclasses.replace(settings.inputs, sources=tuple(sources)))


def health_of(station: Station) -> HealthSettings:
    """Return which of its pictures are not judged. Raises UsageError for a file that holds no limits.

    White and black films are as little to be OK as cameras are. But a film's empty belt may be of one colour, and where
    presence finds the parts, nothing is said of it.
    """
    if station.health is not None:
        return HealthSettings(True, station.frozen, read_limits(station.health))
    present = station.trigger is not None and station.trigger.presence is not None
    return HealthSettings(None if present else True, station.frozen)


def _with_sources(settings: RunSettings, stations: Sequence[tuple[str, Station]], store: Path) -> RunSettings:
    """Watched folders know which files have a verdict in the store; streams come as the recipe says."""
    sources = [
        dataclasses.replace(source, dropped=_dropped(name, station, store))
        if source.text.startswith(WATCHED)
        else dataclasses.replace(source, stream=StreamOptions(station.stream.transport, station.stream.hardware))
        for source, (name, station) in zip(settings.inputs.sources, stations, strict=True)
    ]
    return dataclasses.replace(settings, inputs=dataclasses.replace(settings.inputs, sources=tuple(sources)))


def _dropped(name: str, station: Station, store: Path) -> DroppedOptions:
    watch = station.watch
    known = functools.partial(known_events, store)
    return DroppedOptions(watch.settle, watch.whole_within, watch.order, watch.done, name, known)


def _beside_the_store(settings: RunSettings, stations: Sequence[tuple[str, Station]], looking: int = 0) -> RunSettings:
    """Nothing is written but into the store; of a memory limit, leave that what it takes, and pictures that wait.

    `looking`: bytes that it takes to find where to look.
    """
    waiting = sum(waiting_bytes(station.trigger) for _, station in stations)
    options = dataclasses.replace(settings.engine.options, reserve_bytes=_STORE_BYTES + waiting + looking)
    engine = dataclasses.replace(settings.engine, options=options)
    return dataclasses.replace(settings, engine=engine, output=OutputSettings())


def source_text(station: Station, folder: Path) -> str:
    """Return what is opened: paths are the recipe's, cameras and URLs are what they are. It may hold a password."""
    text = station.source.reveal()
    if text.startswith(WATCHED):
        return f"{WATCHED}{folder / Path(text.removeprefix(WATCHED)).expanduser()}"
    plain = looks_live(text) or ("://" in text and looks_like_source(text))
    return text if plain else str(folder / Path(text).expanduser())

"""A run from its settings: who opens what, in which order, and that everything is closed when something cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import EdgelineError, MemoryLimitError, OutputError, SourceError
from edge_runtime.inspect import opening, pipeline
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ng
from edge_runtime.inspect.pipeline import run_pipeline
from edge_runtime.inspect.settings import BatchSettings, EngineSettings, InputSettings, RunSettings, SourceSettings
from edge_runtime.inspect.sinks import FakeSink, OutputSettings
from edge_runtime.inspect.sinks import open as sinks
from edge_runtime.inspect.sinks.base import Opened, Target
from edge_runtime.inspect.sources import FakeSource, open_source
from edge_runtime.inspect.sources import open as sources
from edge_runtime.inspect.sources.open import SourceRow
from edge_runtime.inspect.stop import Stop
from edge_runtime.opening.options import OpenOptions
from edge_runtime.ort.session import SessionOptions

PICTURE = np.zeros((8, 8, 3), np.uint8)


class World:
    """Fake sources, engine and sink; keeps the order in which they were opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.sources: list[FakeSource] = []
        self.engine = FakeEngine([fake_ng()])
        self.sink = FakeSink()
        self.failing = ""
        monkeypatch.setattr(pipeline, "open_source", self.open_source)
        monkeypatch.setattr(opening, "open_bundle", self.open_bundle)
        monkeypatch.setattr(sinks, "SINKS", (self.open_sink,))

    def open_source(self, text: str, *_more: object) -> FakeSource:
        self._open(text, SourceError("no such camera"))
        self.sources.append(FakeSource([PICTURE] * 3, text))
        return self.sources[-1]

    def open_bundle(self, path: Path, **_settings: Any) -> FakeEngine:
        self._open("engine", MemoryLimitError("too small"))
        return self.engine

    def open_sink(self, target: Target) -> Opened:
        self._open(f"sink of {target.name}", OutputError("disk full"))
        return Opened(self.sink)

    def _open(self, what: str, error: EdgelineError) -> None:
        self.order.append(what)
        if what == self.failing:
            raise error


class Silent:
    def __call__(self, what: str, done: int, total: int) -> None:
        """Nobody looks."""

    def end(self) -> None:
        """Nobody looks."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def settings(*texts: str, limit: int | None = None, lanes: int = 1) -> RunSettings:
    engine = EngineSettings(Path("my.edge"), OpenOptions(SessionOptions("cpu", 1, lanes), limit))
    return RunSettings(engine, InputSettings(tuple(SourceSettings(text) for text in texts)), BatchSettings(batch=1))


@pytest.mark.parametrize(
    ("made", "order"),
    [
        (settings("0"), ["engine", "0", "sink of 0"]),  # what a camera gives while the model is loaded is not dropped
        (settings("a"), ["a", "engine", "sink of a"]),  # a film's first frames are decoded meanwhile
        (settings("a", limit=1 << 30), ["a", "engine", "sink of a"]),  # frames are counted within a limit
        (settings("a", "b"), ["a", "b", "engine", "sink of a", "sink of b"]),
        (settings("a", lanes=2), ["a", "engine", "sink of a"]),
    ],
)
def test_everything_is_opened_once_used_and_closed(world: World, made: RunSettings, order: list[str]) -> None:
    stop = Stop()
    summary = run_pipeline(made, stop, Silent())
    assert world.order == order
    assert summary.verdicts == {"NG": 3 * len(world.sources)}
    assert all(source.closed for source in world.sources)
    assert world.engine.closed
    assert world.sink.closed == len(world.sources)
    assert (stop.signal, stop.exit_code) == (0, 0)


@pytest.mark.parametrize("limit", [None, 1 << 30])
@pytest.mark.parametrize("texts", [("a",), ("a", "b")])
@pytest.mark.parametrize("failing", ["a", "engine", "sink of a"])
def test_what_was_opened_is_closed_when_the_next_cannot_be(
    world: World, failing: str, texts: tuple[str, ...], limit: int | None
) -> None:
    world.failing = failing
    with pytest.raises(EdgelineError):
        run_pipeline(settings(*texts, limit=limit), Stop(), Silent())
    assert all(source.closed for source in world.sources)
    assert world.engine.closed == ("engine" in world.order and failing != "engine")
    assert world.engine.batches[4 * (len(texts) - 1) :] == []  # but for what batches cost


def test_the_summary_is_written_when_a_run_ends_and_not_when_none_began(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run_pipeline(settings("a"), Stop(), Silent())
    assert capsys.readouterr().out.startswith("3 frames")
    world.failing = "engine"
    with pytest.raises(MemoryLimitError):
        run_pipeline(settings("a"), Stop(), Silent())
    assert capsys.readouterr().out == ""


def test_a_new_kind_of_source_is_a_row_of_one_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_pattern_generator(text: str, options: object, stop: Callable[[], bool]) -> FakeSource:
        return FakeSource([PICTURE], text)

    row = SourceRow(lambda text: text.startswith("pattern:"), open_pattern_generator, live=True, plain=True)
    monkeypatch.setattr(sources, "SOURCES", (row, *sources.SOURCES))
    assert open_source("pattern:bars").name == "pattern:bars"
    assert sources.looks_live("pattern:bars")
    assert sources.looks_like_source("pattern:bars")


def test_a_new_sink_is_a_row_of_one_table(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def open_second(target: Target) -> Opened | None:
        return Opened(second, "figures", target.folder() / "figures.csv") if target.settings.pictures else None

    second = FakeSink()
    monkeypatch.setattr(sinks, "SINKS", (*sinks.SINKS, open_second))
    asked = OutputSettings(pictures=True, folder=tmp_path / "out")
    made = settings("a")
    summary = run_pipeline(RunSettings(made.engine, made.inputs, output=asked), Stop(), Silent())
    assert len(second.records) == len(world.sink.records) == 3
    assert summary.saved == [("figures", tmp_path / "out" / "figures.csv")]

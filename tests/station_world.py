"""Stations on fake sources and a fake engine: everything else is real."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.inspect import opening, pipeline
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ng, fake_ok
from edge_runtime.inspect.settings import BatchSettings, EngineSettings, InputSettings, RunSettings, SourceSettings
from edge_runtime.inspect.sources import FakeSource, SourceKind
from edge_runtime.inspect.stop import Stop
from edge_runtime.opening.options import OpenOptions
from edge_runtime.ort.session import SessionOptions
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.run import run_stations
from edge_runtime.station.service.notify import Service
from edge_runtime.station.service.supervise import Reloading

__all__ = ["PICTURE", "StationWorld"]

PICTURE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


class _Silent:
    def __call__(self, what: str, done: int, total: int) -> None:
        """Nobody looks."""

    def end(self) -> None:
        """Nobody looks."""


class StationWorld:
    """Runs recipes in `folder`: each source gives `pictures` (a str: an unread frame), every second one is NG."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.pictures: Sequence[Any] = [PICTURE] * 3
        self.kind: SourceKind = "image"
        self.fps: float | None = None
        self.limit: int | None = None
        self.engines: dict[str, FakeEngine] = {}
        self.opened: list[str] = []
        self.said: list[str] = []
        self.stop = Stop()
        self.on_source: Callable[[str], None] = lambda text: None
        monkeypatch.setattr(pipeline, "open_source", self._open_source)
        monkeypatch.setattr(opening, "open_bundle", self._open_bundle)

    def run(
        self, recipe: str, service: Service | None = None, reloading: Reloading | None = None, **environment: str
    ) -> None:
        """Run a recipe to its end."""
        file = self.folder / "station.yaml"
        file.write_text(recipe)
        self.stop = Stop()
        run_stations(
            read_recipe(file, environment),
            self._settings_for,
            self.stop,
            _Silent(),
            self.said.append,
            service,
            reloading,
        )

    def lines(self, name: str = "verdicts.jsonl") -> list[dict[str, Any]]:
        """The lines of a file of the folder."""
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def _settings_for(self, bundle: Path, texts: Sequence[str]) -> RunSettings:
        engine = EngineSettings(bundle, OpenOptions(SessionOptions("cpu", 1), self.limit))
        return RunSettings(engine, InputSettings(tuple(map(SourceSettings, texts))), BatchSettings(batch=1))

    def _open_source(self, text: str, *_more: object) -> FakeSource:
        self.opened.append(text)
        self.on_source(text)
        return FakeSource(self.pictures, Path(text).name, self.kind, self.fps)

    def _open_bundle(self, path: Path, **_settings: Any) -> FakeEngine:
        return self.engines.setdefault(path.name, FakeEngine([fake_ok(), fake_ng()]))

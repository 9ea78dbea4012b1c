"""A picture that is not fit to be judged is NO_READ with its reason, never reaches the model, and can still be seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.inspect import opening, pipeline
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ok
from edge_runtime.inspect.health.settings import HealthSettings
from edge_runtime.inspect.health.source import WatchedSource
from edge_runtime.inspect.health.watch import Watch
from edge_runtime.inspect.pipeline import run_pipeline
from edge_runtime.inspect.settings import BatchSettings, EngineSettings, InputSettings, RunSettings, SourceSettings
from edge_runtime.inspect.sinks import FakeSink, OutputSettings
from edge_runtime.inspect.sinks import open as sinks
from edge_runtime.inspect.sinks.base import Opened
from edge_runtime.inspect.sources import FakeSource, Frame, SourceKind
from edge_runtime.inspect.stop import Stop
from edge_runtime.opening.options import OpenOptions
from edge_runtime.ort.session import SessionOptions

GOOD = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
BLACK, GRAY, WHITE = (np.full((48, 64, 3), level, np.uint8) for level in (0, 128, 255))
SCRIPT = [GOOD, BLACK, GRAY, WHITE, GOOD]


class Silent:
    def __call__(self, what: str, done: int, total: int) -> None:
        """Nobody looks."""

    def end(self) -> None:
        """Nobody looks."""


def verdicts(
    monkeypatch: pytest.MonkeyPatch,
    kind: SourceKind,
    health: HealthSettings,
    text: str = "rtsp://cam",
    lanes: int = 1,
    realtime: bool = False,
) -> list[tuple[str, list[str]]]:
    """Run a source through the whole pipeline; returns what its records say."""
    sink, engine = FakeSink(), FakeEngine([fake_ok()])
    monkeypatch.setattr(pipeline, "open_source", lambda *_: FakeSource(SCRIPT, "camera", kind, fps=1000.0))
    monkeypatch.setattr(opening, "open_bundle", lambda *_, **__: engine)
    monkeypatch.setattr(sinks, "SINKS", (lambda _: Opened(sink),))
    made = RunSettings(
        EngineSettings(Path("my.edge"), OpenOptions(SessionOptions("cpu", 1, lanes), None)),
        InputSettings((SourceSettings(text),), health=health, realtime=realtime),
        BatchSettings(batch=1),
    )
    run_pipeline(made, Stop(), Silent())
    return [(record["verdict"], record["reasons"]) for record in sink.records]


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_camera_that_shows_nothing_is_no_read(monkeypatch: pytest.MonkeyPatch, lanes: int) -> None:
    found = verdicts(monkeypatch, "live", HealthSettings(), lanes=lanes)
    told = [(verdict, reasons[0].split(" (")[0] if reasons else "") for verdict, reasons in found]
    dark = [("NO_READ", "black: level 0"), ("NO_READ", "uniform: gray 128"), ("NO_READ", "white: level 255")]
    if lanes == 1:
        assert told == [("OK", ""), *dark, ("OK", "")]
    else:  # of a live source the newest wins: a good frame may be dropped, a bad one is always told
        assert [one for one in told if one[0] == "NO_READ"] == dark


@pytest.mark.parametrize("kind", ["image", "video"])
def test_files_are_judged_as_they_are_where_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, kind: SourceKind) -> None:
    assert [verdict for verdict, _ in verdicts(monkeypatch, kind, HealthSettings(), "a")] == ["OK"] * 5
    asked = verdicts(monkeypatch, kind, HealthSettings(on=True), "a")
    assert [verdict for verdict, _ in asked] == ["OK", "NO_READ", "NO_READ", "NO_READ", "OK"]


def test_nothing_is_looked_for_when_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [verdict for verdict, _ in verdicts(monkeypatch, "live", HealthSettings(on=False))] == ["OK"] * 5


class Repeating(FakeSource):
    """The same picture, a second apart."""

    def __iter__(self) -> Iterator[Frame]:
        for number in range(40):
            yield Frame(self.name, number, f"{number}", image=GOOD, taken_s=100.0 + number)


@pytest.mark.parametrize(("text", "asked", "first"), [("0", None, 10), ("rtsp://cam", None, 0), ("rtsp://cam", 30, 30)])
def test_a_camera_of_this_machine_never_repeats_itself_and_a_stream_may(
    text: str, asked: float | None, first: int
) -> None:
    feed = pipeline.watched(Repeating([], "camera", "live"), True, text, HealthSettings(frozen_seconds=asked))
    frozen = [frame.frame_id for frame in feed if frame.error is not None]
    assert frozen[:1] == ([first] if first else [])


def test_the_picture_of_a_refused_frame_is_kept_to_be_seen() -> None:
    source = FakeSource([GOOD, GRAY], "camera", "live")
    good, gray = WatchedSource(source, Watch().finding)
    assert good.image is GOOD
    assert good.shown is GOOD
    assert (gray.image, gray.error) == (None, "uniform: gray 128 (spread 0.0)")
    assert gray.shown is GRAY


def test_a_frame_that_could_not_be_read_passes_as_it_is() -> None:
    (frame,) = WatchedSource(FakeSource(["cannot decode"], "camera", "live"), Watch().finding)
    assert (frame.error, frame.shown) == ("cannot decode", None)


def test_a_frame_with_an_unfit_picture_says_why() -> None:
    with pytest.raises(ValueError, match="unfit says why"):
        dataclasses.replace(Frame("a", 0, "a", image=GOOD), unfit=GOOD)


def test_the_refused_picture_is_saved_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pipeline, "open_source", lambda *_: FakeSource([np.full((240, 320, 3), 128, np.uint8)], "a"))
    monkeypatch.setattr(opening, "open_bundle", lambda *_, **__: FakeEngine())
    made = RunSettings(
        EngineSettings(Path("my.edge"), OpenOptions(SessionOptions("cpu", 1, 1), None)),
        InputSettings((SourceSettings("a"),), health=HealthSettings(on=True)),
        output=OutputSettings(pictures=True, folder=tmp_path / "out"),
    )
    run_pipeline(made, Stop(), Silent())
    (saved,) = (tmp_path / "out").iterdir()
    picture = cv2.imread(str(saved))
    assert (np.abs(picture.astype(int) - 128) <= 3).all(axis=2).mean() > 0.5
    assert np.ptp(picture) > 100  # NO READ is written over it

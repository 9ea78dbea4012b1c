"""From the flags to the settings of each stage."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from edge_runtime.cli.flags import Flags, asked_of, run_settings
from edge_runtime.cli.run import edge_run
from edge_runtime.errors import UsageError
from edge_runtime.inspect.settings import RunSettings, SourceSettings
from edge_runtime.inspect.sinks import OutputSettings
from edge_runtime.tune.standing import stand


def flags(*arguments: str) -> Flags:
    return Flags(edge_run.make_context("edge-run", list(arguments)).params)


def settings(*arguments: str) -> RunSettings:
    found = flags(*arguments)
    texts = found.texts("source")
    return run_settings(found, Path("my.edge"), texts, stand("f" * 64, asked_of(found, texts)))


def test_a_flag_is_asked_for_by_the_type_that_it_has() -> None:
    found = flags("my.edge", "--source", "a", "--source", "b", "--threads", "3", "--save")
    assert found.texts("arguments") == ("my.edge",)
    assert found.texts("source") == ("a", "b")
    assert found.find("threads", int) == 3
    assert found.find("batch", int) is None
    assert (found.on("save"), found.on("save_txt")) == (True, False)
    with pytest.raises(TypeError, match="threads is 3, no str"):
        found.get("threads", str)
    with pytest.raises(TypeError):
        found.on("batch")


def test_nothing_said_is_one_source_in_turn() -> None:
    found = settings("--source", "a")
    assert found.inputs.sources == (SourceSettings("a", "normal", math.inf),)
    assert not found.timed
    assert not found.served
    assert found.engine.options.memory_limit is None
    assert found.heading[0].startswith("device: ")


@pytest.mark.parametrize(
    ("arguments", "timed", "served"),
    [
        (("--source", "b"), True, True),
        (("--deadline-ms", "40"), True, True),
        (("--priority", "normal"), True, True),
        (("--explain-batching", "why.jsonl"), True, True),
        (("--lanes", "2"), False, True),
        (("--lanes", "2", "--memory-limit", "1GB"), False, False),
        (("--batch", "4"), False, False),
    ],
)
def test_several_sources_deadlines_and_lanes_are_served(arguments: tuple[str, ...], timed: bool, served: bool) -> None:
    found = settings("--source", "a", *arguments)
    assert (found.timed, found.served) == (timed, served)


def test_each_source_has_its_own_priority_and_deadline() -> None:
    found = settings("--source", "a", "--source", "b", "--priority", "urgent,background", "--deadline-ms", "40")
    assert found.inputs.sources == (SourceSettings("a", "urgent", 40.0), SourceSettings("b", "background", 40.0))
    with pytest.raises(UsageError, match="--deadline-ms has 2 values for 1 sources"):
        settings("--source", "a", "--deadline-ms", "1,2")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--json", "--headless"), OutputSettings(lines="json")),
        (("--no-json",), OutputSettings(lines="words", window=True)),
        (("--json", "--output", "o"), OutputSettings(True, folder=Path("o"), lines="json", window=True)),
        (("--json", "--output", "o", "--save-txt"), OutputSettings(False, True, False, Path("o"), "json", True)),
        (("--json", "--save", "--save-crop"), OutputSettings(True, False, True, None, "json", True)),
    ],
)
def test_what_is_written_and_shown(arguments: tuple[str, ...], expected: OutputSettings) -> None:
    assert settings("--source", "a", *arguments).output == expected


def test_a_camera_wants_its_verdict_soon_and_files_want_many() -> None:
    for arguments, goal in (
        (("--source", "0"), "latency"),
        (("--source", "rtsp://cam/1"), "latency"),
        (("--source", "v.mp4", "--realtime"), "latency"),
        (("--source", "v.mp4"), "throughput"),
        (("--source", "0", "--source", "1"), "throughput"),
        ((), "latency"),
    ):
        found = flags(*arguments)
        assert asked_of(found, found.texts("source")).goal == goal

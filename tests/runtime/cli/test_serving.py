"""edge-run with several sources: flags, records, summary, exit codes, with an engine that has no model."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_bundle import make_bundle

from edge_runtime.cli import run as cli
from edge_runtime.cli.console import run_command
from edge_runtime.cli.flags import deadlines_of, priorities_of
from edge_runtime.errors import MemoryLimitError, UsageError
from edge_runtime.inspect import opening, room
from edge_runtime.inspect.fake_engine import FakeEngine, fake_ng, fake_ok


class Opened:
    """Stands in for open_bundle: remembers its calls, answers with an engine; refuses batches as a limit may."""

    def __init__(self) -> None:
        self.engine = FakeEngine([fake_ok(), fake_ng()])
        self.calls: list[dict[str, Any]] = []
        self.fits: Callable[[int], bool] = lambda batch: True

    def __call__(self, path: Path, **settings: Any) -> FakeEngine:
        self.calls.append(settings)
        if not self.fits(settings["batch"]):
            raise MemoryLimitError("too small")
        return self.engine


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    stand_in = Opened()
    monkeypatch.setattr(opening, "open_bundle", stand_in)
    monkeypatch.setattr(cli, "bundle_sha256", lambda path: "f" * 64)
    monkeypatch.chdir(tmp_path)
    for name, count in (("a", 3), ("b", 5)):
        (tmp_path / name).mkdir()
        for number in range(count):
            cv2.imwrite(str(tmp_path / name / f"{name}{number}.png"), np.full((48, 64, 3), number, np.uint8))
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 500, (64, 48))
    for _ in range(6):
        writer.write(np.full((48, 64, 3), 200, np.uint8))
    writer.release()
    return stand_in


def edge_run(*args: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command(cli.edge_run, "edge-run", ["my.edge", *map(str, args)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def by_source(output: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in output.splitlines():
        record = json.loads(line)
        found.setdefault(record["source"], []).append(record)
    return found


def test_every_source_keeps_its_order_and_has_its_line_in_the_summary(
    opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("--source", "a", "--source", "b", "--source", "v.mp4") == 0
    output = capsys.readouterr()
    found = by_source(output.out)
    assert {name: len(records) for name, records in found.items()} == {"a": 3, "b": 5, "v.mp4": 6}
    for records in found.values():
        assert [record["frame_id"] for record in records] == list(range(len(records)))
        assert all(record["late"] is False and record["latency_ms"] > 0 for record in records)
    assert output.err.startswith("14 frames")
    assert [line.split()[0] for line in output.err.splitlines() if line.startswith("  ")] == ["a", "b", "v.mp4"]
    assert opened.engine.closed


def test_readable_lines_name_the_source(opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("--source", "a", "--source", "v.mp4", "--no-json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fake 1 (int8 100 %) on 2 sources"
    assert any(line.startswith("image 1/3 a0.png: ") for line in lines)
    assert any(line.startswith("frame 6 v.mp4: ") for line in lines)


def test_the_same_source_twice_is_two_sources(opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("--source", "a", "--source", "a") == 0
    assert {name: len(records) for name, records in by_source(capsys.readouterr().out).items()} == {"a": 3, "a (2)": 3}


def test_one_source_on_several_lanes_looks_as_it_does_on_one(
    opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for flags in ((), ("--lanes", "2")):
        opened.engine = FakeEngine([fake_ok()], lanes=2)
        assert edge_run("--source", "b", *flags) == 0
        output = capsys.readouterr()
        records = [json.loads(line) for line in output.out.splitlines()]
        for record in records:
            for changing in ("event_id", "ts_utc", "timing_ms"):
                del record[changing]
        outputs.append(records)
        assert [line.split()[0] for line in output.err.splitlines()] == ["5", "latency"]
    assert outputs[0] == outputs[1]
    assert opened.calls[1]["session"].lanes == 2


def test_a_single_source_with_a_deadline_says_whether_it_was_kept(
    opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edge_run("--source", "a", "--deadline-ms", "100000") == 0
    assert [record["late"] for record in by_source(capsys.readouterr().out)["a"]] == [False] * 3


def test_every_decision_is_a_line_of_the_file(
    opened: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--explain-batching", tmp_path / "why.jsonl", "--priority", "normal,background"]
    assert edge_run("--source", "a", "--source", "b", *flags) == 0
    lines = [json.loads(line) for line in (tmp_path / "why.jsonl").read_text().splitlines()]
    assert len({number for line in lines for number in line["run"]}) == 8
    assert all(line["why"] for line in lines)
    capsys.readouterr()
    assert edge_run("--source", "a", "--explain-batching", tmp_path / "none/why.jsonl") == 7
    assert capsys.readouterr().err.startswith("error: --explain-batching ")


def test_a_video_in_real_time_is_live(opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_run("--source", "v.mp4", "--source", "a", "--realtime") == 0
    output = capsys.readouterr()
    found = by_source(output.out)
    assert [record["frame_id"] for record in found["v.mp4"]] == sorted(r["frame_id"] for r in found["v.mp4"])
    assert found["v.mp4"][-1]["frame_id"] == 5  # the newest is always judged
    assert len(found["a"]) == 3
    assert edge_run("--source", "v.mp4", "--realtime") == 0
    assert by_source(capsys.readouterr().out)["v.mp4"][-1]["frame_id"] == 5


def test_each_source_saves_into_a_folder_of_its_own(opened: Opened, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        edge_run("--source", "a", "--source", "v.mp4", "--source", "a", "--output", "out", "--save-txt", "--save") == 0
    )
    found = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*"))
    names = [f"a{number}" for number in range(3)]
    frames = [f"v/labels/v_{number:06d}.txt" for number in range(6)]
    expected = [f"{folder}/{n}.png" for folder in ("a", "a_2") for n in names]
    expected += [f"{folder}/labels/{n}.txt" for folder in ("a", "a_2") for n in names]
    assert found == sorted([*expected, *frames, "v/v.mp4"])
    assert "saved    annotated video in out/v/v.mp4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--priority", "high"], 2, "--priority 'high' is not known; give urgent, normal, background"),
        (["--priority", "urgent,normal,normal"], 2, "--priority has 3 values for 2 sources"),
        (["--deadline-ms", "soon"], 2, "--deadline-ms 'soon'"),
        (["--deadline-ms", "0"], 2, "--deadline-ms '0'"),
        (["--deadline-ms", "1,2,3"], 2, "--deadline-ms has 3 values for 2 sources"),
        (["--source", "gone"], 5, "no such image, video or folder: gone"),
    ],
)
def test_a_mistake_is_one_line_that_helps(
    opened: Opened, capsys: pytest.CaptureFixture[str], flags: list[str], code: int, says: str
) -> None:
    assert edge_run("--source", "a", "--source", "b", *flags) == code
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert says in output.err


def test_values_are_for_all_sources_or_for_each() -> None:
    assert priorities_of(None) == ()
    assert priorities_of("Urgent, background") == ("urgent", "background")
    assert deadlines_of(None) == ()
    assert deadlines_of("40, 2.5") == (40.0, 2.5)
    for bad in ("", "nan", "inf", "-1", "1,,2"):
        with pytest.raises(UsageError):
            deadlines_of(bad)


def test_a_signal_ends_all_sources_with_the_summary(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = opened.engine.run

    def interrupted(images: Any, urgent: Any = None) -> Any:
        if len(opened.engine.batches) == 12:  # what batches cost was measured by then
            os.kill(os.getpid(), signal.SIGTERM)
        return answer(images)

    monkeypatch.setattr(opened.engine, "run", interrupted)
    for number in range(100, 400):
        Path(f"b/b{number}.png").write_bytes(Path("b/b0.png").read_bytes())
    assert edge_run("--source", "a", "--source", "b", "--batch", "1") == 143
    output = capsys.readouterr()
    count = len(output.out.splitlines())
    assert output.err.startswith(f"{count} frames")
    assert count < 300


def test_each_source_ends_after_max_frames_and_verdicts_make_the_exit_code(opened: Opened) -> None:
    assert edge_run("--source", "a", "--source", "b", "--max-frames", "1", "--exit-code") == 10
    opened.engine = FakeEngine([fake_ok()])
    Path("b/b0.png").write_bytes(b"")
    assert edge_run("--source", "a", "--source", "b", "--exit-code") == 11


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


def limited(tiny: Path, *flags: str) -> int:
    arguments = [str(tiny), "--memory-limit", "160MB", *flags]
    with pytest.raises(SystemExit) as ended:
        run_command(cli.edge_run, "edge-run", arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_within_a_limit_the_frames_of_all_sources_are_counted(opened: Opened, tiny: Path) -> None:
    assert limited(tiny, "--source", "a", "--source", "b") == 0
    size = 48 * 64 * 3
    held = 3  # of each: one runs, one waits, one comes; and one is being read
    expected = room.RUN_BYTES + 2 * (held + 1) * size + (room.FRAME_COPIES - 1) * size * 2
    assert {name: opened.calls[0][name] for name in ("batch", "reserve_bytes", "preempt")} == {
        "batch": 2,
        "reserve_bytes": expected,
        "preempt": False,
    }


def test_within_a_limit_as_many_run_together_as_fit(opened: Opened, tiny: Path) -> None:
    opened.fits = lambda batch: batch < 2
    assert limited(tiny, *["--source", "a"] * 5) == 0
    assert [call["batch"] for call in opened.calls] == [5, 2, 1]
    assert limited(tiny, "--source", "a", "--source", "b", "--batch", "3") == 12


def test_room_for_interruptions_is_kept_where_they_can_happen(opened: Opened, tiny: Path) -> None:
    flags = ["--source", "a", "--source", "b"]
    for priorities, expected in (("urgent,background", True), ("urgent,normal", False), ("background", False)):
        assert limited(tiny, *flags, "--priority", priorities) == 0
        assert opened.calls[-1]["preempt"] is expected

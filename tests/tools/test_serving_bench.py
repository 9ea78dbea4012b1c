"""The serving bench: videos that never end, and a report that counts what was dropped against the policy."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import UsageError
from edge_runtime.inspect.fake_engine import FakeEngine
from edge_tools.serving_bench import LoopedVideo, Setup, measure
from edge_tools.serving_bench.__main__ import as_table
from edge_tools.serving_bench.streams import videos_in


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for number in range(5):
        # No picture is all zeros: of those nobody can tell whether they were seen.
        writer.write(np.full((48, 64, 3), 50 * number + 10, np.uint8))
    writer.release()
    return path


def brightness(source: LoopedVideo) -> list[int]:
    return [round(float(frame.image.mean()) / 50) for frame in source if frame.image is not None]


def test_a_looped_video_begins_again_and_numbers_on(video: Path) -> None:
    source = LoopedVideo(video, "s", 12, first=3)
    assert brightness(source) == [3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
    source.close()
    assert [frame.frame_id for frame in LoopedVideo(video, "s", 7)] == list(range(7))
    assert brightness(LoopedVideo(video, "s", 3, first=99)) == [0, 1, 2]
    turns = itertools.count()
    assert len(list(LoopedVideo(video, "s", go_on=lambda: next(turns) < 8))) == 8


def test_videos_are_files_or_folders(video: Path, tmp_path: Path) -> None:
    (video.parent / "LICENSE").write_text("none")
    assert videos_in([video.parent, video]) == [video, video]
    with pytest.raises(UsageError, match="no videos in"):
        videos_in([tmp_path])


def test_the_report_has_our_policy_first_and_the_capacity_it_was_loaded_from(video: Path) -> None:
    setup = Setup((video,), streams=2, load=0.5, seconds=0.1, rounds=1, deadline_ms=400.0, largest=2)
    report = measure(FakeEngine(lanes=1), setup)  # type: ignore[arg-type]
    assert report.capacity_fps > 0
    assert report.deadline_ms == 400.0
    assert [row.name for row in report.rows][:2] == ["edgeline", "fixed 1, 0"]
    for row in report.rows:
        assert 0 <= row.in_time <= 1
        assert row.p99_met == (row.in_time >= 0.99)
        came = row.frames + row.dropped
        assert row.in_time == pytest.approx((row.frames - row.missed) / came if came else 0.0)
    lines = as_table(report).splitlines()
    assert lines[0].startswith("2 streams at 0.5 of ")
    assert lines[2].startswith("edgeline")

"""Pictures, videos, labels and crops as files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.inspect.fake_engine import fake_ng, fake_ok
from edge_runtime.inspect.sinks import CropSink, ImageSink, OutputSettings, Sink, TextSink, VideoSink
from edge_runtime.inspect.sinks.labels import crop_bounds, cut_out, yolo_line
from edge_runtime.inspect.sinks.open import open_sinks
from edge_runtime.inspect.sources import FakeSource, Frame, read_image
from edge_runtime.inspect.stop import Stop
from edge_runtime.results import Box, Mask, OrientedBox, Point, Prediction, Result

IMAGE = np.full((48, 64, 3), 200, np.uint8)
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def frame(name: str = "a.jpg", seconds: float = 0.0) -> Frame:
    path = Path(name)
    return Frame(
        "s", 0, path.stem, image=IMAGE, path=path, captured=START + timedelta(seconds=seconds), taken_s=seconds
    )


def unread(seconds: float = 0.0) -> Frame:
    return Frame("s", 0, "lost", error="lost", captured=START + timedelta(seconds=seconds), taken_s=seconds)


NO_READ = Result("NO_READ", ("lost",), ())


def video_frames(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1])
    capture.release()
    return frames


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_images_keep_their_names_and_png_stays_png(tmp_path: Path) -> None:
    sink = ImageSink(tmp_path)
    for name in ("a.png", "b.bmp", "c.JPG"):
        sink.write(frame(name), fake_ng(), {})
    sink.write(unread(), NO_READ, {})
    sink.close()
    assert files(tmp_path) == ["a.png", "b.jpg", "c.jpg"]
    assert read_image(tmp_path / "a.png").shape[1] == 64


def test_labels_are_fractions_of_the_image(tmp_path: Path) -> None:
    sink = TextSink(tmp_path / "labels")
    sink.write(frame(), fake_ng(), {})
    assert (tmp_path / "labels/a.txt").read_text() == "0 0.156250 0.333333 0.156250 0.416667 0.87500\n"


def test_an_empty_label_file_means_looked_at_and_none_means_not_read(tmp_path: Path) -> None:
    sink = TextSink(tmp_path)
    sink.write(frame(), fake_ok(), {})
    sink.write(unread(), NO_READ, {})
    sink.close()
    assert files(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == ""


def test_a_class_of_the_whole_image_is_labelled_with_the_whole_image() -> None:
    assert yolo_line(Prediction("cat", 7, 0.5), 64, 48) == "7 0.500000 0.500000 1.000000 1.000000 0.50000"


def test_labels_of_objects_are_in_ultralytics_forms() -> None:
    box = Box(10, 10, 30, 20)
    pose = Prediction("a", 1, 0.5, box, points=(Point(16, 12, 0.75), Point(32, 24)))
    line = "1 0.312500 0.312500 0.312500 0.208333 0.250000 0.250000 0.75000 0.500000 0.500000 1.00000 0.50000"
    assert yolo_line(pose, 64, 48) == line
    turned = Prediction("a", 2, 0.5, box, oriented=OrientedBox(32, 24, 16, 12, 0.0))
    corners = "0.375000 0.375000 0.625000 0.375000 0.625000 0.625000 0.375000 0.625000"
    assert yolo_line(turned, 64, 48) == f"2 {corners} 0.50000"
    square = Prediction("a", 3, 0.5, box, mask=Mask(8, 12, np.ones((13, 9), np.bool_)))
    corners = "0.125000 0.250000 0.125000 0.500000 0.250000 0.500000 0.250000 0.250000"
    assert yolo_line(square, 64, 48) == f"3 {corners} 0.50000"


@given(st.integers(0, 9999), st.sampled_from([0.05, 0.4, 0.8]))
def test_the_polygon_of_a_mask_covers_its_parts_and_no_more(seed: int, share: float) -> None:
    inside = np.zeros((48, 64), np.uint8)
    random = np.random.default_rng(seed)
    for _ in range(1 + int(share * 10)):
        x, y = random.integers(0, 60), random.integers(0, 44)
        inside[y : y + random.integers(2, 12), x : x + random.integers(2, 12)] = 1
    seen = Prediction("a", 0, 0.5, Box(0, 0, 64, 48), mask=Mask(0, 0, inside.astype(np.bool_)))
    values = np.array(yolo_line(seen, 64, 48).split()[1:-1], np.float64).reshape(-1, 2) * [64, 48]
    filled = np.zeros_like(inside)
    outer = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    wanted = cv2.drawContours(np.zeros_like(inside), outer, -1, 1, cv2.FILLED)
    cv2.fillPoly(filled, [np.rint(values).astype(np.int32)], 1)
    assert not (wanted & ~filled).any()
    # The lines that connect the parts are a pixel wide where they are drawn.
    assert cv2.contourArea(np.rint(values).astype(np.float32)) <= wanted.sum()


def test_a_mask_without_area_is_labelled_with_its_box() -> None:
    for inside in (np.zeros((4, 4), np.bool_), np.eye(1, dtype=np.bool_)):
        line = yolo_line(Prediction("a", 0, 0.5, Box(16, 12, 32, 24), mask=Mask(16, 12, inside)), 64, 48)
        corners = "0.250000 0.250000 0.500000 0.250000 0.500000 0.500000 0.250000 0.500000"
        assert line == f"0 {corners} 0.50000"


def test_a_turned_box_is_cut_out_upright() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    turned = OrientedBox(60, 50, 40, 20, 0.5)
    corners = np.rint(np.array(turned.corners()) - 0.5).astype(np.int32)
    cv2.fillPoly(image, [corners], (255, 255, 255))
    cut = cut_out(image, Prediction("a", 0, 0.5, Box(38, 30, 82, 70), oriented=turned))
    assert cut is not None
    assert cut.shape == (20, 40, 3)
    assert cut[1:-1, 1:-1].min() > 200
    wider = OrientedBox(60, 50, 60, 40, 0.5)
    around = cut_out(image, Prediction("a", 0, 0.5, Box(20, 20, 100, 80), oriented=wider))
    assert around is not None
    assert around[:8].max() == around[:, :8].max() == 0
    assert cut_out(image, Prediction("a", 0, 0.5, Box(130, 5, 140, 9), oriented=turned)) is None


def test_crops_lie_in_a_folder_for_each_class(tmp_path: Path) -> None:
    inside = Prediction("open", 0, 0.9, Box(1.2, 2.0, 10.7, 9.0))
    outside = Prediction("short", 1, 0.9, Box(70, 2, 90, 9))
    sink = CropSink(tmp_path)
    sink.write(frame(), Result("NG", (), (inside, outside, Prediction("no box", 2, 0.9))), {})
    sink.close()
    assert files(tmp_path) == ["open/a_0.jpg"]
    assert read_image(tmp_path / "open/a_0.jpg").shape == (7, 10, 3)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..", "", "a/b", "a\0b"])
def test_a_hostile_label_does_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    sink = CropSink(tmp_path / "crops")
    sink.write(frame(), Result("NG", (), (Prediction(name, 0, 0.9, Box(1, 1, 5, 5)),)), {})
    found = files(tmp_path)
    assert len(found) == 1
    assert found[0].startswith("crops/")
    assert found[0].count("/") == 2


@given(st.tuples(*[st.floats(-100, 200) for _ in range(4)]))
def test_a_crop_is_never_empty_nor_outside(corners: tuple[float, ...]) -> None:
    x1, y1, x2, y2 = corners
    bounds = crop_bounds(Prediction("a", 0, 1.0, Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))), 64, 48)
    if bounds is not None:
        left, top, right, bottom = bounds
        assert 0 <= left < right <= 64
        assert 0 <= top < bottom <= 48


def test_a_video_has_every_frame_and_no_temporary_file_stays(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out/v.mp4", 10.0)
    for _ in range(7):
        sink.write(frame(), fake_ng(), {})
    assert not (tmp_path / "out/v.mp4").exists()
    sink.close()
    sink.close()
    assert files(tmp_path) == ["out/v.mp4"]
    assert len(video_frames(tmp_path / "out/v.mp4")) == 7


def test_frames_not_read_and_of_another_size_are_in_the_video_too(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", 10.0)
    sink.write(unread(), NO_READ, {})
    sink.write(frame(), fake_ok(), {})
    sink.write(Frame("s", 1, "b", image=np.zeros((31, 33, 3), np.uint8)), fake_ok(), {})
    sink.close()
    assert len({picture.shape for picture in video_frames(tmp_path / "v.mp4")}) == 1


def test_a_live_recording_keeps_the_time_of_the_clock(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", 10.0, live=True)
    for seconds in (0.0, 0.5, 1.0):
        sink.write(frame(seconds=seconds), fake_ok(), {})
    sink.close()
    assert len(video_frames(tmp_path / "v.mp4")) == 11


def test_a_wall_clock_that_jumps_changes_nothing_in_a_live_recording(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", 10.0, live=True)
    for seconds, days in ((0.0, 0), (0.5, 30), (1.0, -1)):
        captured = START + timedelta(days=days, seconds=seconds)
        sink.write(Frame("s", 0, "a", image=IMAGE, captured=captured, taken_s=seconds), fake_ok(), {})
    sink.close()
    assert len(video_frames(tmp_path / "v.mp4")) == 11


def test_a_long_gap_does_not_fill_the_disk_with_one_picture(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", 10.0, live=True)
    sink.write(frame(), fake_ok(), {})
    sink.write(frame(seconds=1e6), fake_ok(), {})
    sink.close()
    assert len(video_frames(tmp_path / "v.mp4")) == 101


def test_a_disk_that_fills_ends_the_video_and_leaves_nothing(tmp_path: Path) -> None:
    free = iter([10**9, 1000])
    sink = VideoSink(tmp_path / "v.mp4", 10.0, free_space=lambda _: next(free))
    for _ in range(25):
        sink.write(frame(), fake_ok(), {})
    with pytest.raises(OutputError, match="no space left"):
        sink.write(frame(), fake_ok(), {})
    sink.close()
    assert files(tmp_path) == []


def test_a_video_that_lost_frames_is_refused(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "v.mp4", 10.0)
    sink.write(frame(), fake_ok(), {})
    sink._written = 50  # as if OpenCV had dropped the others without a word
    with pytest.raises(OutputError, match="1 of 50 frames"):
        sink.close()
    assert files(tmp_path) == []


def test_a_video_without_frames_is_no_file(tmp_path: Path) -> None:
    VideoSink(tmp_path / "v.mp4", 10.0).close()
    assert files(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write")
@pytest.mark.parametrize("make", [ImageSink, TextSink, CropSink, lambda p: VideoSink(p / "v.mp4", None)])
def test_a_folder_that_cannot_be_made_is_an_output_error(make: Callable[[Path], Sink]) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        make(Path("/proc/self/nothing"))


def opened(
    settings: OutputSettings, model: str, source: FakeSource, cleanup: contextlib.ExitStack
) -> tuple[list[Sink], list[tuple[str, Path]]]:
    """The sinks of a source that is alone."""
    (sinks,), saved = open_sinks(settings, model, [(source.name, source)], Stop(), cleanup)
    return sinks, saved


@pytest.fixture
def cleanup() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def test_folders_are_numbered_and_never_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cleanup: contextlib.ExitStack
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        opened(OutputSettings(labels=True), "pcb/../x", FakeSource([]), cleanup)
    assert sorted(str(path) for path in Path("runs").iterdir()) == [
        "runs/pcb_.._x",
        "runs/pcb_.._x-2",
        "runs/pcb_.._x-3",
    ]


def test_a_folder_with_files_in_it_is_refused(tmp_path: Path, cleanup: contextlib.ExitStack) -> None:
    (tmp_path / "keep.txt").touch()
    with pytest.raises(UsageError, match="nothing is overwritten"):
        opened(OutputSettings(labels=True, folder=tmp_path), "m", FakeSource([]), cleanup)
    with pytest.raises(OutputError, match="is a file"):
        opened(OutputSettings(labels=True, folder=tmp_path / "keep.txt"), "m", FakeSource([]), cleanup)


def test_pictures_of_a_video_are_a_video(tmp_path: Path, cleanup: contextlib.ExitStack) -> None:
    source = FakeSource([IMAGE], name="in/belt 1.avi", kind="video", fps=5.0)
    sinks, saved = opened(OutputSettings(pictures=True, folder=tmp_path), "m", source, cleanup)
    assert [type(sink) for sink in sinks] == [VideoSink]
    assert saved == [("annotated video", tmp_path / "belt_1.mp4")]


def test_nothing_is_made_when_nothing_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cleanup: contextlib.ExitStack
) -> None:
    monkeypatch.chdir(tmp_path)
    assert opened(OutputSettings(), "m", FakeSource([]), cleanup) == ([], [])
    assert list(tmp_path.iterdir()) == []

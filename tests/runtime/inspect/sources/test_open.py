"""What --source may be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_runtime.errors import SourceError
from edge_runtime.inspect.sources import (
    ImageSource,
    LiveOptions,
    SourceOptions,
    VideoSource,
    looks_like_source,
    open_source,
)
from edge_runtime.inspect.sources.images import safe_stem

PNG = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    for name in ("b10.png", "b2.png", "more/b1.png", "more/deep/b3.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"notes" if name.endswith(".txt") else PNG)
    return tmp_path


def names(text: str) -> list[str]:
    source = open_source(text)
    assert isinstance(source, ImageSource)
    return [frame.path.name for frame in source if frame.path is not None]


def test_a_folder_gives_its_own_images_in_natural_order(boards: Path) -> None:
    assert names(str(boards)) == ["b2.png", "b10.png"]


def test_one_image_is_a_source(boards: Path) -> None:
    assert names(str(boards / "b2.png")) == ["b2.png"]


def test_a_glob_reaches_into_subfolders(boards: Path) -> None:
    assert names(f"{boards}/**/*.png") == ["b2.png", "b10.png", "b1.png", "b3.png"]


def test_a_relative_glob_works(boards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(boards)
    assert names("b?.png") == ["b2.png"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(boards: Path) -> None:
    (boards / "a[1].png").write_bytes(PNG)
    assert names(str(boards / "a[1].png")) == ["a[1].png"]


def test_an_image_without_a_suffix_is_known_by_its_bytes(boards: Path) -> None:
    (boards / "snapshot").write_bytes(PNG)
    assert names(str(boards / "snapshot")) == ["snapshot"]


def test_a_missing_path_says_where_it_was_looked_for() -> None:
    with pytest.raises(SourceError, match=r"no such image, video or folder: gone\.jpg .*looked in"):
        open_source("gone.jpg")


def test_a_folder_with_images_only_below_it_says_how_to_reach_them(boards: Path) -> None:
    (boards / "top").mkdir()
    (boards / "more").rename(boards / "top/more")
    with pytest.raises(SourceError, match=r"\*\*/\*\.png"):
        open_source(str(boards / "top"))


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no images in the folder .*\.png"):
        open_source(str(tmp_path))


def test_a_folder_of_videos_says_to_give_one(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(SourceError, match=r"one at a time.*a\.mp4"):
        open_source(str(tmp_path))


def test_a_pattern_that_matches_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no images match"):
        open_source(f"{tmp_path}/*.png")


def test_a_camera_that_is_not_there_names_those_that_are() -> None:
    source = open_source("63", SourceOptions(live=LiveOptions(reconnect=0.0)))
    frames = iter(source)
    assert next(frames).error is not None
    with pytest.raises(SourceError, match=r"cannot open camera 63: .*/dev/video"):
        next(frames)
    source.close()


def test_an_unknown_scheme_names_the_known() -> None:
    with pytest.raises(SourceError, match="unknown kind of URL: ftp://host/a; known are http"):
        open_source("ftp://host/a")


def test_a_video_by_suffix_is_a_video(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    source = open_source(str(tmp_path / "v.avi"))
    assert isinstance(source, VideoSource)
    source.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://cam/1", True),
        ("0", True),
        ("/dev/video0", True),
        ("photo.jpg", True),
        ("clip.MP4", True),
        ("boards.edge", False),
        ("model.onnx", False),
        ("/dev/shm/boards.edge", False),
    ],
)
def test_what_is_plainly_a_source_is_not_taken_for_a_bundle(text: str, expected: bool) -> None:
    assert looks_like_source(text) is expected


def test_a_folder_is_a_source_when_it_has_images_and_no_manifest(boards: Path) -> None:
    assert looks_like_source(str(boards))
    (boards / "manifest.json").touch()
    assert not looks_like_source(str(boards))


@given(st.text())
def test_a_stem_is_a_plain_file_name(text: str) -> None:
    stem = safe_stem(text)
    assert stem
    assert Path(stem).name == stem
    assert not stem.startswith(".")


def test_a_gif_that_is_cut_off_is_no_film(tmp_path: Path) -> None:
    file = tmp_path / "a.gif"
    first, *others = (Image.fromarray(np.full((60, 80), 90 * n, np.uint8)) for n in range(3))
    first.save(file, save_all=True, append_images=others)
    assert open_source(str(file)).kind == "video"
    file.write_bytes(file.read_bytes()[:-20])
    (frame,) = open_source(str(file))
    assert frame.error is not None
    assert "ends early" in frame.error


def test_a_file_url_is_a_file_and_folders_with_brackets_are_folders(boards: Path) -> None:
    (boards / "line[1]").mkdir()
    (boards / "line[1]" / "a b.png").write_bytes(PNG)
    assert names(f"file://{boards}/line%5B1%5D/a%20b.png") == ["a b.png"]
    assert names(f"{boards}/line[1]/*.png") == ["a b.png"]


def test_files_of_other_kinds_are_counted(boards: Path) -> None:
    said: list[str] = []
    open_source(str(boards), SourceOptions(notice=said.append))
    assert said == [f"{boards}: 1 file is no picture and not looked at: 1 .txt"]

"""The reader's process: the same pictures as here, in order or the newest, and what becomes of one that dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from web_cameras import Camera

from edge_runtime.errors import SourceError
from edge_runtime.inspect.reader import life, remote
from edge_runtime.inspect.reader.decoder import Decoder, DecoderSettings, End, Shot
from edge_runtime.inspect.reader.here import HERE
from edge_runtime.inspect.reader.life import begin_ahead, new_life
from edge_runtime.inspect.reader.process import ReaderProcess
from edge_runtime.inspect.sources import VideoSource

COUNT = 12
needs_av = pytest.mark.skipif(find_spec("av") is None, reason="needs the extra [video]")


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    made = ReaderProcess()
    yield made
    made.close()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write(tmp_path / "film.avi", COUNT)


def write(path: Path, count: int, size: tuple[int, int] = (64, 48)) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for number in range(count):
        writer.write(np.full((size[1], size[0], 3), 40 + number % 200, np.uint8))
    writer.release()
    return path


def settings(film: Path, skip: int = 0, stride: int = 1) -> DecoderSettings:
    return DecoderSettings(str(film), "file", "opencv", skip, stride)


def shots(decoder: Decoder) -> list[Shot]:
    found = []
    while isinstance(shot := decoder.read(), Shot):
        found.append(shot)
    assert shot == End()
    return found


def test_the_process_gives_what_a_decoder_here_gives(reader: ReaderProcess, film: Path) -> None:
    there, here = reader.open(settings(film)), HERE.open(settings(film))
    assert there.facts == here.facts
    for far, near in zip(shots(there), shots(here), strict=True):
        assert far.image is not None
        assert near.image is not None
        assert np.array_equal(far.image, near.image)
        assert (far.number, far.pts, far.whole, far.interlaced) == (near.number, near.pts, near.whole, near.interlaced)


@pytest.mark.parametrize("keeps", [True, False])
def test_memory_of_the_pictures_in_hand_is_taken_once_and_only_where_what_is_freed_is_kept(
    reader: ReaderProcess, film: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(remote, "keeps_freed_memory", lambda: keeps)
    monkeypatch.setattr(remote, "take_and_free", taken.append)
    decoder = reader.open(DecoderSettings(str(film), "file"))
    shots = [decoder.read() for _ in range(3)]
    decoder.close()
    sizes = {shot.image.nbytes for shot in shots if isinstance(shot, Shot) and shot.image is not None}
    assert taken == (list(sizes) if keeps else [])


def test_after_the_end_comes_the_end_again(reader: ReaderProcess, film: Path) -> None:
    decoder = reader.open(settings(film))
    shots(decoder)
    assert decoder.read() == decoder.read() == End()


def test_several_files_are_read_in_one_process_each_with_pictures_of_its_size(
    reader: ReaderProcess, film: Path, tmp_path: Path
) -> None:
    large = write(tmp_path / "large.avi", 3, (320, 240))
    first, second = reader.open(settings(film)), reader.open(settings(large))
    begun = reader.pid
    assert [shot.image.shape for shot in shots(second) if shot.image is not None] == [(240, 320, 3)] * 3
    assert len(shots(first)) == COUNT
    assert reader.pid == begun


@pytest.mark.parametrize(("skip", "stride", "numbers"), [(8, 1, [8, 9, 10, 11]), (0, 5, [0, 5, 10]), (4, 6, [4, 10])])
def test_skipped_pictures_and_a_stride_keep_the_numbers(
    reader: ReaderProcess, film: Path, skip: int, stride: int, numbers: list[int]
) -> None:
    assert [shot.number for shot in shots(reader.open(settings(film, skip, stride)))] == numbers


def test_what_cannot_be_opened_says_so(reader: ReaderProcess, tmp_path: Path) -> None:
    (tmp_path / "film.avi").write_bytes(b"no film")
    with pytest.raises(SourceError, match="not a video"):
        reader.open(settings(tmp_path / "film.avi"))
    with pytest.raises(SourceError, match="unknown decoder crystal"):
        reader.open(DecoderSettings("x", "file", "crystal"))


def test_one_that_died_is_told_of_and_the_next_opening_has_a_new_one(reader: ReaderProcess, film: Path) -> None:
    decoder = reader.open(settings(film))
    assert isinstance(decoder.read(), Shot)
    first = reader.pid
    assert first is not None
    os.kill(first, signal.SIGSEGV)
    while isinstance(end := decoder.read(), Shot):
        pass
    assert end == End("the process that reads it died of SIGSEGV", died=True)
    assert len(shots(reader.open(settings(film)))) == COUNT
    assert reader.pid not in (None, first)


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    film = write(tmp_path / "film.avi", 1000)  # a busy machine lets it run for a while before it stops
    reader = ReaderProcess(grace=1.0)
    try:
        decoder = reader.open(DecoderSettings(str(film), "file", "opencv", read_timeout=0.5))
        assert isinstance(decoder.read(), Shot)
        assert reader.pid is not None
        os.kill(reader.pid, signal.SIGSTOP)
        while isinstance(end := decoder.read(), Shot):
            pass
        assert end == End("the process that reads it hung: no answer for 1.5 s", died=True)
        assert reader.pid is None
    finally:
        reader.close()


def test_a_camera_that_has_nothing_for_long_does_not_count_as_a_process_that_hangs() -> None:
    over = threading.Event()

    def serve(stream: socket.socket, head: str) -> None:
        picture = cv2.imencode(".jpg", np.full((16, 16, 3), 90, np.uint8))[1].tobytes()
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n" + picture)
        over.wait()

    camera, reader = Camera(serve), ReaderProcess(grace=1.0)
    try:
        decoder = reader.open(DecoderSettings(f"http://{camera.place}/", "stream", read_timeout=0.5))
        while isinstance(end := decoder.read(0.1), Shot) or end is None:
            pass
        assert end == End("no picture for 3 s")
    finally:
        over.set()
        reader.close()
        camera.close()


def test_a_film_goes_on_in_a_new_process_and_says_which_picture_it_lacks(reader: ReaderProcess, film: Path) -> None:
    source = VideoSource(str(film), "film.avi", "film", connect=reader.open)
    frames = iter(source)
    got = [next(frames)]
    assert reader.pid is not None
    os.kill(reader.pid, signal.SIGKILL)
    got += frames
    source.close()
    assert [frame.frame_id for frame in got] == list(range(COUNT))
    errors = [frame.error for frame in got if frame.error]
    assert len(errors) == 1
    assert "died of SIGKILL" in errors[0]


def test_each_source_hears_what_the_process_died_of_though_another_one_has_begun_the_next(
    reader: ReaderProcess, film: Path
) -> None:
    first, second = reader.open(settings(film)), reader.open(settings(film))
    assert reader.pid is not None
    os.kill(reader.pid, signal.SIGKILL)
    ends = []
    for decoder in (first, second):
        while isinstance(end := decoder.read(), Shot):
            pass
        ends.append(end)
        reader.open(settings(film)).close()
    assert ends == [End("the process that reads it died of SIGKILL", died=True)] * 2


def test_of_a_live_source_the_newest_picture_is_given_and_the_others_are_counted(
    reader: ReaderProcess, tmp_path: Path
) -> None:
    film = write(tmp_path / "film.avi", 200)
    decoder = reader.open(DecoderSettings(str(film), "stream", "opencv"))
    given = []
    while isinstance(shot := decoder.read(), Shot):
        given.append(shot)
    assert shot == End("no frame came")
    numbers = [shot.number for shot in given]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 199
    assert len(given) + sum(shot.dropped for shot in given) == 200


def test_a_decoder_that_was_closed_gives_nothing_more(reader: ReaderProcess, film: Path) -> None:
    decoder = reader.open(settings(film))
    decoder.close()
    decoder.close()
    assert decoder.read() == End()


def test_a_closed_reader_opens_nothing(film: Path) -> None:
    reader = ReaderProcess()
    reader.start()
    pid = reader.pid
    reader.close()
    reader.close()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(SourceError, match="closed"):
        reader.open(settings(film))


def test_the_process_that_was_begun_ahead_is_taken_once(film: Path) -> None:
    begin_ahead()
    first, second = ReaderProcess(), ReaderProcess()
    try:
        first.start()
        second.start()
        assert first.pid != second.pid
        assert len(shots(first.open(settings(film)))) == COUNT
    finally:
        first.close()
        second.close()


def test_one_that_was_begun_ahead_and_died_is_not_taken() -> None:
    begin_ahead()
    dead = new_life()
    dead.kill("a test")
    life._ahead.append(dead)
    alive = new_life()
    assert alive is not dead
    dead.end()
    alive.end()


@needs_av
def test_the_process_loads_no_more_than_its_decoder_needs() -> None:
    code = "import sys, edge_runtime.inspect.reader.child as child; child.warm_up(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "av" in found
    assert {"numpy", "cv2", "onnxruntime", "click"} & set(found) == set()

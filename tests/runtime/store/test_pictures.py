import contextlib
import gc
import sys
import threading

import numpy as np
from patience import PATIENCE
from store_cases import event, reading

from edge_runtime.store import pictures
from edge_runtime.store import writer as writers
from edge_runtime.store.entries import Kept
from edge_runtime.store.kept import KeptPictures
from edge_runtime.store.opening import open_store
from edge_runtime.store.pictures import PictureKeeper
from edge_runtime.store.reading import open_reader
from edge_runtime.store.shelf import Quota, Shelved
from edge_runtime.store.verify import verify_log
from edge_runtime.store.writer import Writer

PLENTY = Quota(10**6, 10**6)
IMAGE = np.zeros((2, 2, 3), np.uint8)


@contextlib.contextmanager
def keeping(folder, quota=PLENTY, notices=None, free=lambda folder: 10**9, known=False):
    store = open_store(folder, print)
    writer = Writer(store, print)
    keeper = PictureKeeper(store.folder, quota, writer, ([] if notices is None else notices).append, free)
    keeper.start(open_reader(folder), known)
    try:
        yield keeper, writer
    finally:
        keeper.close()
        writer.close()


def keep(keeper, writer, *events, size=100):
    for one in events:
        writer.put(one)
        keeper.offer(one, IMAGE, lambda image: b"x" * size, wait=True)


def kept_in(folder):
    with reading(folder) as reader:
        assert verify_log(reader).breaks == ()
        found = [kept.event_id for kept in reader.pictures()]
    assert sorted(path.stem for path in folder.rglob("*.png")) == sorted(found)
    return found


def test_names_that_come_and_go_are_not_interned(tmp_path, monkeypatch):
    interned, usual = [], sys.intern
    with keeping(tmp_path, quota=Quota(150, 10**6)) as (keeper, writer):
        keep(keeper, writer, event(0, "OK"))
        monkeypatch.setattr(sys, "intern", lambda text: interned.append(text) or usual(text))
        keep(keeper, writer, event(1, "NG"))  # for which the first is removed
    monkeypatch.undo()
    assert kept_in(tmp_path) == [event(1).event_id]
    assert not [text for text in interned if event(0).event_id in text or event(1).event_id in text]


def test_a_picture_is_kept_whole_and_its_digest_is_chained(tmp_path):
    with keeping(tmp_path) as (keeper, writer):
        keep(keeper, writer, event(0, "NG"))
    assert kept_in(tmp_path) == [event(0).event_id]
    (path,) = tmp_path.rglob("*.png")
    assert path.read_bytes() == b"x" * 100
    path.write_bytes(b"y" * 100)
    with reading(tmp_path) as reader:
        assert "was altered" in verify_log(reader).breaks[0].what


def test_the_oldest_ok_makes_way_and_what_is_left_is_known_at_the_next_start(tmp_path):
    with keeping(tmp_path, Quota(300, 10**6)) as (keeper, writer):
        keep(keeper, writer, event(0, "NG"), event(1, "OK"), event(2, "OK"), event(3, "NG"))
    assert kept_in(tmp_path) == [event(number).event_id for number in (0, 2, 3)]
    with keeping(tmp_path, Quota(300, 10**6)) as (keeper, writer):
        keep(keeper, writer, event(4, "OK"), event(5, "NG"))
    assert kept_in(tmp_path) == [event(number).event_id for number in (0, 3, 5)]
    with keeping(tmp_path, Quota(200, 10**6)):
        pass
    assert kept_in(tmp_path) == [event(number).event_id for number in (3, 5)]


def test_a_smaller_quota_takes_first_what_matters_least(tmp_path):
    with keeping(tmp_path) as (keeper, writer):
        keep(keeper, writer, event(0, "WARN"), event(1, "NO_READ"), event(2, "NG"))
    with keeping(tmp_path, Quota(200, 10**6)):
        pass
    assert kept_in(tmp_path) == [event(0).event_id, event(2).event_id]


def test_memory_holds_no_picture_that_the_database_knows(tmp_path):
    with keeping(tmp_path, Quota(2500, 10**6)) as (keeper, writer):
        for number in range(50):
            keep(keeper, writer, event(number, "NG"))
            while len(list(tmp_path.rglob(f"{event(number).event_id}.png"))) < 1:
                pass
            assert writer.drain(PATIENCE) == 0
        held = sum(isinstance(one, (Kept, Shelved)) for one in gc.get_objects())
    assert held <= 3  # the last, where a thread has it in hand, and not 25
    assert kept_in(tmp_path) == [event(number).event_id for number in range(25, 50)]


def test_a_picture_that_was_removed_is_not_removed_again_before_the_database_knows(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "_SENT_S", PATIENCE)  # it does not until the end
    with keeping(tmp_path) as (keeper, writer):
        keep(keeper, writer, event(0), event(1))
    store = open_store(tmp_path, print)
    writer = Writer(store, print)
    with reading(tmp_path) as reader:
        kept = KeptPictures(store.folder, reader, writer)
        assert kept.bytes == 200
        kept.remove(event(0).event_id)
        assert reader.picture(event(0).event_id) is not None
        assert list(kept.shelves()["OK"]) == [Shelved(event(1).event_id, 100)]
        assert kept.bytes == 100
    writer.close()
    assert kept_in(tmp_path) == [event(1).event_id]


def test_what_was_written_today_counts_after_a_restart(tmp_path):
    for number in (0, 1, 2):
        with keeping(tmp_path, Quota(10**6, 250)) as (keeper, writer):
            keep(keeper, writer, event(number, "NG"))
            keeper.close()
            assert keeper.left_out == (number == 2)
    assert len(kept_in(tmp_path)) == 2


def test_what_a_kill_left_is_put_right(tmp_path):
    with keeping(tmp_path) as (keeper, writer):
        keep(keeper, writer, event(0, "NG"), event(1, "NG"))
        writer.put(event(2, "NG"))
    (day,) = {path.parent for path in tmp_path.rglob("*.png")}
    (day / f"{event(0).event_id}.png").unlink()
    (day / f"{event(2).event_id}.png").write_bytes(b"whole, and its entry did not come to be committed")
    (day / f"{event(9).event_id}.png").write_bytes(b"of an event that was not committed")
    (day / ".half.tmp").write_bytes(b"ha")
    with keeping(tmp_path):
        pass
    assert kept_in(tmp_path) == [event(1).event_id, event(2).event_id]
    assert not (day / ".half.tmp").exists()


def test_what_others_put_into_a_folder_called_pictures_stays(tmp_path):
    others = [tmp_path / "pictures" / name for name in ("cat.png", "2026-07-01/cat.png", "2026-07-01/beach/cat.png")]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture of somebody's")
    with keeping(tmp_path) as (keeper, writer):
        keep(keeper, writer, event(0, "NG"))
    with keeping(tmp_path):
        pass
    assert all(path.exists() for path in others)


def test_a_store_that_was_closed_a_moment_ago_is_not_looked_through(tmp_path):
    with keeping(tmp_path) as (keeper, writer):
        keep(keeper, writer, event(0), event(1))
    stray = next(tmp_path.rglob("*.png")).with_name(f"{event(9).event_id}.png")  # which any other start removes
    stray.write_bytes(b"x")
    with keeping(tmp_path, Quota(200, 10**6), known=True) as (keeper, writer):
        keep(keeper, writer, event(2))
        assert stray.exists()
    stray.unlink()
    assert kept_in(tmp_path) == [event(1).event_id, event(2).event_id]


def test_a_disk_that_takes_no_picture_is_told_once_and_ok_pictures_make_way(tmp_path, monkeypatch):
    notices = []
    with keeping(tmp_path, notices=notices) as (keeper, writer):
        keep(keeper, writer, event(0, "OK"), event(1, "NG"))
        while len(list(tmp_path.rglob("*.png"))) < 2:
            pass
        write = pictures.write_bytes
        monkeypatch.setattr(pictures, "_PAUSE_S", 0.0)

        def full(path, data):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pictures, "write_bytes", full)
        keep(keeper, writer, event(2, "NG"), event(3, "NG"))
        while keeper.left_out < 2:
            pass
        monkeypatch.setattr(pictures, "write_bytes", write)
        keep(keeper, writer, event(4, "NG"))
    assert kept_in(tmp_path) == [event(number).event_id for number in (1, 4)]
    assert [notice.split(",")[0] for notice in notices] == ["PICTURES ARE NOT KEPT", "pictures are kept again"]


def test_the_last_of_a_disk_is_for_verdicts(tmp_path, monkeypatch):
    notices, free = [], [10**9]
    monkeypatch.setattr(pictures, "_PAUSE_S", 0.0)
    with keeping(tmp_path, notices=notices, free=lambda folder: free[0]) as (keeper, writer):
        keep(keeper, writer, event(0, "OK"), event(1, "NG"))
        while len(list(tmp_path.rglob("*.png"))) < 2:
            pass
        free[0] = 99
        keep(keeper, writer, event(2, "NG"))
        while not keeper.left_out:
            pass
    assert kept_in(tmp_path) == [event(1).event_id]
    assert notices == [
        "PICTURES ARE NOT KEPT, verdicts are: 99 B of the disk are left for them, the rest is for verdicts"
    ]


def test_nobody_waits_for_a_picture_who_does_not_want_to(tmp_path):
    with keeping(tmp_path) as (keeper, writer):
        go, began = threading.Event(), threading.Event()

        def slow(image):
            began.set()
            assert go.wait(PATIENCE)
            return b"x"

        for number in range(20):
            writer.put(event(number))
            keeper.offer(event(number), IMAGE, slow, wait=False)
        assert began.wait(PATIENCE)
        assert keeper.left_out >= 14
        go.set()
    assert 1 <= len(kept_in(tmp_path)) <= 6


def test_a_picture_that_cannot_be_encoded_holds_nobody_up(tmp_path):
    notices = []

    def broken(image):
        raise ValueError("no such colour")

    with keeping(tmp_path, notices=notices) as (keeper, writer):
        for number in range(12):
            writer.put(event(number))
            keeper.offer(event(number), IMAGE, broken, wait=True)
    assert keeper.left_out == 12
    assert notices == ["PICTURES ARE NOT KEPT, verdicts are: no such colour"]

import os
import sqlite3
import threading
from pathlib import Path

import pytest
from patience import PATIENCE
from store_cases import event, opened, reading

from edge_runtime.errors import StoreError
from edge_runtime.store import writer as writing
from edge_runtime.store.entries import Note
from edge_runtime.store.folder import Folder, Holder, holder_of
from edge_runtime.store.head import read_head
from edge_runtime.store.ledger import Ledger
from edge_runtime.store.opening import open_store
from edge_runtime.store.reading import Queue
from edge_runtime.store.verify import verify_log
from edge_runtime.store.writer import Writer


class Disk:
    """A disk that is full until it is told otherwise; `told`: the writer has said so."""

    def __init__(self, monkeypatch):
        self.full, self.told, self.notices = True, threading.Event(), []
        append = Ledger.append

        def limited(ledger, batch):
            if self.full:
                ledger.close()
                raise sqlite3.OperationalError("database or disk is full")
            return append(ledger, batch)

        monkeypatch.setattr(Ledger, "append", limited)

    def notice(self, sentence):
        self.notices.append(sentence)
        self.told.set()


def test_what_is_brought_by_many_threads_is_committed_once_and_each_ones_in_order(tmp_path):
    writer = Writer(open_store(tmp_path, print), print)

    def bring(first):
        for number in range(first, first + 200):
            writer.put(event(number, station=f"s{first}"))

    threads = [threading.Thread(target=bring, args=(first,)) for first in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    with reading(tmp_path) as reader:
        for first in (0, 1000, 2000):
            found = [stored.event_id for stored in reader.after(0, [f"s{first}"])]
            assert found == [event(number).event_id for number in range(first, first + 200)]
        verified = verify_log(reader)
    assert (verified.entries, verified.breaks) == (600, ())


def test_whoever_waits_hears_of_an_event_when_others_can_read_it(tmp_path):
    writer = Writer(open_store(tmp_path, print), print)
    for number in range(5):
        writer.put(event(number))
        with reading(tmp_path) as reader:
            assert writer.committed(number, PATIENCE) > number
            assert len(reader.after(number, ["belt"])) == 1
    writer.close()


def test_on_a_full_disk_events_wait_in_memory_loudly_and_are_committed_when_there_is_room(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    writer = Writer(open_store(tmp_path, print), disk.notice)
    writer.put(event(0))
    assert disk.told.wait(PATIENCE)
    for number in range(1, 4):
        writer.put(event(number))
    assert writer.committed(0, 0.0) == 0
    assert writer.waiting.entries == 4
    assert "disk is full" in writer.waiting.why
    disk.full = False
    assert writer.drain(PATIENCE) == 0
    assert writer.waiting.entries == 0
    writer.close()
    assert [notice.split(",")[0] for notice in disk.notices] == ["VERDICTS ARE NOT STORED", "verdicts are stored again"]
    with reading(tmp_path) as reader:
        assert [stored.event_id for stored in reader.after(0, ["belt"])] == [event(n).event_id for n in range(4)]
        assert verify_log(reader).breaks == ()


def test_whoever_brings_more_than_memory_is_meant_for_waits(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    writer = Writer(open_store(tmp_path, print), disk.notice, most_waiting=2)
    writer.put(event(0))
    assert disk.told.wait(PATIENCE)
    for number in (1, 2):
        writer.put(event(number))
    through = threading.Event()
    thread = threading.Thread(target=lambda: (writer.put(event(3)), through.set()))
    thread.start()
    assert not through.is_set()
    disk.full = False
    assert through.wait(PATIENCE)
    thread.join()
    writer.close()


def test_whoever_waits_for_room_is_turned_away_when_the_station_is_to_end(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    writer = Writer(open_store(tmp_path, print), disk.notice, most_waiting=1, stop=lambda: True)
    writer.put(event(0))
    assert disk.told.wait(PATIENCE)
    writer.put(event(1))
    with pytest.raises(StoreError, match="takes no more: 1 records wait"):
        writer.put(event(2))
    disk.full = False
    writer.close(PATIENCE)


def test_events_that_are_lost_at_the_end_are_an_error(tmp_path, monkeypatch):
    Disk(monkeypatch)
    writer = Writer(open_store(tmp_path, print), lambda notice: None)
    writer.put(event(0))
    with pytest.raises(StoreError, match="1 records could not be written and are lost: database or disk is full"):
        writer.close(patience=0.0)
    writer.close()
    with pytest.raises(StoreError, match="closed"):
        writer.put(event(1))


def test_a_commit_that_failed_and_was_made_all_the_same_is_not_made_twice(tmp_path, monkeypatch):
    append, failed = Ledger.append, []

    def commit_and_fail(ledger, batch):
        head = append(ledger, batch)
        if not failed:
            failed.append(batch)
            ledger.close()
            ledger.head = before
            raise sqlite3.OperationalError("disk I/O error")
        return head

    monkeypatch.setattr(Ledger, "append", commit_and_fail)
    store = open_store(tmp_path, print)
    before = store.ledger.head
    writer = Writer(store, lambda notice: None)
    writer.put(event(0))
    assert writer.drain(PATIENCE) == 0
    writer.put(event(1))
    writer.close()
    assert failed
    with reading(tmp_path) as reader:
        assert [stored.seq for stored in reader.after(0, ["belt"])] == [1, 2]
        assert verify_log(reader).breaks == ()


def test_a_slip_of_ours_ends_the_writer_and_the_next_one_hears_of_it(tmp_path):
    writer = Writer(open_store(tmp_path, print), print)
    writer.put(event(0))
    writer.put(event(0))
    assert writer.drain(PATIENCE) == 2
    with pytest.raises(StoreError, match="writer has failed"):
        writer.put(event(1))
    with pytest.raises(StoreError, match="2 records"):
        writer.close()


def test_a_disk_that_does_not_take_where_the_board_is_is_no_reason_to_end(tmp_path, monkeypatch):
    writer = Writer(open_store(tmp_path, print), print)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        writer.write_down("/run/a-longer-name-than-none.json")
    assert holder_of(Folder(tmp_path)) == Holder(os.getpid(), None)
    writer.write_down("/run/board.json")
    writer.write_down("/run/b.json")
    assert holder_of(Folder(tmp_path)) == Holder(os.getpid(), Path("/run/b.json"))
    writer.close()


def test_how_far_an_output_has_sent_survives(tmp_path):
    store = open_store(tmp_path, print)
    assert store.ledger.register("a", ["belt"]) == 0
    writer = Writer(store, print)
    writer.put(event(0))
    writer.put(event(1))
    assert writer.drain(PATIENCE) == 0
    writer.sent("a", 2)
    writer.sent("a", 1)
    writer.put(Note("stop"))
    writer.close()
    with opened(tmp_path) as store:
        assert store.ledger.register("a", ["belt", "other"]) == 2
        assert store.ledger.register("new", ["x"]) == 3  # a new output does not begin with years of history
    with reading(tmp_path) as reader:
        assert reader.waiting(1, ["belt"]) == 1
        assert reader.outputs() == [Queue("a", 2, ("belt", "other")), Queue("new", 3, ("x",))]


def test_the_head_is_written_down_when_a_store_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_HEAD_S", 1e9)
    writer = Writer(open_store(tmp_path, print), print)
    writer.put(event(0))
    writer.close()
    with reading(tmp_path) as reader:
        assert read_head(reader.folder.head) == reader.head()

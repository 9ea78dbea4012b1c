import contextlib
import errno
import os
import sqlite3
from pathlib import Path

import pytest
from store_cases import event, opened, reading

from edge_runtime.errors import StoreError
from edge_runtime.store import opening
from edge_runtime.store.chain import Anchor
from edge_runtime.store.entries import Batch, Note
from edge_runtime.store.folder import Folder, holder_of
from edge_runtime.store.head import read_head, write_head
from edge_runtime.store.ledger import Ledger, connect
from edge_runtime.store.migrations import MIGRATIONS, migrate
from edge_runtime.store.opening import DiskError, open_store
from edge_runtime.store.reading import open_reader
from edge_runtime.store.verify import verify_log


def filled(folder, count=300):
    with opened(folder) as store:
        head = store.ledger.append(Batch(tuple(event(number) for number in range(count))))
        write_head(store.folder.head, head)
    return Folder(folder)


def aside(folder):
    return [path for path in folder.root.iterdir() if path.name.startswith("damaged-")]


def test_a_store_goes_on_where_it_ended(tmp_path):
    folder = filled(tmp_path / "store", 3)
    notices = []
    with opened(folder.root, notices) as store:
        store.ledger.append(Batch((event(3),)))
    with reading(folder) as reader:
        assert [stored.seq for stored in reader.after(0, ["belt"])] == [1, 2, 3, 4]
        assert verify_log(reader).breaks == ()
    assert (notices, aside(folder)) == ([], [])


def test_commits_are_on_the_disk_when_they_return(tmp_path):
    ledger = Ledger(tmp_path / "store.db")
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert ledger._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    ledger.close()


def test_only_one_process_writes_and_the_other_one_is_named(tmp_path):
    with opened(tmp_path) as store:
        with pytest.raises(StoreError, match="written by another process"):
            open_store(tmp_path, print)
        holder = holder_of(store.folder)
        assert (holder.pid, holder.board) == (os.getpid(), None)
        store.lock.write_down("/run/board.json")
        assert holder_of(store.folder).board == Path("/run/board.json")
    assert holder_of(Folder(tmp_path)) is None
    with opened(tmp_path):
        pass


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database" * 99,
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + bytes(len(data) - 4096),
        lambda data: b"",
        lambda data: data[:8192] + bytes(range(256)) * 64 + data[8192 + 256 * 64 :],
    ],
    ids=["another file", "half of it", "zeros", "nothing", "a few pages"],
)
def test_a_damaged_database_is_set_aside_and_named_and_a_new_one_begins(tmp_path, damage):
    folder = filled(tmp_path / "store")
    broken = damage(folder.database.read_bytes())
    folder.database.write_bytes(broken)
    notices = []
    with opened(folder.root, notices) as store:
        assert store.ledger.append(Batch((event(),))).seq == 2
    (kept,) = aside(folder)
    assert (kept / "store.db").read_bytes()[:99] == broken[:99]
    assert kept.name in notices[0]
    with reading(folder) as reader:
        assert kept.name in next(reader.notes()).body
        assert verify_log(reader).breaks == ()


def test_a_second_damage_in_the_same_second_takes_nothing_from_the_first(tmp_path):
    folder = filled(tmp_path / "store")
    for _ in range(2):
        folder.database.write_bytes(b"no database at all, whatever it was")
        with opened(folder.root):
            pass
    assert len(aside(folder)) == 2


def test_events_that_vanish_at_the_end_are_missed_without_a_head(tmp_path):
    folder = filled(tmp_path / "store", 5)
    folder.head.unlink()
    with contextlib.closing(sqlite3.connect(folder.database)) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 5")
        connection.commit()
    with reading(folder) as reader:
        found = verify_log(reader)
    assert [one.what for one in found.breaks] == ["5 events of belt were OK, and 4 are there"]
    assert not found.ended


def test_entries_that_an_output_was_told_of_are_missed(tmp_path):
    folder = filled(tmp_path / "store", 5)
    with opened(folder.root) as store:
        store.ledger.register("jsonl", ["belt"])
        store.ledger.append(Batch((Note("stop"),), sent={"jsonl": 6}))
    folder.head.unlink()
    with contextlib.closing(sqlite3.connect(folder.database)) as connection:
        connection.execute("DELETE FROM entries WHERE seq = 6")
        connection.commit()
    with reading(folder) as reader:
        assert [one.what for one in verify_log(reader).breaks] == ["jsonl was told of entry 6, which is missing"]


@pytest.mark.parametrize("left", [b"this is no database" * 99, None], ids=["damaged", "gone"])
def test_the_pictures_of_a_damaged_database_are_set_aside_with_it(tmp_path, left):
    folder = filled(tmp_path / "store")
    place = Path("2026-01-31/belt", f"{event(0).event_id}.png")
    (folder.pictures / place).parent.mkdir(parents=True)
    (folder.pictures / place).write_bytes(b"what the damaged records are about")
    folder.head.unlink()
    if left is None:
        folder.database.unlink()
    else:
        folder.database.write_bytes(left)
    with opened(folder.root, []):
        pass
    (put,) = aside(folder)
    assert (put / "pictures" / place).read_bytes() == b"what the damaged records are about"
    assert not folder.pictures.exists()


def test_a_database_that_lost_its_end_is_set_aside_for_its_head_was_written_down(tmp_path):
    folder = filled(tmp_path / "store", 5)
    with sqlite3.connect(folder.database) as connection:
        connection.execute("DELETE FROM entries WHERE seq > 3")
    connection.close()
    notices = []
    with opened(folder.root, notices):
        pass
    assert "entry 5, which was written down as its last, is missing" in notices[0]
    folder.database.unlink()
    write_head(folder.head, Anchor(9, "a" * 64))
    with opened(folder.root, notices):
        pass
    assert "its database is gone" in notices[1]


def test_a_database_of_somebody_else_is_not_touched(tmp_path):
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = (tmp_path / "store.db").read_bytes()
    with pytest.raises(StoreError, match="no store of Edgeline's"):
        open_store(tmp_path, print)
    assert (tmp_path / "store.db").read_bytes() == before
    assert holder_of(Folder(tmp_path)) is None


def test_a_store_of_a_newer_edgeline_is_refused(tmp_path):
    folder = filled(tmp_path, 1)
    with sqlite3.connect(folder.database) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreError, match="install the newer one"):
        open_store(tmp_path, print)
    with pytest.raises(StoreError, match="install the newer one"):
        open_reader(tmp_path)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_store_of_an_older_edgeline_is_brought_here_with_what_is_in_it(tmp_path, monkeypatch, version):
    with monkeypatch.context() as older:
        older.setattr("edge_runtime.store.migrations.MIGRATIONS", MIGRATIONS[:version])
        folder = filled(tmp_path, 3)
    with pytest.raises(StoreError, match="start edge-run once"):
        open_reader(tmp_path)
    notices = []
    with opened(tmp_path, notices) as store:
        store.ledger.append(Batch((event(3),)))
    with reading(folder) as reader:
        assert len(list(reader.links())) == 4
        assert verify_log(reader).breaks == ()
        assert list(reader.pictures_of("OK")) == []
    assert (notices, aside(folder)) == ([], [])


def test_a_connection_holds_few_pages_of_a_large_database(tmp_path):
    folder = filled(tmp_path, 1)
    with contextlib.closing(connect(folder.database)) as writing, reading(folder) as reader:
        for connection in (writing, reader._connection):
            assert connection.execute("PRAGMA cache_size").fetchone() == (-256,)


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_runtime.store.migrations.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x); nonsense;"))
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
    connection.close()


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot open the store"):
        open_store(tmp_path / "file" / "store", print)


def test_a_full_disk_is_told_as_one_though_sqlite_calls_it_an_error_of_the_disk(tmp_path, monkeypatch):
    def refused(database):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(opening, "Ledger", refused)
    with pytest.raises(StoreError, match="check its folder"):
        open_store(tmp_path / "store", print)
    monkeypatch.setattr(opening, "_LEAST_FREE", 1 << 62)
    with pytest.raises(DiskError, match=r"its disk is full, .* free some space"):
        open_store(tmp_path / "store", print)


@pytest.mark.parametrize(
    ("refusal", "passes"),
    [
        (OSError(errno.EROFS, "Read-only file system"), True),
        (sqlite3.OperationalError("attempt to write a readonly database"), True),
        (PermissionError(errno.EACCES, "Permission denied"), False),
    ],
)
def test_what_a_disk_refuses_for_now_is_another_error_than_what_it_always_will(tmp_path, monkeypatch, refusal, passes):
    def refused(database):
        raise refusal

    monkeypatch.setattr(opening, "Ledger", refused)
    with pytest.raises(StoreError, match="cannot open the store") as told:
        open_store(tmp_path / "store", print)
    assert isinstance(told.value, DiskError) is passes


def test_a_batch_is_committed_whole_or_not_at_all(tmp_path):
    ledger = Ledger(tmp_path / "store.db")
    with pytest.raises(sqlite3.IntegrityError):
        ledger.append(Batch((event(1), event(2), event(1))))
    assert ledger.append(Batch((event(1), Note("start")))).seq == 2
    ledger.close()


def test_half_of_a_head_is_no_head(tmp_path):
    path = tmp_path / "head.json"
    for text in (
        "",
        '{"seq": 5',
        '{"seq": 5}',
        '{"seq": "5", "hash": 1}',
        "[]",
        '{"seq": -1, "hash": "%s"}' % ("a" * 64),
    ):
        path.write_text(text)
        assert read_head(path) is None
    write_head(path, Anchor(5, "a" * 64))
    assert read_head(path) == Anchor(5, "a" * 64)

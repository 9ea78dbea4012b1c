"""The oldest entries are taken out, and the chain still proves that nothing else was."""

import sqlite3

import pytest
from patience import PATIENCE
from store_cases import event, opened, reading

from edge_runtime.store import ledger as ledgers
from edge_runtime.store.entries import Batch
from edge_runtime.store.opening import open_store
from edge_runtime.store.verify import verify_log
from edge_runtime.store.writer import Writer


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(ledgers, "_AT_ONCE", 10)


def fill(folder, count, most_bytes, sent=None):
    store = open_store(folder, print)
    start = store.ledger.head.seq
    if sent is not None:
        store.ledger.register("slow", ["belt"])
    writer = Writer(store, print, most_bytes=most_bytes)
    if sent is not None:
        writer.sent("slow", sent)
    for number in range(start, start + count):
        writer.put(event(number))
        assert writer.drain(PATIENCE) == 0
    writer.close()


def first_and_breaks(folder):
    with reading(folder) as reader:
        links = [link.seq for link, _ in reader.links()]
        return links[0], verify_log(reader).breaks


def test_nothing_is_taken_out_while_there_is_room(tmp_path):
    fill(tmp_path, 30, 1 << 30)
    assert first_and_breaks(tmp_path) == (1, ())


def test_the_oldest_are_taken_out_and_the_chain_verifies_from_there(tmp_path):
    fill(tmp_path, 60, 0)
    first, breaks = first_and_breaks(tmp_path)
    assert first > 30
    assert breaks == ()
    fill(tmp_path, 10, 0)
    assert first_and_breaks(tmp_path)[0] > first


def test_what_an_output_has_not_sent_stays(tmp_path):
    fill(tmp_path, 60, 0, sent=5)
    assert first_and_breaks(tmp_path) == (6, ())


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM entries WHERE seq = (SELECT min(seq) FROM entries)",
        "DELETE FROM entries WHERE body LIKE '%trimmed%' AND seq = (SELECT max(seq) FROM entries WHERE kind = 'note')",
        "UPDATE entries SET body = replace(body, '\"upto\":', '\"upto\":1') WHERE kind = 'note'",
    ],
    ids=["one more is gone", "the note is gone", "the note says more"],
)
def test_more_than_a_note_says_is_missed(tmp_path, harm):
    fill(tmp_path, 60, 0)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute(harm)
    connection.close()
    assert first_and_breaks(tmp_path)[1]


def test_a_trimmed_store_is_opened_and_gone_on_with(tmp_path):
    fill(tmp_path, 60, 0)
    notices = []
    with opened(tmp_path, notices) as store:
        store.ledger.append(Batch((event(999),)))
    assert notices == []
    assert first_and_breaks(tmp_path)[1] == ()

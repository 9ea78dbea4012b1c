import json
import random

from store_cases import event

from edge_runtime.cli.sample import find_sample
from edge_runtime.outputs.base import published
from edge_runtime.store.chain import canonical
from edge_runtime.store.entries import Batch
from edge_runtime.store.opening import open_store
from edge_runtime.store.reading import open_reader
from edge_tools.station.books import Books, check
from edge_tools.station.kills import run_kills


def test_stations_that_are_killed_lose_nothing_and_tell_nothing_twice(tmp_path):
    books = run_kills(tmp_path, 2, random.Random(1), film=str(find_sample().images))
    assert books.wrong == []
    assert books.kills == 2
    assert books.events >= 2 * 4 * 12
    assert books.published >= books.events * 5 / 4


def test_what_would_be_wrong_is_found(tmp_path):
    store = open_store(tmp_path / "store", print)
    store.ledger.append(Batch((event(0, station="table"), event(1, station="table"))))
    store.close()
    reader = open_reader(tmp_path / "store")
    first, second = (json.dumps(published(reader.event(event(number).event_id))) for number in (0, 1))
    reader.close()
    forged = json.dumps({**json.loads(first), "verdict": "NG"})
    stranger = canonical({**event(7).body, "seq": 9, "hash": ""})

    def found(*lines):
        (tmp_path / "all.jsonl").write_text("".join(line + "\n" for line in lines) + "half of a l")
        books = Books()
        check(tmp_path, books, "now", whole=True)
        assert books.torn == 1
        return " ".join(books.wrong)

    assert found(first, second) == ""
    assert "1 told of 2" in found(first)
    assert "told twice" in found(first, second, second)
    assert "another order" in found(second, first)
    assert "not in the store as it was told" in found(forged, second)
    assert "not in the store as it was told" in found(first, second, stranger)

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_cases import event

from edge_runtime.errors import OutputError
from edge_runtime.outputs.base import published
from edge_runtime.outputs.json_lines import JsonLinesOutput
from edge_runtime.store.chain import canonical
from edge_runtime.store.reading import Stored


def stored(number):
    one = event(number, "NG")
    return Stored(number + 1, one.event_id, "a" * 64, canonical(one.body))


def lines_of(path):
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "verdicts.jsonl"


@pytest.fixture
def output(path):
    found = JsonLinesOutput(path)
    yield found
    found.close()


def test_events_become_lines_that_begin_with_what_is_looked_for(output, path):
    assert output.delivered() is None
    assert output.send([stored(0), stored(1)]) == 2
    assert lines_of(path) == [0, 1]
    first = json.loads(path.read_text().splitlines()[0])
    assert list(first)[:4] == ["event_id", "station", "part", "verdict"]
    assert (first["seq"], first["hash"]) == (1, "a" * 64)
    assert published(stored(0)) == first
    assert output.delivered() == event(1).event_id


@given(st.integers(0, 600), st.booleans())
def test_a_line_that_a_kill_tore_is_cut_wherever_it_is_torn(tmp_path, cut, zeros):
    path = tmp_path / "torn.jsonl"
    path.unlink(missing_ok=True)
    output = JsonLinesOutput(path)
    output.send([stored(0), stored(1), stored(2)])
    output.close()
    whole = path.read_bytes()
    kept = whole[: min(cut, len(whole))]
    path.write_bytes(kept + bytes(9) * zeros)
    output = JsonLinesOutput(path)
    last = output.delivered()
    count = kept.count(b"\n")
    assert last == (event(count - 1).event_id if count else None)
    output.send([stored(number) for number in range(count, 3)])
    output.close()
    assert path.read_bytes() == whole


@given(st.integers(0, 2), st.integers(0, 80), st.integers(1, 80))
def test_lines_behind_bytes_that_a_power_cut_lost_are_told_again(tmp_path, number, start, length):
    path = tmp_path / "hole.jsonl"
    path.unlink(missing_ok=True)
    output = JsonLinesOutput(path)
    output.send([stored(0), stored(1), stored(2)])
    output.close()
    whole = path.read_bytes()
    start += sum(len(line) for line in whole.splitlines(keepends=True)[:number])
    path.write_bytes(whole[:start] + bytes(len(whole[start : start + length])) + whole[start + length :])
    output = JsonLinesOutput(path)
    assert output.delivered() == (event(number - 1).event_id if number else None)
    output.send([stored(one) for one in range(number, 3)])
    output.close()
    assert path.read_bytes() == whole


def test_no_more_is_written_than_is_looked_through_after_a_power_cut(output, path, monkeypatch):
    import os

    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(path.stat().st_size if path.exists() else 0))
    long = Stored(1, event(0).event_id, "a" * 64, canonical({**event(0).body, "predictions": ["x" * 99] * 50_000}))
    output.send([long])
    assert path.stat().st_size > 5_000_000
    steps = [late - early for early, late in itertools.pairwise([0, *flushed])]
    assert max(steps) <= 2 << 20


def test_a_long_line_is_read_as_a_whole(output, path):
    long = Stored(1, event(0).event_id, "a" * 64, canonical({**event(0).body, "predictions": ["x" * 99] * 5000}))
    output.send([stored(1), long])
    with path.open("ab") as stream:
        stream.write(b"y" * 200_000)
    assert output.delivered() == event(0).event_id
    assert len(path.read_text().splitlines()) == 2


def test_a_file_of_somebody_else_is_left_as_it_is(output, path):
    path.parent.mkdir()
    path.write_text("my shopping list\nmilk\n")
    with pytest.raises(OutputError, match="no file of ours"):
        output.delivered()
    assert path.read_text() == "my shopping list\nmilk\n"
    for theirs in (b"no end of a line", b"\x7fELF\0\0", b"a line\nand a half"):
        path.write_bytes(theirs)
        with pytest.raises(OutputError, match="no file of ours"):
            output.delivered()
        assert path.read_bytes() == theirs


def test_a_file_that_was_moved_away_begins_anew(output, path):
    output.send([stored(0)])
    path.rename(path.with_suffix(".1"))
    output.send([stored(1)])
    assert (lines_of(path.with_suffix(".1")), lines_of(path)) == ([0], [1])
    path.unlink()
    output.send([stored(2)])
    assert lines_of(path) == [2]


def test_on_a_full_disk_no_half_of_a_line_stays(output, path, monkeypatch):
    import os

    output.send([stored(0)])
    write = os.write

    def full(descriptor, data):
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        output.send([stored(1)])
    monkeypatch.setattr(os, "write", write)
    assert lines_of(path) == [0]
    output.send([stored(1)])
    assert lines_of(path) == [0, 1]


def test_closing_twice_does_nothing(output):
    output.send([stored(0)])
    output.close()
    output.close()

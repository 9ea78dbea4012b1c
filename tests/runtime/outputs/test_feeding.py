import contextlib
import threading

import pytest
from patience import PATIENCE
from store_cases import event

from edge_runtime.errors import OutputError
from edge_runtime.outputs import feeding
from edge_runtime.outputs.base import ElsewhereError, FakeOutput
from edge_runtime.outputs.feeding import Feeder
from edge_runtime.outputs.open import Wanted, wanted_outputs
from edge_runtime.outputs.settings import JsonLines, OutputEntry
from edge_runtime.store.opening import open_store
from edge_runtime.store.reading import open_reader
from edge_runtime.store.writer import Writer


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(feeding, "_RETRY_S", (0.001, 0.002))


@contextlib.contextmanager
def feeding_to(folder, output, stations=("belt",), notices=None):
    """A feeder of a store that is written meanwhile; what it has sent is known to the next one."""
    store = open_store(folder, print)
    sent = store.ledger.register("fake", stations)
    writer = Writer(store, print)
    wanted = Wanted("fake", stations, lambda _: output)
    feeder = Feeder(wanted, output, open_reader(folder), writer, sent, ([] if notices is None else notices).append)
    try:
        yield feeder, writer
    finally:
        feeder.close()
        writer.close()


def bring(writer, *events):
    for one in events:
        writer.put(one)
    assert writer.drain(PATIENCE) == 0


def ids(*numbers):
    return [event(number).event_id for number in numbers]


def test_each_event_is_told_once_in_order_and_across_restarts(tmp_path):
    for start in (0, 10, 20):
        output = FakeOutput()
        with feeding_to(tmp_path, output) as (feeder, writer):
            bring(writer, *(event(number) for number in range(start, start + 10)))
            assert feeder.drain(PATIENCE)
        assert output.told == ids(*range(start, start + 10))
        assert output.closed


def test_only_the_events_of_its_stations_are_told(tmp_path):
    output = FakeOutput()
    with feeding_to(tmp_path, output, ("a", "b")) as (feeder, writer):
        bring(writer, event(0, station="a"), event(1, station="c"), event(2, station="b"))
        assert feeder.drain(PATIENCE)
    assert output.told == ids(0, 2)


def test_what_could_not_be_told_comes_again_and_that_is_said_once(tmp_path):
    output, notices = FakeOutput(refusals=5), []
    with feeding_to(tmp_path, output, notices=notices) as (feeder, writer):
        bring(writer, *(event(number) for number in range(5)))
        assert feeder.drain(PATIENCE)
    assert output.told == ids(*range(5))
    assert [notice.split(",")[0] for notice in notices] == ["fake: cannot be told", "fake: told again"]


def test_a_slip_in_an_output_is_told_and_tried_again(tmp_path):
    class Slipping(FakeOutput):
        def send(self, events):
            if self.refusals:
                self.refusals -= 1
                raise KeyError("slip")
            return super().send(events)

    output, notices = Slipping(refusals=2), []
    with feeding_to(tmp_path, output, notices=notices) as (feeder, writer):
        bring(writer, event(0))
        assert feeder.drain(PATIENCE)
    assert output.told == ids(0)
    assert "KeyError: 'slip'" in notices[0]


def test_what_nobody_takes_waits_for_the_next_start(tmp_path):
    refusing = FakeOutput(refusals=10**9)
    with feeding_to(tmp_path, refusing) as (feeder, writer):
        bring(writer, event(0), event(1))
        assert not feeder.drain(0.0)
    output = FakeOutput()
    with feeding_to(tmp_path, output) as (feeder, writer):
        assert feeder.drain(PATIENCE)
    assert output.told == ids(0, 1)


@pytest.mark.parametrize(("last", "told"), [(0, (1, 2, 3)), (2, (3,)), (9, (3,)), (None, (3,))])
def test_the_receiver_knows_best_where_it_stands_if_the_store_knows_what_it_names(tmp_path, last, told):
    with feeding_to(tmp_path, FakeOutput()) as (feeder, writer):
        bring(writer, event(0), event(1), event(2))
        assert feeder.drain(PATIENCE)
    output = FakeOutput(last=None if last is None else event(last).event_id)
    with feeding_to(tmp_path, output) as (feeder, writer):
        bring(writer, event(3))
        assert feeder.drain(PATIENCE)
    assert output.told == ids(*told)


def test_a_receiver_that_can_be_asked_later_may_know_of_more_and_is_not_told_twice(tmp_path):
    class Later(FakeOutput):
        def __init__(self, *last):
            super().__init__()
            self.known = last

        def send(self, events):
            if self.known:
                known, self.known = self.known, ()
                raise ElsewhereError(known)
            return super().send(events)

    with feeding_to(tmp_path, FakeOutput(refusals=10**9)) as (feeder, writer):
        bring(writer, event(0), event(1), event(2))
        assert not feeder.drain(0.0)
    knowing = Later(event(0).event_id, event(1).event_id, event(7).event_id)
    with feeding_to(tmp_path, knowing) as (feeder, writer):
        assert feeder.drain(PATIENCE)
    assert knowing.told == ids(2)


def test_an_event_that_was_passed_over_is_told_though_the_receiver_knows_a_later_one(tmp_path):
    class Passing(FakeOutput):
        known = tuple(ids(2, 4))  # the last of b and of a

        def send(self, events):
            if self.known:
                known, self.known = self.known, ()
                raise ElsewhereError(known)
            return super().send(events)

    with feeding_to(tmp_path, FakeOutput(refusals=10**9), ("a", "b")) as (feeder, writer):
        bring(writer, *(event(number, station="ba"[number in (3, 4)]) for number in range(6)))
        assert not feeder.drain(0.0)
    passing = Passing()
    with feeding_to(tmp_path, passing, ("a", "b")) as (feeder, writer):
        assert feeder.drain(PATIENCE)
    assert passing.told == ids(5)
    other = Passing()
    other.known = tuple(ids(4))
    with feeding_to(tmp_path / "2", FakeOutput(refusals=10**9), ("a", "b")) as (feeder, writer):
        bring(writer, *(event(number, station="ba"[number in (3, 4)]) for number in range(6)))
        assert not feeder.drain(0.0)
    with feeding_to(tmp_path / "2", other, ("a", "b")) as (feeder, writer):
        assert feeder.drain(PATIENCE)
    assert other.told == ids(0, 1, 2, 3, 4, 5)


def test_an_output_that_hangs_keeps_nobody_from_storing(tmp_path):
    go = threading.Event()

    class Hanging(FakeOutput):
        def send(self, events):
            assert go.wait(PATIENCE)
            return super().send(events)

    output = Hanging()
    with feeding_to(tmp_path, output) as (feeder, writer):
        bring(writer, *(event(number) for number in range(20)))
        assert output.told == []
        go.set()
        assert feeder.drain(PATIENCE)
    assert output.told == ids(*range(20))


def test_an_output_that_can_never_be_told_is_an_error_at_the_start(tmp_path):
    class Wrong(FakeOutput):
        def delivered(self):
            raise OutputError("no file of ours")

    store = open_store(tmp_path, print)
    writer = Writer(store, print)
    with contextlib.closing(open_reader(tmp_path)) as reader, pytest.raises(OutputError):
        Feeder(Wanted("fake", ("belt",), lambda _: Wrong()), Wrong(), reader, writer, 0, print)
    writer.close()


def test_stations_that_name_the_same_output_share_its_queue(tmp_path):
    one, other = (OutputEntry(jsonl=JsonLines(tmp_path / name)) for name in ("a.jsonl", "b.jsonl"))
    found = wanted_outputs([("x", (one, other)), ("y", (one, one)), ("z", ())])
    assert [(wanted.name, wanted.stations) for wanted in found] == [
        (f"jsonl {tmp_path / 'a.jsonl'}", ("x", "y")),
        (f"jsonl {tmp_path / 'b.jsonl'}", ("x",)),
    ]
    found[0].open().close()

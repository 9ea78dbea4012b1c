import contextlib
import http.client
import json
import threading

import pytest
from patience import PATIENCE
from trigger_cases import HandCamera

from edge_runtime.errors import SourceError
from edge_runtime.inspect.secret import Secret
from edge_runtime.station.awaited import Awaited
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.http import http_trigger
from edge_runtime.station.triggers.settings import HttpTrigger
from edge_runtime.store.entries import Event
from edge_tools.station.mosquitto import free_port, reachable


class World:
    """A camera with a trigger, whose frames are taken by a thread into `parts`; `judged` is called with each."""

    def __init__(self, judged=lambda frame, awaited: None, **settings):
        self.camera, self.parts, self.awaited = HandCamera(), [], Awaited()
        self.port = free_port()
        self.error = None
        trigger = http_trigger(HttpTrigger(port=self.port, **settings), Line("belt", awaited=self.awaited))

        def work():
            try:
                for frame in trigger.parts(self.camera):
                    self.parts.append(frame)
                    judged(frame, self.awaited)
            except SourceError as error:
                self.error = error

        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert reachable(self.port)

    def ask(self, path="/trigger", method="POST", headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def asking(self, *arguments, **more):
        """Ask in a thread; returns where the answer will be, and the thread."""
        found = []
        thread = threading.Thread(target=lambda: found.append(self.ask(*arguments, **more)))
        thread.start()
        return found, thread

    def announced(self, count):
        """Frames are taken until so many parts were."""
        while len(self.parts) < count:
            self.camera.take()

    def close(self):
        self.camera.end()
        self.thread.join(PATIENCE)


@contextlib.contextmanager
def world(*arguments, **settings):
    with contextlib.closing(World(*arguments, **{"deadline": PATIENCE, **settings})) as made:
        yield made


def test_a_post_is_answered_when_its_part_is_taken():
    with world() as line:
        found, thread = line.asking("/trigger?part=A%2017")
        line.announced(1)
        thread.join(PATIENCE)
        assert found == [(200, {"part": "A 17", "part_number": 0, "missing": ""})]
        found, thread = line.asking()
        line.announced(2)
        thread.join(PATIENCE)
        assert found[0][1]["part"] is None
        assert [(part.part.number, part.part.id, part.error) for part in line.parts] == [
            (0, "A 17", None),
            (1, None, None),
        ]
    assert not reachable(line.port, 0.05)


def test_a_part_that_no_frame_shows_is_answered_too():
    with world(deadline=0.01) as line:
        status, said = line.ask("/trigger?part=A")
        assert (status, said["part"]) == (200, "A")
        assert "no frame was taken within 0.01 s" in said["missing"]
        assert "no frame" in line.parts[0].error


def test_who_waits_is_told_the_verdict_once_it_is_stored():
    def judged(frame, awaited):
        body = {"event_id": "e", "station": "belt", "verdict": "NG", "part": frame.part.id, "reasons": ["scratch"]}
        awaited.tell(frame.part.number, Event.of(body), 7)

    with world(judged) as line:
        stored = threading.Event()
        tickets = []
        line.awaited._stored = lambda ticket, seconds: tickets.append(ticket) or stored.wait(seconds)
        found, thread = line.asking("/trigger?part=A&wait=60")
        line.announced(1)
        thread.join(0.05)
        assert found == []
        stored.set()
        thread.join(PATIENCE)
        assert (found[0][0], found[0][1]["verdict"], found[0][1]["reasons"]) == (200, "NG", ["scratch"])
        assert tickets == [7]


def test_a_verdict_that_does_not_come_in_time_is_no_verdict():
    with world() as line:
        found, thread = line.asking("/trigger?part=A&wait=0.01s")
        line.announced(1)
        thread.join(PATIENCE)
        assert (found[0][0], "verdict" in found[0][1]) == (504, False)
        assert line.awaited._asked == {}


def test_two_triggers_in_quick_succession_are_two_parts():
    with world() as line:
        asked = [line.asking(f"/trigger?part={name}") for name in "AB"]
        line.announced(2)
        for _, thread in asked:
            thread.join(PATIENCE)
        assert sorted(part.part.id for part in line.parts) == ["A", "B"]
        assert sum(part.error is None for part in line.parts) >= 1


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/", "POST", {}, 404),
        ("/trigger", "GET", {}, 405),
        ("/trigger?parts=A", "POST", {}, 400),
        ("/trigger?part=A&part=B", "POST", {}, 400),
        ("/trigger?wait=soon", "POST", {}, 400),
        ("/trigger?wait=1000", "POST", {}, 400),
        ("/trigger?part=%00", "POST", {}, 400),
        ("/trigger", "POST", {"Content-Length": "x"}, 400),
        ("/trigger", "POST", {"Content-Length": "99999999"}, 400),
        ("/trigger", "POST", {"Origin": "http://evil"}, 403),
    ],
)
def test_what_is_no_trigger_announces_nothing(path, method, headers, status):
    with world() as line:
        assert line.ask(path, method, headers)[0] == status
    assert line.parts == []


def test_a_token_is_asked_for_where_there_is_one():
    with world(token=Secret("x", "geheim")) as line:
        for headers in ({}, {"Authorization": "Bearer falsch"}, {"Authorization": "geheim"}):
            status, said = line.ask(headers=headers)
            assert (status, "geheim" in json.dumps(said)) == (401, False)
        found, thread = line.asking(headers={"Authorization": "Bearer geheim"})
        line.announced(1)
        thread.join(PATIENCE)
        assert found[0][0] == 200


def test_a_port_that_is_taken_is_said():
    with world() as line:
        trigger = http_trigger(HttpTrigger(port=line.port), Line("belt"))
        with pytest.raises(SourceError, match=rf"cannot listen at 127.0.0.1:{line.port}: .*another address or port"):
            next(trigger.parts(HandCamera()))


def test_a_body_is_taken_and_not_looked_at():
    with world() as line:
        found, thread = line.asking(body=b"x" * 1000)
        line.announced(1)
        thread.join(PATIENCE)
        assert found[0][0] == 200

import contextlib
import threading

import pytest
from net_cases import Ear, needs_mosquitto
from patience import PATIENCE
from trigger_cases import HandCamera

from edge_runtime.outputs import mqtt_link
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.mqtt import mqtt_trigger, part_of
from edge_runtime.station.triggers.settings import MqttTrigger
from edge_tools.station.mosquitto import Mosquitto


class Sayings:
    """What a station says, for a test to wait for."""

    def __init__(self):
        self.said, self._changed = [], threading.Condition()

    def __call__(self, line):
        with self._changed:
            self.said.append(line)
            self._changed.notify_all()

    def wait(self, what, count=1):
        with self._changed:
            assert self._changed.wait_for(lambda: sum(what in line for line in self.said) >= count, PATIENCE), self.said


@needs_mosquitto
def test_messages_are_parts_but_not_those_of_before_and_an_outage_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt_link, "_RECONNECT_S", (0.02, 0.05))
    camera, found, says = HandCamera(), [], Sayings()
    broker = Mosquitto(tmp_path / "broker")
    settings = MqttTrigger(url=broker.url, topic="line/+/part", part="id", deadline=PATIENCE)
    trigger = mqtt_trigger(settings, Line("belt", say=says))
    thread = threading.Thread(target=lambda: found.extend(trigger.parts(camera)))

    def taken(count):
        while len(found) < count:
            camera.take()

    with broker, contextlib.closing(Ear(broker.port, "nothing")) as ear:
        ear.say("line/1/part", '{"id": "old"}', retain=True)
        thread.start()
        says.wait("is listened to")
        for number, payload in enumerate(['{"id": "A17"}', '{"id": 5}', "no JSON"]):
            ear.say("line/2/part", payload)
            taken(number + 1)
        broker.stop()
        says.wait("NOT HEARD OF")
        broker.start()
        says.wait("is listened to", 2)
        ear.say("line/1/part", '{"id": "B"}')
        taken(4)
        camera.end()
        thread.join(PATIENCE)
    assert [(frame.part.number, frame.part.id, frame.error) for frame in found] == [
        (0, "A17", None), (1, "5", None), (2, None, None), (3, "B", None),
    ]  # fmt: skip
    says.wait("a part without its id, line/2/part: expected JSON with the key id")


@pytest.mark.parametrize(
    ("payload", "key", "part", "why"),
    [
        (b" A17\n", "", "A17", ""),
        (b"", "", None, ""),
        (b"\xff", "", None, "UTF-8"),
        (b"x" * 257, "", None, "256"),
        (b'{"id": "A"}', "id", "A", ""),
        (b'{"id": 7}', "id", "7", ""),
        (b'{"id": true}', "id", None, "no text"),
        (b'{"id": null}', "id", None, "no text"),
        (b'{"ID": "A"}', "id", None, "the key id"),
        (b"[1]", "id", None, "the key id"),
        (b"[" * 100_000, "id", None, "the key id"),
    ],
)
def test_a_payload_is_the_parts_id_or_holds_it(payload, key, part, why):
    found, said = part_of(payload, key)
    assert found == part
    assert why in said
    assert bool(why) == bool(said)


@pytest.mark.parametrize("topic", ["a+/b", "a/#/b", "a#", "", "a\x00"])
def test_what_is_no_topic_is_said(topic):
    with pytest.raises(ValueError, match="topic"):
        MqttTrigger(url="mqtt://x", topic=topic)

"""A station with its network: triggers in, verdicts out."""

import contextlib
import http.client
import json
import threading
import urllib.request

import pytest
from net_cases import Receiver
from patience import PATIENCE
from station_world import PICTURE, StationWorld
from store_cases import reading
from trigger_cases import HandCamera

from edge_runtime.inspect import pipeline
from edge_tools.station.mosquitto import free_port, reachable

RECIPE = """
store: store
stations:
  belt:
    source: a.mp4
    bundle: m.edge
    trigger: {{http: {{port: {trigger}, deadline: 5min}}}}
    outputs: [jsonl: v.jsonl, webhook: "http://127.0.0.1:{hook}/${{TOKEN}}", prometheus: {page}]
"""


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


class Station:
    """Runs in a thread."""

    def __init__(self, world, receiver):
        self.trigger, self.page = free_port(), free_port()
        recipe = RECIPE.format(trigger=self.trigger, page=self.page, hook=receiver.port)
        self.thread = threading.Thread(target=lambda: world.run(recipe, TOKEN="geheim!"))
        self.thread.start()
        assert reachable(self.trigger)

    def ask(self, query):
        connection = http.client.HTTPConnection("127.0.0.1", self.trigger, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", f"/trigger?{query}")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/metrics") as answer:
            return answer.read().decode()


def test_a_trigger_waits_for_its_verdict_and_everybody_is_told_of_it(tmp_path, monkeypatch, receiver):
    world = StationWorld(tmp_path, monkeypatch)
    world.pictures = [PICTURE] * 3
    station = Station(world, receiver)
    answers = [station.ask(f"part=A{number}&wait=60") for number in range(2)]
    assert [(status, said["part"], said["verdict"]) for status, said in answers] == [
        (200, "A0", "OK"),
        (200, "A1", "NG"),
    ]
    page = station.metrics()
    assert 'edgeline_verdicts_total{station="belt",verdict="NG"} 1.0' in page
    assert f'edgeline_output_waiting_events{{output="jsonl {tmp_path / "v.jsonl"}"}}' in page
    assert "geheim" not in page
    status, said = station.ask("part=A2")
    assert (status, said["part_number"]) == (200, 2)
    station.thread.join(PATIENCE)
    assert not station.thread.is_alive()
    lines = world.lines("v.jsonl")
    assert [line["part"] for line in lines] == ["A0", "A1", "A2"]
    assert [json.loads(body) for _, _, body in receiver.asked] == lines
    assert {path for path, _, _ in receiver.asked} == {"/geheim!"}
    assert [said["event_id"] for _, said in answers] == [line["event_id"] for line in lines[:2]]


def test_of_a_camera_the_frame_after_the_trigger_is_judged(tmp_path, monkeypatch, receiver):
    world, camera = StationWorld(tmp_path, monkeypatch), HandCamera()
    monkeypatch.setattr(pipeline, "open_source", lambda *_: camera)
    station = Station(world, receiver)
    camera.take()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(station.ask("part=A&wait=60")))
    asking.start()
    while asking.is_alive():
        camera.take()
    assert answers[0][1]["frame_id"] >= 1
    assert answers[0][1]["clock"]["taken_s"] > 0
    world.stop.end()
    camera.end()
    station.thread.join(PATIENCE)
    with reading(tmp_path / "store") as reader:
        assert reader.waiting(0, ["belt"]) == 1

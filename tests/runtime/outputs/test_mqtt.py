import contextlib
import json
import subprocess
import threading
import time

import pytest
from net_cases import Ear, Wire, certificates, needs_mosquitto
from patience import PATIENCE
from store_cases import event, opened, reading

from edge_runtime.errors import DependencyError, OutputError, UsageError
from edge_runtime.inspect.secret import Secret
from edge_runtime.outputs import feeding, mqtt, mqtt_link
from edge_runtime.outputs.base import ElsewhereError, published
from edge_runtime.outputs.feeding import Feeder
from edge_runtime.outputs.open import Wanted
from edge_runtime.outputs.settings import Mqtt
from edge_runtime.store.entries import Batch
from edge_runtime.store.opening import open_store
from edge_runtime.store.reading import open_reader
from edge_runtime.store.writer import Writer
from edge_tools.station.mosquitto import Mosquitto, free_port

pytestmark = needs_mosquitto


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(mqtt_link, "_RECONNECT_S", (0.02, 0.05))
    monkeypatch.setattr(feeding, "_RETRY_S", (0.01, 0.02))
    monkeypatch.setattr(mqtt, "_PATIENCE_S", 1.0)


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def ear(broker):
    with contextlib.closing(Ear(broker.port)) as ear:
        yield ear


def events(folder, count=10, stations=("belt",)):
    with opened(folder / "store") as store:
        found = tuple(event(number, station=stations[number % len(stations)]) for number in range(count))
        store.ledger.append(Batch(found))
    with reading(folder / "store") as reader:
        return reader.after(0, stations)


def output(url, stations=("belt",), **settings):
    return contextlib.closing(mqtt.MqttOutput(Mqtt(url=url, **settings), stations))


def tell(told, found):
    """As the feeder does, until some are told."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OutputError):
            return told.send(found)
    raise AssertionError("nothing is told")


def refusal(told, found, word, kind=OutputError):
    """As the feeder does, until it is refused with that word."""
    until, last = time.monotonic() + PATIENCE, None
    while time.monotonic() < until:
        try:
            raise AssertionError(f"{told.send(found)} are told")
        except OutputError as error:
            last = error
            if isinstance(error, kind) and word in str(error):
                return error
    raise AssertionError(f"{last}")


def all_heard(ear, count):
    """Wait for so many verdicts and that the last word is offline. (It may have been before, when a broker ended.)"""
    ear.wait(lambda: len(ear.verdicts()) >= count and ear.heard[-1][1] == "offline")


def test_each_event_is_a_message_of_its_station_and_the_last_one_is_retained(broker, ear, tmp_path):
    found = events(tmp_path, 10, ("a", "b"))
    with output(broker.url, ("a", "b"), prefix="hall/7") as told:
        assert told.delivered() is None
        assert tell(told, found) == 10
    all_heard(ear, 10)
    assert ear.verdicts() == [published(one) for one in found]
    assert [topic for topic, _, _ in ear.heard if topic.endswith("verdict")] == [
        "hall/7/a/verdict",
        "hall/7/b/verdict",
    ] * 5
    client = mqtt_link.client_id(Mqtt(url=broker.url), "hall/7", "a", "b")
    online = [value for topic, value, _ in ear.heard if topic == f"hall/7/_online/{client}"]
    assert online == ["online", "offline"]
    with contextlib.closing(Ear(broker.port, "hall/7/b/verdict", "late")) as late:
        late.wait(lambda: bool(late.heard))
    assert late.heard == [("hall/7/b/verdict", published(found[-1]), True)]


def test_a_station_that_is_gone_without_a_word_is_offline_by_its_last_will(broker, ear):
    with contextlib.closing(Wire(broker.port)) as wire, output(f"mqtt://127.0.0.1:{wire.port}") as told:
        ear.wait(lambda: any(value == "online" for _, value, _ in ear.heard))
        wire.cut()
        ear.wait(lambda: [value for _, value, _ in ear.heard] == ["online", "offline", "online"])
    assert told.delivered() is None


def test_what_the_broker_took_is_not_sent_again_where_its_acknowledgement_was_lost(broker, ear, tmp_path):
    found = events(tmp_path)
    with contextlib.closing(Wire(broker.port)) as wire, output(f"mqtt://127.0.0.1:{wire.port}") as told:
        assert tell(told, found[:2]) == 2
        wire.deaf.set()
        threading.Thread(target=lambda: wire.swallowed.wait(PATIENCE) and wire.cut()).start()
        with pytest.raises(OutputError, match=r"the connection is lost|it does not acknowledge"):
            told.send(found[2:3])
        assert refusal(told, found[2:], "", ElsewhereError).last == (found[2].event_id,)
        assert tell(told, found[3:]) == 7
    all_heard(ear, len(found))
    assert [one["event_id"] for one in ear.verdicts()] == [one.event_id for one in found]


def test_a_broker_that_does_not_acknowledge_is_left(broker, ear, tmp_path):
    found = events(tmp_path)
    with contextlib.closing(Wire(broker.port)) as wire, output(f"mqtt://127.0.0.1:{wire.port}") as told:
        assert tell(told, found[:1]) == 1
        wire.deaf.set()
        with pytest.raises(OutputError, match="it does not acknowledge"):
            told.send(found[1:2])
        wire.cut()
        assert tell(told, found[2:]) == 8
    all_heard(ear, len(found))
    assert [one["event_id"] for one in ear.verdicts()] == [one.event_id for one in found]


def test_through_restarts_of_the_broker_nothing_is_lost_none_comes_twice_and_all_in_order(broker, ear, tmp_path):
    store = open_store(tmp_path / "store", print)
    writer = Writer(store, print)
    made = mqtt.MqttOutput(Mqtt(url=broker.url), ("belt",))
    sent = store.ledger.register("mqtt", ("belt",))
    feeder = Feeder(
        Wanted("mqtt", ("belt",), lambda _: made), made, open_reader(tmp_path / "store"), writer, sent, print
    )
    expected = []
    try:
        for round_ in range(3):
            for number in range(100 * round_, 100 * round_ + 100):
                expected.append(event(number).event_id)
                writer.put(event(number))
            broker.stop()  # while it is told of them
            assert writer.drain(PATIENCE) == 0
            broker.start()
        assert feeder.drain(PATIENCE)
    finally:
        feeder.close()
        writer.close()
    all_heard(ear, len(expected))
    assert [one["event_id"] for one in ear.verdicts()] == expected


def test_home_assistant_finds_the_stations(broker, ear):
    with output(broker.url, ("a", "b"), home_assistant="homeassistant"):
        ear.wait(lambda: any(value == "online" for _, value, _ in ear.heard))
    found = {topic: value for topic, value, _ in ear.heard if topic.startswith("homeassistant/")}
    assert len(found) == 6
    assert len({config["unique_id"] for config in found.values()}) == 6
    verdict = found["homeassistant/sensor/edgeline_edgeline_a/verdict/config"]
    assert (verdict["state_topic"], verdict["options"]) == ("edgeline/a/verdict", ["OK", "WARN", "NG", "NO_READ"])
    assert verdict["availability_topic"] in [topic for topic, value, _ in ear.heard if value == "online"]


def test_tls_and_passwords(tmp_path, capfd):
    ca, certificate, key = certificates(tmp_path / "tls")
    words = tmp_path / "words"
    words.write_text("me:geheim!\n")
    try:
        subprocess.run(["mosquitto_passwd", "-U", words], check=True)
    except FileNotFoundError:
        pytest.skip("mosquitto_passwd is not installed")
    lines = [
        f"cafile {ca}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "allow_anonymous false",
        f"password_file {words}",
    ]
    found = events(tmp_path, 2)
    with Mosquitto(tmp_path / "broker", lines) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        me, right, wrong = (Secret("${X}", value, {"X": value}) for value in ("me", "geheim!", "falsch!"))
        with output(url, user=me, password=right, ca=ca) as told:
            assert tell(told, found) == 2
        with output(url, user=me, password=wrong, ca=ca) as told:
            assert "falsch" not in str(refusal(told, found, "Not authorized"))
    with pytest.raises(UsageError, match="PEM files are expected"):
        output(url, ca=tmp_path / "nothing.pem")
    assert "geheim" not in "".join(capfd.readouterr())


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves the socket to the collector
def test_a_broker_whose_certificate_nobody_knows_is_told_nothing(tmp_path):
    ca, certificate, key = certificates(tmp_path / "tls")
    found = events(tmp_path, 1)
    lines = [f"cafile {ca}", f"certfile {certificate}", f"keyfile {key}", "allow_anonymous true"]
    with (
        Mosquitto(tmp_path / "broker", lines) as broker,
        output(f"mqtts://127.0.0.1:{broker.port}") as told,
    ):
        refusal(told, found, "certificate verify failed")


def test_what_the_broker_refuses_is_said(tmp_path):
    (tmp_path / "acl").write_text("topic write edgeline/_online/#\ntopic read #\n")
    found = events(tmp_path, 2)
    lines = ["allow_anonymous true", f"acl_file {tmp_path / 'acl'}"]
    with (
        Mosquitto(tmp_path / "broker", lines) as broker,
        output(broker.url) as told,
    ):
        refusal(told, found, "it refuses edgeline/belt/verdict: Not authorized")


def test_a_station_that_the_broker_refuses_holds_up_the_others_and_none_comes_twice(tmp_path):
    acl = tmp_path / "acl"
    allowed = "topic write edgeline/_online/#\ntopic read #\ntopic write edgeline/b/verdict\n"
    acl.write_text(allowed)
    found = events(tmp_path, 6, ("b", "a"))
    with (
        Mosquitto(tmp_path / "broker", ["allow_anonymous true", f"acl_file {acl}"]) as broker,
        contextlib.closing(Ear(broker.port)) as ear,
    ):
        with output(broker.url, ("a", "b")) as told:
            assert tell(told, found[:2]) == 1
            refusal(told, found[1:3], "it refuses edgeline/a/verdict")
            acl.write_text(allowed + "topic write edgeline/a/verdict\n")
            broker.stop()
            broker.start()
            assert tell(told, found[1:]) == 5
        all_heard(ear, len(found))
        assert sorted(one["event_id"] for one in ear.verdicts()) == [one.event_id for one in found]


def test_a_broker_that_is_not_there_is_named(tmp_path):
    port = free_port()
    found = events(tmp_path, 1)
    with output(f"mqtt://127.0.0.1:{port}") as told:
        assert f"no connection to mqtt://127.0.0.1:{port}: " in str(refusal(told, found, "refused"))


def test_without_paho_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "paho.mqtt.client", None)
    with pytest.raises(DependencyError, match=r"edgeline\[station\]"):
        output("mqtt://127.0.0.1")


def test_a_foreign_message_in_our_topic_is_no_event_of_ours(broker, ear, tmp_path):
    for payload in ("[1]", '{"event_id": "x"}'):
        ear.say("edgeline/belt/verdict", payload, retain=True)
        with output(broker.url) as told:
            assert tell(told, events(tmp_path / payload[0], 1)) == 1
    assert json.dumps(ear.heard)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "tcp://x"}, "a broker is mqtt://"),
        ({"url": "mqtt://me:pw@x"}, "keys of their own"),
        ({"url": "mqtt://x:99999"}, "a broker is"),
        ({"url": "mqtt://x", "prefix": "a/#"}, "a topic does not"),
        ({"url": "mqtt://x", "certificate": "a.pem"}, "are for TLS"),
        ({"url": "mqtts://x", "certificate": "a.pem"}, "come together"),
        ({"url": "mqtt://x", "password": Secret("a", "a")}, "needs its user"),
        ({"url": "mqtt://x", "client": "a b"}, "client has letters"),
    ],
)
def test_what_is_no_broker_is_said(settings, why):
    with pytest.raises(ValueError, match=why):
        Mqtt(**settings)


def test_hosts_and_ports_are_what_they_look_like():
    found = [Mqtt(url=url) for url in ("mqtt://a", "mqtts://b.c/", "mqtt://[::1]:1", "mqtt://1.2.3.4:99")]
    assert [(one.host, one.port) for one in found] == [("a", 1883), ("b.c", 8883), ("::1", 1), ("1.2.3.4", 99)]
    assert found[1].queue == "b.c:8883/edgeline"

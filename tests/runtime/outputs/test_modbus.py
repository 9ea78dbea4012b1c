"""Modbus TCP against pymodbus's real server on the loopback."""

import json
import threading

import pytest

pytest.importorskip("pymodbus")

from controllers import controller

from edge_runtime.errors import OutputError
from edge_runtime.files.boot import boot_id
from edge_runtime.outputs.handshake import FakeWires, Seen, Shown, shown_as
from edge_runtime.outputs.handshaking import HandshakeOutput
from edge_runtime.outputs.modbus import open_modbus_wires
from edge_runtime.outputs.shaking_settings import ModbusLink, ModbusOutput
from edge_runtime.store.reading import Stored


def event(seq, verdict="OK", taken_s=1000.0, boot=None):
    clock = {"taken_s": taken_s, "boot": boot_id() if boot is None else boot}
    return Stored(seq, f"e{seq}", "h", json.dumps({"event_id": f"e{seq}", "verdict": verdict, "clock": clock}))


@pytest.fixture(scope="module")
def plc():
    with controller() as made:
        yield made


@pytest.fixture
def clean(plc):
    plc.say(0, False, False)
    plc.say(100, *[False] * 8)
    return plc


def link(plc, **settings):
    return ModbusLink(address=f"127.0.0.1:{plc.port}", **settings)


def test_bits_are_coils_and_come_and_go_as_they_are_said(clean):
    wires = open_modbus_wires(link(clean, numbers_at=20))
    clean.say(100, *[True] * 8)  # what a run that was killed left behind
    wires.write(Shown(ready=True))
    assert clean.bits() == {"ready"}
    assert wires.read() == Seen()
    clean.say(0, True, True)
    assert wires.read() == Seen(True, True)
    wires.write(shown_as("WARN", Shown(part=7)))
    assert clean.bits() == {"valid", "ok", "warn"}
    assert clean.words(20, 2) == [7, 2]
    wires.write(Shown(part=7, alive=True))
    assert clean.bits() == {"alive"}
    assert clean.words(20, 2) == [7, 0]
    wires.close()


def test_bits_may_be_those_of_registers_and_a_part_may_have_a_name(clean):
    wires = open_modbus_wires(link(clean, words=True, read=10, write=11, id_at=30, id_words=4))
    name = b"PART-42\0"
    clean.put(30, *(int.from_bytes(name[n : n + 2], "big") for n in range(0, 8, 2)))
    clean.put(10, 1)
    assert wires.read() == Seen(True, False, part="PART-42")
    wires.write(shown_as("NG", Shown()))
    assert clean.words(11, 1) == [0b00010100]
    clean.put(10, 2)
    assert wires.read() == Seen(False, True)
    wires.close()


def test_valid_goes_up_last_and_is_never_up_beside_half_a_result(clean, monkeypatch):
    wires = open_modbus_wires(link(clean))
    said = []
    monkeypatch.setattr(type(wires), "_bits", lambda self, shown: said.append(shown))
    wires.write(Shown(busy=True))
    wires.write(shown_as("OK", Shown()))
    wires.write(shown_as("OK", Shown(alive=True)))  # alive goes on meanwhile
    wires.write(Shown())
    valid = [(shown.valid, shown.ok) for shown in said]
    assert valid == [(False, False), (False, False), (False, True), (True, True), (True, True), (False, False)]


def test_a_controller_that_refuses_an_address_is_named_with_what_to_check(clean):
    wires = open_modbus_wires(link(clean, read=5000))
    with pytest.raises(OutputError, match=r"refuses to read coils at 5000, unit 1: .*check|0 of 2 values at 5000"):
        wires.read()
    wires.close()


def test_a_controller_that_is_not_there_is_found_again_when_it_is():
    with controller() as first:
        port = first.port
        wires = open_modbus_wires(ModbusLink(address=f"127.0.0.1:{port}"))
        assert wires.read() == Seen()
        wires.write(Shown(ready=True))
    with pytest.raises(OutputError, match=f"127.0.0.1:{port} "):
        any(wires.read() for _ in range(3))
    with controller(port) as second:
        assert wires.read() == Seen()
        wires.write(Shown(ready=True))
        assert second.bits() == {"ready"}
    wires.close()


def test_an_output_tells_results_one_by_one_each_acknowledged(clean):
    output = HandshakeOutput(
        open_modbus_wires(ModbusOutput(address=f"127.0.0.1:{clean.port}", numbers_at=20, poll=0.001)),
        ModbusOutput(address="x", poll=0.001, acknowledge_within=60.0),
        lambda: 1000.5,
    )
    seen = []

    def program():
        for _ in range(3):
            bits = clean.until(lambda bits: "valid" in bits)
            seen.append((bits - {"alive", "valid"}, clean.words(20, 2)))
            clean.say(1, True)
            clean.until(lambda bits: not bits & {"valid", "ok", "ng", "no_read"})
            clean.say(1, False)

    thread = threading.Thread(target=program)
    thread.start()
    for number, verdict in enumerate(["OK", "NG", "NO_READ"]):
        assert output.send([event(5 + number, verdict)]) == 1
    thread.join()
    output.close()
    assert seen == [({"ok"}, [5, 1]), ({"ng"}, [6, 3]), ({"no_read"}, [7, 4])]
    assert clean.bits() == set()


class Timed(FakeWires):
    """Wires of a controller that acknowledges at once; it remembers what was valid."""

    def read(self):
        return Seen(acknowledged=bool(self.told) and self.told[-1].valid)

    @property
    def results(self):
        return [
            (shown.part, next(bit for bit in ("ok", "ng", "no_read") if getattr(shown, bit)))
            for shown in self.told
            if shown.valid
        ]


def told(*events, now=1000.5, mode="bit"):
    wires = Timed()
    output = HandshakeOutput(wires, ModbusOutput(address="x", acknowledge=mode, result_within=1.0), lambda: now)
    counts = []
    left = list(events)
    while left:
        counts.append(output.send(left))
        left = left[counts[-1] :]
    return counts, wires


def test_what_waited_through_an_outage_is_not_told_as_if_it_were_new():
    old = [event(number, "OK", 900.0) for number in range(1, 1001)]
    counts, wires = told(*old, event(1001, "NG"))
    assert counts == [1001]
    assert wires.results == [(1001, "ng")]
    counts, wires = told(*old)
    assert (counts, wires.results) == ([1000], [(1000, "no_read")])


def test_a_result_from_before_the_machine_was_started_is_never_taken_for_new():
    _, wires = told(event(3, "OK", 1000.4, boot="another"))
    assert wires.results == [(3, "no_read")]


def test_alive_changes_with_each_result_and_with_nothing_else():
    for mode in ("bit", "none"):
        _, wires = told(*[event(number) for number in range(1, 5)], mode=mode)
        assert [shown.alive for shown in wires.told if shown.valid] == [True, False, True, False]
        assert len(wires.results) == 4


def test_a_controller_that_never_acknowledges_is_an_error_and_the_result_goes_away():
    wires = FakeWires()
    now = iter(range(1000, 2000))
    output = HandshakeOutput(wires, ModbusOutput(address="x", poll=1e-9, result_within=500.0), lambda: next(now))
    with pytest.raises(OutputError, match="did not acknowledge a result within 2 s"):
        output.send([event(1)])
    assert not wires.told[-1].valid
    assert not wires.told[-1].ok


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"address": "a:b"}, "HOST:PORT"),
        ({"address": "a", "unit": 256}, "unit is 0 to 255"),
        ({"address": "a", "read": 99}, "read and write lie over one another"),
        ({"address": "a", "numbers_at": 3, "id_at": 0}, "numbers_at and id_at lie over one another"),
        ({"address": "a", "write": 65530}, "write is an address"),
        ({"address": "a", "poll": 0.0}, "longer than nothing"),
        ({"address": "a", "acknowledge": "trigger"}, "no trigger that could acknowledge"),
    ],
)
def test_what_cannot_be_is_refused(settings, what):
    with pytest.raises(ValueError, match=what):
        ModbusOutput(**settings)


def test_an_address_has_a_port_or_has_502():
    parted = [(made.host, made.port) for text in ("plc", "plc:1502", "[::1]:1502", "::1", "[fe80::1]")
              for made in [ModbusLink(address=text)]]  # fmt: skip
    assert parted == [("plc", 502), ("plc", 1502), ("::1", 1502), ("::1", 502), ("fe80::1", 502)]

"""A station that a controller triggers: over Modbus TCP with pymodbus's real server, over GPIO where there is some."""

import threading
from pathlib import Path

import pytest

pytest.importorskip("pymodbus")

from controllers import Controller, controller
from patience import PATIENCE
from station_world import PICTURE, StationWorld
from trigger_cases import HandCamera

from edge_runtime.errors import DependencyError, OutputError, UsageError
from edge_runtime.outputs import gpio, modbus
from edge_runtime.outputs.handshake import FakeWires, Seen, Shown
from edge_runtime.outputs.shaking_settings import GpioLines
from edge_runtime.station.check import look_for
from edge_runtime.station.recipe.load import read_recipe
from edge_runtime.station.triggers.base import Line
from edge_runtime.station.triggers.handshake import HandshakeListener, shaking
from edge_runtime.station.triggers.settings import ModbusTrigger
from edge_runtime.station.triggers.signalled import SignalledTrigger, Signals
from edge_runtime.store.entries import Event

RECIPE = """
store: store
stations:
  belt:
    source: a.mp4
    bundle: m.edge
    trigger:
      modbus: {address: "127.0.0.1:PORT", numbers_at: 20, id_at: 30, poll: 1ms, result_within: 5min}
    outputs: [jsonl: verdicts.jsonl]
"""


def name(plc: Controller, text: str) -> None:
    data = text.encode().ljust(16, b"\0")
    plc.put(30, *(int.from_bytes(data[n : n + 2], "big") for n in range(0, 16, 2)))


def test_a_controller_triggers_parts_and_is_told_the_result_of_each(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_runtime.station.triggers.handshake._END_S", PATIENCE)
    world = StationWorld(tmp_path, monkeypatch)
    world.pictures = [PICTURE, PICTURE, "half of it", PICTURE]
    results = []
    with controller() as plc:

        def program():
            for number in range(4):
                plc.until(lambda bits: "ready" in bits)
                name(plc, f"P{number}")
                plc.say(0, True)
                bits = plc.until(lambda bits: "valid" in bits)
                results.append((bits - {"valid", "alive"}, plc.words(20, 2)))
                plc.say(0, True, True)
                plc.until(lambda bits: not bits & {"valid", "ok", "ng", "no_read", "busy"})
                plc.say(0, False, False)

        thread = threading.Thread(target=program)
        thread.start()
        world.run(RECIPE.replace("PORT", str(plc.port)))
        thread.join()
        assert plc.bits() <= {"alive"}
    assert results == [({"ok"}, [1, 1]), ({"ng"}, [2, 3]), ({"no_read"}, [3, 4]), ({"ok"}, [4, 1])]
    lines = world.lines()
    assert [(line["part"], line["verdict"]) for line in lines] == [
        ("P0", "OK"), ("P1", "NG"), ("P2", "NO_READ"), ("P3", "OK"),
    ]  # fmt: skip


class Bench:
    """A listener of a station with wires of the test's, and verdicts that it gives."""

    def __init__(self, **settings):
        self.said = []
        self.wires = FakeWires()
        self.changed = threading.Condition()
        write = self.wires.write

        def told(shown):
            with self.changed:
                write(shown)
                self.changed.notify_all()

        self.wires.write = told
        line = Line("belt", say=self.said.append)
        chosen = ModbusTrigger(address="x", poll=0.001, heartbeat=0.001, **settings)
        self.signals = Signals(line, chosen)
        self.listener = HandshakeListener(self.signals, self.wires, chosen)

    def until(self, there):
        with self.changed:
            assert self.changed.wait_for(lambda: self.wires.told and there(self.wires.told[-1]), PATIENCE)
            return self.wires.told[-1]

    def judge(self, number, verdict):
        body = {"event_id": f"e{number}", "station": "belt", "verdict": verdict, "part": None}
        self.signals.line.awaited.tell(number, Event.of(body), 1)


@pytest.fixture
def bench():
    made = []

    def make(**settings):
        made.append(Bench(**settings))
        return made[-1]

    yield make
    for one in made:
        one.listener.close()
        assert one.wires.closed
        assert one.wires.told[-1].bits == Shown().bits


def test_a_verdict_that_does_not_come_in_time_is_no_read_and_alive_stands_still_until_it_does(bench):
    one = bench(result_within=0.05)
    one.until(lambda shown: shown.ready)
    one.wires.seen = Seen(trigger=True)
    late = one.until(lambda shown: shown.valid)
    assert (late.no_read, late.ok) == (True, False)
    one.wires.seen = Seen(acknowledged=True)
    one.until(lambda shown: not shown.valid)
    one.wires.seen = Seen()
    before = len(one.wires.told)
    with one.changed:
        one.changed.wait_for(lambda: len(one.wires.told) > before + 20, PATIENCE)
        alive = {shown.alive for shown in one.wires.told[before:]}
        ready = any(shown.ready for shown in one.wires.told[before + 1 :])
    assert (len(alive), ready) == (1, False)
    assert one.said == ["belt: a verdict came too late, the controller was told NO_READ"]
    one.judge(0, "OK")
    one.until(lambda shown: shown.ready)
    one.until(lambda shown: shown.alive)
    one.until(lambda shown: not shown.alive)
    assert not any(shown.ok for shown in one.wires.told)


def test_a_controller_that_goes_away_and_comes_back_is_told_no_old_result(bench):
    one = bench(result_within=500.0)
    one.until(lambda shown: shown.ready)
    one.wires.seen = Seen(trigger=True)
    one.until(lambda shown: shown.busy)
    read = one.wires.read
    gone = threading.Event()

    def away():
        gone.set()
        raise OutputError("no answer")

    one.wires.read = away
    assert gone.wait(PATIENCE)
    one.judge(0, "OK")
    one.wires.seen = Seen(trigger=True)
    one.wires.read = read
    assert one.until(lambda shown: shown.valid).no_read
    assert one.said[0] == "belt: no handshake with the controller: no answer"
    assert "triggered while nobody looked" in " ".join(one.said)
    assert not any(shown.ok for shown in one.wires.told)


def test_a_part_that_is_refused_is_no_read(bench):
    one = bench(result_within=500.0)
    one.until(lambda shown: shown.ready)
    one.signals.close("the station ends")
    one.wires.seen = Seen(trigger=True)
    assert one.until(lambda shown: shown.valid).no_read


def test_frames_are_those_that_the_camera_takes_after_the_trigger():
    with controller() as plc:
        camera = HandCamera()
        settings = ModbusTrigger(address=f"127.0.0.1:{plc.port}", poll=0.001, deadline=PATIENCE)
        trigger = SignalledTrigger(settings, Line("belt"), shaking(settings, modbus.open_modbus_wires))
        camera.take()
        parts = trigger.parts(camera)
        found = []
        thread = threading.Thread(target=lambda: found.append(next(parts)))
        thread.start()
        plc.until(lambda bits: "ready" in bits)
        plc.say(0, True)
        plc.until(lambda bits: "busy" in bits)
        camera.take()
        thread.join()
        parts.close()
    assert [(frame.frame_id, frame.part.number) for frame in found] == [(1, 0)]


GPIO_SIM = Path("/sys/kernel/config/gpio-sim")


@pytest.mark.skipif(not GPIO_SIM.is_dir(), reason="the kernel has no gpio-sim here: GPIO lines are untried")
def test_gpio_lines_are_a_handshake_on_the_kernels_own():
    pytest.importorskip("gpiod")
    place = GPIO_SIM / "edgeline-test"
    bank = place / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text("8")
    (place / "live").write_text("1")
    try:
        chip = (bank / "chip_name").read_text().strip()
        lines = next(Path("/sys/devices/platform").glob(f"{(place / 'dev_name').read_text().strip()}/{chip}"))
        wires = gpio.open_gpio_wires(GpioLines(chip=f"/dev/{chip}", trigger=0, valid=1, ok=2, ng=3, debounce=1e-6))
        assert wires.read() == Seen()
        wires.write(Shown(valid=True, ok=True))
        assert [(lines / f"sim_gpio{n}/value").read_text().strip() for n in (1, 2, 3)] == ["1", "1", "0"]
        (lines / "sim_gpio0/pull").write_text("pull-up")
        (lines / "sim_gpio0/pull").write_text("pull-down")
        seen = wires.read()
        assert (seen.rose, seen.trigger) == (True, False)
        wires.close()
    finally:
        (place / "live").write_text("0")
        bank.rmdir()
        place.rmdir()


def test_a_chip_that_is_not_there_is_named_with_how_to_find_it():
    pytest.importorskip("gpiod")
    wires = gpio.open_gpio_wires(GpioLines(chip="/dev/gpiochip-none", trigger=1, ok=2, valid=3, acknowledged=4))
    with pytest.raises(OutputError, match=r"lines 1, 2, 3, 4 of /dev/gpiochip-none: No such file .*gpioinfo"):
        wires.read()
    wires.close()


def test_what_is_not_installed_is_named(monkeypatch):
    for missing, open_wires, settings in [
        ("gpiod", gpio.open_gpio_wires, GpioLines(ok=1)),
        ("pymodbus", modbus.open_modbus_wires, ModbusTrigger(address="x")),
    ]:
        monkeypatch.setitem(__import__("sys").modules, missing, None)
        with pytest.raises(DependencyError, match=r"pip install 'edgeline\["):
            open_wires(settings)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("trigger: {gpio: {ok: 1}}", "a trigger needs the line trigger"),
        ("trigger: {gpio: {trigger: 1, ok: 1}}", "each line is used once"),
        ("trigger: {gpio: {trigger: 1}}", "needs the line ok or the line ng"),
        ("trigger: {gpio: {trigger: 1, ok: 2, acknowledge: bit}}", "needs the line acknowledged"),
        ("outputs: [gpio: {trigger: 1, ok: 2}]", "belongs to the station's trigger"),
        ("trigger: {modbus: {address: plc, frames: 0}}", "a part has a frame at least"),
        ("trigger: {modbus: {address: plc, write: 1}}", "lie over one another"),
    ],
)
def test_mistakes_are_told(tmp_path, wrong, what):
    file = tmp_path / "station.yaml"
    file.write_text(f"store: store\nstations: {{a: {{source: '0', bundle: m, {wrong}}}}}")
    with pytest.raises(UsageError, match=what):
        read_recipe(file)


def test_check_says_what_is_not_installed(tmp_path, monkeypatch):
    file = tmp_path / "station.yaml"
    file.write_text(
        "store: store\nstations:\n  a:\n    source: '0'\n    bundle: m\n    trigger: {modbus: plc}\n"
        "    outputs:\n      - modbus: plc2\n"
    )
    monkeypatch.setitem(__import__("sys").modules, "pymodbus", None)
    told = [(mistake.line, mistake.where) for mistake in look_for(read_recipe(file)) if "pymodbus" in mistake.what]
    assert told == [(6, "stations.a.trigger"), (8, "stations.a.outputs[0]")]
